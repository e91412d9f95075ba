"""What starts the use cases: the bars of a feed."""
