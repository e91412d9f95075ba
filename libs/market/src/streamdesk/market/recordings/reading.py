"""Reads a recording of any kind."""

from pathlib import Path

from streamdesk.market.recordings.files import read_files
from streamdesk.market.recordings.recording import BarRecording, FileFormat
from streamdesk.market.recordings.tables import without_arro3


def read_recording(
    path: Path, form: FileFormat, symbols: frozenset[str] | None = None
) -> BarRecording:
    """The bars of a file, of all files in a folder, or of a bar store.

    Times without a zone are UTC. The length of an instrument's bars is the shortest step between
    two of them; a day, if there is only one.

    Args:
        path: file, folder of files, or a bar store's folder.
        form: what the file does not contain.
        symbols: the instruments that are watched; None for any.

    Raises:
        BarFileError: there is no such file, it has none of `SUFFIXES`, a column is missing, it
            holds no usable bar, or arro3 is needed and missing.
    """
    if not any((path / "bars").glob("market=*")):
        return read_files(path, form, symbols)
    try:
        from streamdesk.market.recordings.stored import read_stored  # noqa: PLC0415 - needs an extra
    except ImportError as error:
        raise without_arro3(f"{path} is a bar store") from error
    return read_stored(path, form, symbols)
