"""HAMA analyses of instruments: cached, refreshed by a schedule, and the daily indicators."""
