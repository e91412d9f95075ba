"""Reading without a group, and how far groups are."""
