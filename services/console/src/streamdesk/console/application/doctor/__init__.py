"""Checks of a running installation: each module asks about one subject, and judges the answers."""
