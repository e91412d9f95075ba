"""Types of columns: whole numbers for decimals, UTC for times."""

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

from streamdesk.contracts.events import ExitOptions
from streamdesk.trading.money import tidy


class Scaled(TypeDecorator[Decimal]):
    """A decimal kept as a whole number: exact in every database, and a sum stays exact.

    Args:
        places: digits behind the point, two at least.
    """

    impl = BigInteger
    cache_ok = True

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = places
        self._beyond_hundredths = 10 ** (places - 2)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Decimal to whole number; refuses digits that would be lost."""
        if value is None:
            return None
        whole = Decimal(value).scaleb(self.places)
        if whole != whole.to_integral_value():
            raise ValueError(f"{value} has more than {self.places} digits behind the point")
        return int(whole)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Whole number to Decimal."""
        if value is None:
            return None
        # Nearly every number has no more than two digits: it is tidy, and need not be made so.
        hundredths, rest = divmod(value, self._beyond_hundredths)
        if rest == 0:
            return Decimal(hundredths).scaleb(-2)
        return tidy(Decimal(value).scaleb(-self.places))


class ExitsText(TypeDecorator[ExitOptions]):
    """Options of a signal's exits, as JSON without what is not set."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: ExitOptions | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Options to text."""
        return None if value is None else value.model_dump_json(exclude_none=True)

    def process_result_value(self, value: str | None, dialect: Dialect) -> ExitOptions | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Text to options."""
        return None if value is None else ExitOptions.model_validate_json(value)


class UtcTime(TypeDecorator[datetime]):
    """An aware time, in UTC, also where the database knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Any aware time to UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """UTC, aware."""
        if value is None or value.tzinfo is not None:
            return None if value is None else value.astimezone(UTC)
        return value.replace(tzinfo=UTC)
