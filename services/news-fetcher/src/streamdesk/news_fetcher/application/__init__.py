"""The use cases of the fetcher."""
