"""Tables that belong together, and the lock of their writers."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import MetaData, Select, Table, select


@dataclass(frozen=True, slots=True)
class TableSet:
    """Tables with a history of their own; two sets may share a database.

    Attributes:
        name: of its folder in `migrations/`.
        metadata: its tables as they are now.
        anchor: the table with exactly one row, which a writer locks first of all.
    """

    name: str
    metadata: MetaData
    anchor: Table

    @property
    def turn(self) -> Select[Any]:
        """Locks the anchor's row: from here to its commit a writer is the only one."""
        return select(self.anchor.c.id).with_for_update()

    @property
    def version_table(self) -> str:
        """Where the database notes which migrations it has had."""
        return f"{self.name}_version"
