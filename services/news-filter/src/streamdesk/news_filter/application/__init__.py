"""The use cases of the filter."""
