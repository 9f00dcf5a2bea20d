"""The command line: hand-written on the sdk."""
