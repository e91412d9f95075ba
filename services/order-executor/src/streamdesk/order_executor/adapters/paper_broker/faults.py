"""What goes wrong at the paper broker."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from streamdesk.trading.orders import Intent

Hook = Callable[[str], Awaitable[None]]


async def nothing(_client_order_id: str) -> None:
    """No fault."""


def no_refusal(_intent: Intent) -> tuple[str, str] | None:
    """Nothing is refused."""
    return None


@dataclass(slots=True)
class Faults:
    """What goes wrong, for tests.

    Attributes:
        before_accept: runs before an order is written; may raise BrokerUnavailableError.
        after_accept: runs after it is written, before the answer; may raise OutcomeUnknownError.
        on_read: runs before anything is read or changed, with an id or an empty text.
        refuse: code and reason of a refusal, None to accept.
    """

    before_accept: Hook = nothing
    after_accept: Hook = nothing
    on_read: Hook = nothing
    refuse: Callable[[Intent], tuple[str, str] | None] = no_refusal
