"""The backend on a Redis or Valkey server."""
