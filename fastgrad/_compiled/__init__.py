"""All compiled code of a check. An objective reaches it as an address, so each kernel is compiled once."""
