"""The command line: one file a command group; each command imports what it needs inside itself."""
