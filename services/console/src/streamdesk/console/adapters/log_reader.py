"""Reads what a service logs while it runs: is it up, on which port, did it report errors?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ERROR_LEVELS = ("error", "critical")
TRACEBACK = "Traceback (most recent call last)"
TAIL_BYTES = 8_192


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log.

    Attributes:
        text: what happened, for a person.
        level: as in `info`; empty where the line is no JSON.
        fields: everything the line carries.
    """

    text: str
    level: str
    fields: dict[str, Any]

    @property
    def is_error(self) -> bool:
        """Whether the service reports a fault of its own; a bare traceback is one, too."""
        return self.level in ERROR_LEVELS or self.text.startswith(TRACEBACK)


def parse(raw: str) -> LogLine:
    """One line as the services write it, or as anything else that printed into their log."""
    try:
        fields = json.loads(raw)
    except ValueError:
        return LogLine(raw.strip(), "", {})
    if not isinstance(fields, dict):
        return LogLine(raw.strip(), "", {})
    detail = fields.get("error") or ""
    text = f"{fields.get('event', '')}{': ' if detail else ''}{detail}"
    return LogLine(text, str(fields.get("level", "")), fields)


class LogReader:
    """Follows one file from its present end on.

    Args:
        path: the file; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0

    def lines(self) -> Iterator[LogLine]:
        """The complete lines added since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return  # still being written
                self._offset += len(raw)
                yield parse(raw.decode(errors="replace"))


def last_line(path: Path) -> str:
    """The last line that is not blank, for an error message."""
    if not path.exists():
        return "it wrote no log"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    said = [parse(line).text for line in lines if line.strip()]
    return said[-1] if said else "its log is empty"
