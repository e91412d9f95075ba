"""The outside: the bus, sockets, tokens, metrics."""
