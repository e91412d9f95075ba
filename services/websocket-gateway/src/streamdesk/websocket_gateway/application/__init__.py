"""What the gateway does, one module a use case."""
