"""Scales the workloads of ExecutorPool resources by the backlog of their streams."""
