"""The commands of the command line, one module for each: what each asks for, and how it is carried out."""
