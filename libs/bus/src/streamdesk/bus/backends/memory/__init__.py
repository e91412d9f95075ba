"""The backend inside one process, for tests."""
