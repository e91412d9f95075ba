"""What starts work: HTTP requests, ticks of a schedule, the command line."""
