"""Where bars come from: the port, and a feed for each kind of source."""
