"""Brings tables up to date, by the steps in `migrations/`.

Alembic, which takes those steps, is imported only where there is one to take: it doubles what an
executor costs to start, and nearly every start finds its tables up to date.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from streamdesk.order_executor.adapters.database.table_set import TableSet
from streamdesk.order_executor.errors import DatabaseRefusedError

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent / "migrations"
BEFORE_MIGRATIONS = "0001"
"""What the tables are that were made before there were migrations."""


def upgrade(connection: Connection, tables: TableSet) -> tuple[str | None, str]:
    """Take every step that the database has not had.

    Args:
        connection: in a transaction that excludes other processes that would do the same.
        tables: the tables.

    Returns:
        The last step before, None for a database without these tables; and the last now.

    Raises:
        DatabaseRefusedError: a newer version took steps that are unknown to this one.
    """
    newest = steps(tables)[-1]
    before = current(connection, tables)
    if before == newest:
        return before, newest
    return _take_steps(connection, tables), newest


def current(connection: Connection, tables: TableSet) -> str | None:
    """The last step that the database has had."""
    if not inspect(connection).has_table(tables.version_table):
        return None
    # The table is alembic's: one column, and one row since no step branches.
    found = connection.execute(text(f"SELECT version_num FROM {tables.version_table}"))  # noqa: S608 - a name of ours
    return found.scalar_one_or_none()


def steps(tables: TableSet) -> list[str]:
    """Every step that this version knows, the oldest first: a file each, named after it."""
    return sorted(path.name[1:5] for path in (FOLDER / tables.name).glob("v[0-9]*.py"))


def _take_steps(connection: Connection, tables: TableSet) -> str | None:
    """Take what is missing; return the last step before."""
    from alembic import command  # noqa: PLC0415 - see the head of this module
    from alembic.util import CommandError  # noqa: PLC0415 - likewise

    config = _config(connection, tables)
    present = set(inspect(connection).get_table_names())
    if tables.anchor.name in present and tables.version_table not in present:
        command.stamp(config, BEFORE_MIGRATIONS)
    before = current(connection, tables)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseRefusedError(
            f"the {tables.name}'s tables are at step {before}, which this version does not know, "
            f"its last is {steps(tables)[-1]}; run the version that made them, or a newer one"
        ) from error
    return before


def _config(connection: Connection, tables: TableSet) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - see the head of this module

    config = Config(attributes={"connection": connection, "tables": tables})
    config.set_main_option("script_location", _escaped(FOLDER))
    config.set_main_option("version_locations", _escaped(FOLDER / tables.name))
    config.set_main_option("path_separator", "newline")
    return config


def _escaped(folder: Path) -> str:
    return str(folder).replace("%", "%%")  # the file format that alembic keeps options in
