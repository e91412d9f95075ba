"""SQL databases: transactions as plain functions, on SQLite and on PostgreSQL."""

from streamdesk.order_executor.database.book import Book
from streamdesk.order_executor.database.database import Database

__all__ = ["Book", "Database"]
