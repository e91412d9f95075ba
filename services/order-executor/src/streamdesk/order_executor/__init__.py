"""Signals become orders, by priority, through risk checks."""
