"""The Redis streams of the pools, and the connections to their servers."""
