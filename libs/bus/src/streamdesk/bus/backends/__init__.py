"""What a server does for the bus: the port, and its two implementations."""
