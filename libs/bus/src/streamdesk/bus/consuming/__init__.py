"""From stream entries to handlers, and what follows from their outcomes."""
