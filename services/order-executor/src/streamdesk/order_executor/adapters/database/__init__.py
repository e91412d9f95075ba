"""SQL databases: transactions as plain functions, on SQLite and on PostgreSQL."""

from streamdesk.order_executor.adapters.database.database import Database
from streamdesk.order_executor.adapters.database.table_set import TableSet

__all__ = ["Database", "TableSet"]
