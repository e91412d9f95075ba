"""Applies splits and dividends, before the first bar that they concern reaches anything."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from streamdesk.contracts.events import BarClosed
from streamdesk.order_executor.adapters.ledger.cancellations import Cancellations
from streamdesk.order_executor.adapters.ledger.corporate_actions import ActionStep, CorporateActions
from streamdesk.order_executor.application.execute_order import OrderExecution
from streamdesk.order_executor.application.protect_positions import Protection
from streamdesk.order_executor.domain import BookedAction
from streamdesk.order_executor.errors import BrokerUnavailableError, OutcomeUnknownError
from streamdesk.runtime import BadSettingError, logger, metrics
from streamdesk.trading.corporate_actions import (
    ActionKey,
    ActionKind,
    CorporateAction,
    read_actions,
)
from streamdesk.trading.errors import ActionFileError
from streamdesk.trading.market_view import MarketView
from streamdesk.trading.orders import Order
from streamdesk.trading.working_orders import CancelCode

log = logger(__name__)
LOOK_SECONDS = 1.0
"""How often the file is looked at."""

KnownActions = Callable[[str], Sequence[CorporateAction]]
"""The actions of a symbol, by ex-date."""


def read_actions_file(path: Path) -> tuple[CorporateAction, ...]:
    """The actions of a file.

    Raises:
        ActionFileError: it cannot be read or used.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        expected = "a CSV file of corporate actions"
        raise ActionFileError(f"{path}", "file", f"{error}", expected) from error
    return read_actions(text, f"{path}")


class PaperVenue(Protocol):
    """A broker on paper, where no company pays: it takes what the desk has booked."""

    async def take_action(self, action: BookedAction) -> None:
        """Note an action; the same again changes nothing.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: it may not be noted.
        """


class ActionsFile:
    """The actions of a file, which is read again when it has changed.

    Args:
        path: of the file.

    Raises:
        ActionFileError: it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = self._look()
        self._by_symbol = _by_symbol(read_actions_file(path))
        self._seen_at = time.monotonic()

    def __call__(self, symbol: str) -> Sequence[CorporateAction]:
        """As in `KnownActions`; a file that became unusable is logged, and changes nothing."""
        if time.monotonic() - self._seen_at > LOOK_SECONDS:
            self._seen_at = time.monotonic()
            self._read_changes()
        return self._by_symbol.get(symbol, ())

    def _read_changes(self) -> None:
        state = self._look()
        if state == self._state:
            return
        self._state = state
        try:
            actions = read_actions_file(self._path)
        except ActionFileError as error:
            log.error("corporate actions not read", error=str(error))  # noqa: TRY400 - the message says it all
        else:
            self._by_symbol = _by_symbol(actions)
            log.info("corporate actions read", actions=len(actions))

    def _look(self) -> str:
        try:
            found = self._path.stat()
        except OSError as error:
            return str(error)
        return f"{found.st_mtime_ns} {found.st_size} {found.st_ino}"


def actions_file_of(path: Path | None) -> ActionsFile | None:
    """The file that CORPORATE_ACTIONS_FILE names; None where it names none.

    Raises:
        BadSettingError: it cannot be used.
    """
    try:
        return None if path is None else ActionsFile(path)
    except ActionFileError as error:
        expected = f"a usable file of corporate actions: {error}"
        raise BadSettingError("CORPORATE_ACTIONS_FILE", path, expected) from None


def _by_symbol(actions: Sequence[CorporateAction]) -> dict[str, list[CorporateAction]]:
    found: dict[str, list[CorporateAction]] = defaultdict(list)
    for action in actions:
        found[action.symbol].append(action)
    return dict(found)


class ActionApplication:
    """Applies what has begun by a bar. Every executor does; the ledger books it once.

    Args:
        known: the actions; None: there are none.
        actions: where they are booked.
        cancellations: where the wish to cancel an order of old shares is committed.
        execution: asks the broker to.
        protection: has the newest prices, and stops that were crossed in old shares.
        view: counts its price in new shares.
        venue: notes what was booked.
    """

    def __init__(
        self,
        known: KnownActions | None,
        actions: CorporateActions,
        cancellations: Cancellations,
        execution: OrderExecution,
        protection: Protection,
        view: MarketView,
        venue: PaperVenue,
    ) -> None:
        self._venue = venue
        self._known = known
        self._actions = actions
        self._cancellations = cancellations
        self._execution = execution
        self._protection = protection
        self._view = view
        self._done: set[ActionKey] = set()
        self._booked: Mapping[ActionKey, BookedAction | None] | None = None

    async def before(self, bar: BarClosed) -> bool:
        """Apply what the bar's symbol is due.

        Returns:
            False while an order of old shares is in the way: the bar must reach nothing.

        Raises:
            DatabaseError: it is not known what was applied; the same call again is safe.
        """
        if self._known is None:
            return True
        for action in self._known(bar.symbol):
            is_due = action.key not in self._done and action.has_begun(bar.timestamp)
            if is_due and not await self._apply(action, bar):
                return False
        return True

    async def _apply(self, action: CorporateAction, bar: BarClosed) -> bool:
        if self._booked is None:
            self._booked = await self._actions.booked()
        step = ActionStep(booked=self._booked.get(action.key))
        while action.key not in self._booked:
            marks = self._protection.take_marks()
            step = await self._actions.book(action, bar.timestamp, marks)
            if step.in_the_way is None:
                break
            if not await self._has_ended(step.in_the_way):
                return False
        if step.booked is not None and not await self._has_taken(step.booked):
            return False
        self._done.add(action.key)
        if action.kind is ActionKind.SPLIT:
            self._view.split(action)
        self._protection.shares_changed(action.symbol)
        if step.is_new:
            metrics.CORPORATE_ACTIONS.labels(action.kind).inc()
            log.info("corporate action", symbol=action.symbol, action=action.text)
        return True

    async def _has_taken(self, booked: BookedAction) -> bool:
        """Tell the broker, where it does not know by itself; whether it has noted it."""
        try:
            await self._venue.take_action(booked)
        except (BrokerUnavailableError, OutcomeUnknownError) as error:
            log.warning("the broker has not taken an action", error=str(error))
            return False
        return True

    async def _has_ended(self, order: Order) -> bool:
        """Cancel what is left of an order of old shares; whether that is done."""
        wanted = await self._cancellations.want(order.client_order_id, CancelCode.SPLIT)
        if wanted is None:
            return False  # being canceled, or it is not known what became of it
        metrics.ORDERS_CANCELED.labels(CancelCode.SPLIT).inc()
        log.warning(
            "canceling an order: the shares are split",
            client_order_id=order.client_order_id,
            symbol=order.intent.symbol,
        )
        return (await self._execution.carry_out(wanted, is_new=False)).state.is_done
