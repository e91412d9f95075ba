"""The outside: Redis, the bus, the file system, child processes."""
