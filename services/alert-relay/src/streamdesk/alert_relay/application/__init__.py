"""The use cases: queue a notification, send alerts, send a test alert."""
