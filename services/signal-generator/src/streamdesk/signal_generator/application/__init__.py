"""The use cases: scan a feed of bars."""
