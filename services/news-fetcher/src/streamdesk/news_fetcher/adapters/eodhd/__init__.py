"""EODHD's news over HTTP."""
