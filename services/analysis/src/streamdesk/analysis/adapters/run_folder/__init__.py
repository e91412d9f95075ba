"""The results of the daily job on disk."""
