"""What the ledger holds, as lines of JSON for people and their programs; nothing is changed.

Amounts are decimals as text, exact to the last digit; times are ISO 8601 with their zone.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import IO, Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.database.upgrade import current, steps
from streamdesk.order_executor.adapters.ledger.rate_rows import rates_now
from streamdesk.order_executor.adapters.ledger.schema import LEDGER
from streamdesk.order_executor.adapters.ledger.statements import (
    COLUMNS,
    LedgerQuestion,
    Row,
    Wanted,
    count_of,
    rows_of,
)
from streamdesk.order_executor.errors import DatabaseRefusedError, DatabaseUnavailableError
from streamdesk.trading.rates import RateBook


class LedgerListing:
    """Writes rows of the ledger.

    Args:
        database: of the ledger.
        rates: value of the currencies, for what is held: at the market's newest time.
    """

    def __init__(self, database: Database, rates: RateBook) -> None:
        self._database = database
        self._rates = rates

    async def write(
        self, questions: Sequence[LedgerQuestion], wanted: Wanted, spool: IO[str]
    ) -> Row:
        """Write the answers, all of one moment; return how many rows are shown and there are.

        Nothing is kept waiting for whoever reads the spool: the transaction has ended by then.

        Raises:
            DatabaseError: the ledger cannot be read; the message says why.
        """

        def work(connection: Connection) -> Row:
            spool.seek(0)
            spool.truncate()  # the transaction may run again
            must_be_this_versions(connection)
            return {str(name): self._answer(connection, name, wanted, spool) for name in questions}

        try:
            return await self._database.read(work)
        except SQLAlchemyError as error:
            # `orig` is the driver's own error, without the statement and its parameters.
            raise DatabaseUnavailableError(str(getattr(error, "orig", error))) from error
        finally:
            await self._database.close()

    def _answer(
        self, connection: Connection, question: LedgerQuestion, wanted: Wanted, spool: IO[str]
    ) -> Row:
        columns, shown = COLUMNS[question], 0
        spool.write(_line({"kind": "columns", "of": question, "columns": columns}))
        rates = rates_now(connection, self._rates)
        for row in rows_of(connection, question, wanted, rates):
            plain = {name: _text(row.get(name)) for name in columns}
            spool.write(_line({"kind": question, "row": plain}))
            shown += 1
        there_are = count_of(connection, question, wanted)
        return {"shown": shown, "there_are": shown if there_are is None else there_are}


def must_be_this_versions(connection: Connection) -> None:
    """Refuse tables that this version cannot read.

    Raises:
        DatabaseRefusedError: there are none, or they are of another step.
    """
    step, known = current(connection, LEDGER), steps(LEDGER)
    if step is None:
        raise DatabaseRefusedError("the database has no ledger's tables: correct LEDGER_URL")
    if step != known[-1]:
        todo = "start an executor, which takes the missing steps"
        raise DatabaseRefusedError(
            f"the tables are at step {step}, this version reads step {known[-1]}: "
            f"{todo if step in known else 'use the version that made them'}"
        )


def _line(item: Row) -> str:
    return json.dumps(item) + "\n"


def _text(value: Any) -> Any:  # noqa: ANN401 - whatever a row holds
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if hasattr(value, "isoformat") else value
