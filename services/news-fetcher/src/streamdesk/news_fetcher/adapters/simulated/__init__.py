"""Invented news."""
