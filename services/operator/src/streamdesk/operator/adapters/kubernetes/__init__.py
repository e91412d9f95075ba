"""The API server: pools, workloads, the Lease, status and events."""
