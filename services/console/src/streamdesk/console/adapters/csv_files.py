"""Rows as CSV (RFC 4180, UTF-8, one header line), to a stream or to files of a folder."""

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from streamdesk.console.errors import ConsoleError

PART = ".part"


class CsvFiles:
    """One file a kind of rows; a file that is there is replaced once its successor is whole.

    Args:
        folder: where they go; made if it is missing.

    Raises:
        ConsoleError: a file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, CsvStream] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConsoleError(f"{self._folder} cannot be made: {error.strerror}") from error
        return self

    def begin(self, kind: str, columns: Sequence[str]) -> None:
        """The rows of this kind come next."""
        path = self._path(kind, PART)
        try:
            file = self._open.enter_context(path.open("w", encoding="utf-8", newline=""))
        except OSError as error:
            raise ConsoleError(f"{path} cannot be written: {error.strerror}") from error
        self._files[kind] = CsvStream(file, columns)

    def add(self, kind: str, row: dict[str, Any]) -> None:
        """One row of a kind that has begun."""
        self._files[kind].add(row)

    def keep(self) -> list[Path]:
        """All rows have come: give the files their names."""
        self._open.close()
        done = [self._path(kind, PART).replace(self._path(kind)) for kind in self._files]
        self._files = {}
        return done

    def _path(self, kind: str, end: str = "") -> Path:
        return self._folder / f"{kind}.csv{end}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
        for name in self._files:
            self._path(name, PART).unlink(missing_ok=True)


class CsvStream:
    """Rows of one kind, to a stream.

    Args:
        stream: where to.
        columns: the header, and what is taken of each row.
    """

    def __init__(self, stream: IO[str], columns: Sequence[str]) -> None:
        self._writer = csv.DictWriter(stream, columns, lineterminator="\r\n")
        self._writer.writeheader()

    def add(self, row: dict[str, Any]) -> None:
        """One row."""
        self._writer.writerow(row)
