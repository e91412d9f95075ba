"""News played from a recording."""
