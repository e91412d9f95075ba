"""The use cases of the console."""
