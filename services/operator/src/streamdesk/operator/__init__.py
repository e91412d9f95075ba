"""ExecutorPool resources become replicas, from what waits on the streams."""
