"""The cache of analyses in Redis and in memory."""
