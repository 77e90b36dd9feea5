"""The commands; one file a command, and nothing here but composing."""
