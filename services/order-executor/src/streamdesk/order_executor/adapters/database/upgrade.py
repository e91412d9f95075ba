"""A book's tables brought up to date, by the steps in `migrations/`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect

from streamdesk.order_executor.adapters.database.table_set import Book
from streamdesk.order_executor.errors import DatabaseRefusedError

FOLDER = Path(__file__).parent / "migrations"
BEFORE_MIGRATIONS = "0001"
"""What the tables are that were made before there were migrations."""


def upgrade(connection: Connection, book: Book) -> tuple[str | None, str]:
    """Take every step that the database has not had.

    Args:
        connection: in a transaction that excludes others who would do the same.
        book: whose tables.

    Returns:
        The last step before, None for a database without the book's tables; and the last now.

    Raises:
        DatabaseRefusedError: a newer version has been here, and took steps unknown to this one.
    """
    config = _config(connection, book)
    newest = ScriptDirectory.from_config(config).get_current_head()
    assert newest is not None, "every book has a first step"  # noqa: S101 - a file of this package
    _adopt(connection, book, config)
    before = current(connection, book)
    if before == newest:
        return before, newest
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseRefusedError(
            f"the {book.name}'s tables are at step {before}, which this version does not know, "
            f"its last is {newest}; run the version that made them, or a newer one"
        ) from error
    return before, newest


def current(connection: Connection, book: Book) -> str | None:
    """The last step that the database has had."""
    options = {"version_table": book.version_table}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def steps(book: Book) -> list[str]:
    """Every step that this version knows, the oldest first."""
    script = ScriptDirectory.from_config(_config(None, book))
    return [revision.revision for revision in script.walk_revisions()][::-1]


def _adopt(connection: Connection, book: Book, config: Config) -> None:
    """Note where tables stand that were made before there were migrations."""
    tables = set(inspect(connection).get_table_names())
    if book.anchor.name in tables and book.version_table not in tables:
        command.stamp(config, BEFORE_MIGRATIONS)


def _config(connection: Connection | None, book: Book) -> Config:
    config = Config(attributes={"connection": connection, "book": book})
    config.set_main_option("script_location", _escaped(FOLDER))
    config.set_main_option("version_locations", _escaped(FOLDER / book.name))
    config.set_main_option("path_separator", "newline")
    return config


def _escaped(folder: Path) -> str:
    return str(folder).replace("%", "%%")  # the file format that alembic keeps options in
