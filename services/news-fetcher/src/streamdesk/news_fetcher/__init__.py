"""Fetches raw news."""
