"""The outside: databases, the ledger in one of them, and brokers."""
