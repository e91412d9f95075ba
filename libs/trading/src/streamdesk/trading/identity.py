"""Ids that follow from what they name: deriving one again gives the same."""

import hashlib
from datetime import UTC, datetime

from streamdesk.contracts.events import Side, SignalGenerated

CLIENT_ORDER_ID_PREFIX = "sd-"


def _hash(*parts: str) -> str:
    # Lengths go in as well: ("ab", "c") and ("a", "bc") are two things.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def moment(at: datetime) -> str:
    """A time as text that does not depend on its zone."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def order_id_of_signal(signal_id: str) -> str:
    """The one client order id that a signal can have, from its event id."""
    return CLIENT_ORDER_ID_PREFIX + _hash("signal", signal_id)[:20]


def order_id_of_exit(entry_order_id: str, attempt: int) -> str:
    """The client order id of a protective exit.

    Args:
        entry_order_id: the order that opened the position.
        attempt: 1 first; one more after the broker refused or canceled an exit.
    """
    return CLIENT_ORDER_ID_PREFIX + _hash("exit", entry_order_id, str(attempt))[:20]


def stop_leg_of(entry_order_id: str) -> str:
    """The id of an entry's stop that the broker holds."""
    return f"{entry_order_id}/stop"


def target_leg_of(entry_order_id: str) -> str:
    """The id of an entry's target that the broker holds."""
    return f"{entry_order_id}/target"


def entry_of_leg(client_order_id: str) -> str | None:
    """The entry whose stop or target this is; None of any other order."""
    entry, _, leg = client_order_id.rpartition("/")
    return entry if leg in {"stop", "target"} and entry else None


def is_stop_leg(client_order_id: str) -> bool:
    """Whether this is a stop that the broker holds: it has no limit."""
    return client_order_id.endswith("/stop")


def order_id_of_external(trade_id: str) -> str:
    """The client order id under which a trade of nobody's order is booked."""
    return CLIENT_ORDER_ID_PREFIX + _hash("external", trade_id)[:20]


def is_ours(client_order_id: str) -> bool:
    """Whether an id is one that a desk gives its orders, this one or another."""
    return client_order_id.startswith(CLIENT_ORDER_ID_PREFIX)


def fingerprint(signal: SignalGenerated) -> str:
    """What a signal says, whatever its event id: equal for the same bar published twice."""
    parts = signal.symbol, Side(signal.side).value, signal.strategy, moment(signal.timestamp)
    return _hash("fingerprint", *parts)[:32]


def event_id(*parts: str) -> str:
    """The id of an event we publish, from what makes it unique (a UUID of version 8, RFC 9562)."""
    digits = _hash("event", *parts)[:32]
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
