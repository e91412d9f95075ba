"""Getting analyses: from the cache, or computed once for all callers."""
