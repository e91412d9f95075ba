"""The outside: Kubernetes, Redis streams, Sentinels, metrics."""
