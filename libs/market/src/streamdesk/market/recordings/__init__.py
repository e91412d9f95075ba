"""Recorded bars: files, folders of files, and bar stores."""

from streamdesk.market.recordings.reading import read_recording
from streamdesk.market.recordings.recording import BarRecording, FileFormat

__all__ = ["BarRecording", "FileFormat", "read_recording"]
