"""Recorded bars: files, folders of files, and bar stores."""
