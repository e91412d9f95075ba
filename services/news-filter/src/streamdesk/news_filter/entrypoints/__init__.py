"""How an article comes in: from the bus, or from the command line."""
