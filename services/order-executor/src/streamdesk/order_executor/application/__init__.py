"""The use cases: what the executor does, one module each."""
