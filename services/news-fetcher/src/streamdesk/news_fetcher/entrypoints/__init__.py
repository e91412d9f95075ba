"""How a fetch begins: on a schedule, or from the command line."""
