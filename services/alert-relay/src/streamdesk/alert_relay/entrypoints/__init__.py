"""Where a request or a command line comes in."""
