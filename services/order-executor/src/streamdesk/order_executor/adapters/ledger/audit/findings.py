"""What an audit found."""

from dataclasses import dataclass, field
from decimal import Decimal

from streamdesk.trading.money import tidy


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Two figures that should be equal and are not.

    Attributes:
        what: which figure, of which order, fill or position.
        expected: as it follows from the fills, or from the broker's records.
        found: as it is kept.
        stops_trading: whether the books cannot be trusted. Not so where they say truly that
            something happened that should not have: a fill beyond its limit.
    """

    what: str
    expected: object
    found: object
    stops_trading: bool = field(default=True, compare=False)

    def __str__(self) -> str:
        return f"{self.what}: {self.found} is kept, {self.expected} follows"


class Findings(list[Discrepancy]):
    """What an audit found; empty when the books agree."""

    def compare(self, what: str, expected: object, found: object) -> None:
        """Note a difference."""
        if expected != found:
            self.append(Discrepancy(what, expected, found))

    def compare_cents(self, what: str, expected: int, found: int) -> None:
        """Note a difference between amounts in cents."""
        if expected != found:
            self.append(Discrepancy(what, from_cents(expected), from_cents(found)))


def from_cents(amount: int) -> Decimal:
    """Cents as the amount that people read."""
    return tidy(Decimal(amount).scaleb(-2))


def from_millionths(price: int) -> Decimal:
    """Millionths as the price that people read."""
    return tidy(Decimal(price).scaleb(-6))
