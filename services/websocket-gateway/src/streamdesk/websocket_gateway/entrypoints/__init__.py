"""Requests, sockets and command lines; each leads to one call of the application."""
