"""Brings tables up to date, by the steps in `migrations/`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect

from streamdesk.order_executor.adapters.database.table_set import TableSet
from streamdesk.order_executor.errors import DatabaseRefusedError

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
    config = _config(connection, tables)
    newest = ScriptDirectory.from_config(config).get_current_head()
    assert newest is not None, "every table set has a first step"  # noqa: S101 - a file of this package
    _adopt(connection, tables, config)
    before = current(connection, tables)
    if before == newest:
        return before, newest
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseRefusedError(
            f"the {tables.name}'s tables are at step {before}, which this version does not know, "
            f"its last is {newest}; run the version that made them, or a newer one"
        ) from error
    return before, newest


def current(connection: Connection, tables: TableSet) -> str | None:
    """The last step that the database has had."""
    options = {"version_table": tables.version_table}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def steps(tables: TableSet) -> list[str]:
    """Every step that this version knows, the oldest first."""
    script = ScriptDirectory.from_config(_config(None, tables))
    return [revision.revision for revision in script.walk_revisions()][::-1]


def _adopt(connection: Connection, tables: TableSet, config: Config) -> None:
    """Note where tables stand that were made before there were migrations."""
    present = set(inspect(connection).get_table_names())
    if tables.anchor.name in present and tables.version_table not in present:
        command.stamp(config, BEFORE_MIGRATIONS)


def _config(connection: Connection | None, tables: TableSet) -> Config:
    config = Config(attributes={"connection": connection, "tables": tables})
    config.set_main_option("script_location", _escaped(FOLDER))
    config.set_main_option("version_locations", _escaped(FOLDER / tables.name))
    config.set_main_option("path_separator", "newline")
    return config


def _escaped(folder: Path) -> str:
    return str(folder).replace("%", "%%")  # the file format that alembic keeps options in
