"""The command line: one file a command, thin; the work is in the rooms beside it."""
