"""Market data becomes scored signals."""
