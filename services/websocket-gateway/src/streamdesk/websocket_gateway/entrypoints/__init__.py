"""What comes in: requests, sockets and command lines, each passed on to one call."""
