"""The use cases: reconcile the pools, and watch the Redis masters."""
