"""The outside: feeds of bars, the bus, the watchlist's file."""
