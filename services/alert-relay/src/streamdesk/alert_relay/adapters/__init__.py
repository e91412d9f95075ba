"""The outside: Alertmanager, DingTalk, the journal in Redis, metrics."""
