"""A run on disk: append only, whole after a crash up to the last interval."""
