"""What pytest has to know before it looks for tests."""

# Scripts that tests run as processes of their own; some limit or kill the process that imports them.
collect_ignore = ["hazards"]
