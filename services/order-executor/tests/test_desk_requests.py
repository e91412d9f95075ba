"""What a person asks of all executors: canceled, or closed, once, whichever of them dies."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import verify
from streamdesk.order_executor.adapters.ledger.desk_requests import (
    DeskRequest,
    ItemOutcome,
    RequestKind,
)
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import Drain
from streamdesk.trading.identity import order_id_of_exit, order_id_of_signal
from streamdesk.trading.orders import BrokerReport, Intent, OrderState, Origin
from streamdesk.trading.trading_state import TradingState
from streamdesk.trading.working_orders import CancelCode
from tests.broker_conformance import Records
from tests.executor_command import command, report_of
from tests.resting_broker import RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
DatabasesOf = Callable[[str], dict[str, str]]
ROOT = Path(__file__).parents[3]
HALF = Decimal("0.5")
FIRST, SECOND = order_id_of_signal("signal-1"), order_id_of_signal("signal-2")


async def traded(executor: OrderExecutor, signal_of: SignalOf) -> RestingBroker:
    """AAPL.US is half bought, MSFT.US not yet; what is sent from now on is filled."""
    broker = plug(executor, RestingBroker())
    broker.portion = HALF
    await executor.on_signal("signal-1", signal_of("AAPL.US", stop_loss=95.0))
    broker.portion = Decimal(0)
    await executor.on_signal("signal-2", signal_of("MSFT.US", minute=1))
    broker.portion = Decimal(1)
    return broker


async def asked(executor: OrderExecutor, kind: RequestKind) -> DeskRequest:
    request = await executor.requests.make(kind, "enough")
    assert request is not None
    return request


async def carried_out(executor: OrderExecutor, request: DeskRequest) -> DeskRequest:
    for _ in range(5):
        await executor.requested.carry_out()
    return await executor.requests.get(request.number)


def outcomes(request: DeskRequest) -> dict[str, ItemOutcome | None]:
    return {item.order.client_order_id: item.outcome for item in request.items}


async def test_cancel_all_cancels_what_is_left_of_every_order_and_keeps_what_was_filled(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = await traded(executor, signal_of)
    request = await carried_out(executor, await asked(executor, RequestKind.CANCEL_ALL))
    assert outcomes(request) == {FIRST: ItemOutcome.DONE, SECOND: ItemOutcome.DONE}
    assert request.ended_at is not None
    assert Counter(broker.book.canceled) == {FIRST: 1, SECOND: 1}
    for order_id in (FIRST, SECOND):
        order = await executor.ledger.order(order_id)
        assert order is not None
        assert (order.state, order.code) == (OrderState.CANCELED, CancelCode.CANCEL_ALL)
    assert set((await executor.ledger.portfolio()).holdings) == {"AAPL.US"}
    assert await executor.requests.make(RequestKind.CANCEL_ALL, "again") is None


async def test_close_all_sells_every_position_and_ends_every_entry_by_one_of_many_executors(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor, other = await executor_of(), await executor_of(instance="executor-2")
    broker = await traded(executor, signal_of)
    other.execution._broker = broker
    await other.reconciliation.reconcile()
    request = await asked(executor, RequestKind.CLOSE_ALL)
    for _ in range(4):
        await asyncio.gather(executor.requested.carry_out(), other.requested.carry_out())
    request = await executor.requests.get(request.number)
    assert outcomes(request) == {FIRST: ItemOutcome.DONE, SECOND: ItemOutcome.DONE}
    exit_id = order_id_of_exit(FIRST, 1)
    assert broker.book.made == {FIRST: 1, SECOND: 1, exit_id: 1}
    sold = await executor.ledger.order(exit_id)
    assert sold is not None
    assert sold.intent.origin is Origin.CLOSE_ALL
    assert await broker.positions() == {}
    assert (await executor.ledger.portfolio()).holdings == {}


async def test_a_second_request_while_one_is_open_is_the_same_with_what_is_new(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = await traded(executor, signal_of)
    first = await asked(executor, RequestKind.CANCEL_ALL)
    broker.portion = Decimal(0)
    await executor.on_signal("signal-3", signal_of("TSLA.US", minute=2))
    second = await asked(executor, RequestKind.CANCEL_ALL)
    assert second.number == first.number
    assert len(second.items) == len(first.items) + 1


async def test_while_trading_is_halted_a_close_waits_and_resuming_withdraws_it(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    broker = await traded(executor, signal_of)
    request = await asked(executor, RequestKind.CLOSE_ALL)
    await executor.kill_switch.halt("odd prices")
    request = await carried_out(executor, request)
    assert outcomes(request) == {FIRST: None, SECOND: ItemOutcome.DONE}
    assert set(broker.book.made) == {FIRST, SECOND}
    await executor.kill_switch.stop(TradingState.REDUCING, "the prices are true")
    request = await carried_out(executor, request)
    assert outcomes(request)[FIRST] is ItemOutcome.DONE

    await executor.kill_switch.resume()
    broker.portion = Decimal(0)
    await executor.on_signal("signal-3", signal_of("TSLA.US", minute=2))
    request = await asked(executor, RequestKind.CANCEL_ALL)
    await executor.kill_switch.resume()
    await executor.requested.carry_out()
    assert broker.book.canceled.count(order_id_of_signal("signal-3")) == 0
    ended = await executor.requests.get(request.number)
    assert set(outcomes(ended).values()) == {ItemOutcome.WITHDRAWN}


async def test_an_exit_that_the_broker_rejects_is_not_sent_again_and_said(
    executor_of: ExecutorOf, signal_of: SignalOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = await executor_of()
    broker = await traded(executor, signal_of)
    sent = []

    async def reject(intent: Intent) -> BrokerReport:
        sent.append(intent.client_order_id)
        name = intent.client_order_id
        return BrokerReport(name, "", OrderState.REJECTED, code="NO", reason="market is closed")

    monkeypatch.setattr(broker, "submit", reject)
    request = await carried_out(executor, await asked(executor, RequestKind.CLOSE_ALL))
    assert sent == [order_id_of_exit(FIRST, 1)]
    assert outcomes(request) == {FIRST: ItemOutcome.FAILED, SECOND: ItemOutcome.DONE}
    assert "market is closed" in next(item.detail for item in request.items if item.holding)
    again = await carried_out(executor, await asked(executor, RequestKind.CLOSE_ALL))
    assert again.number != request.number
    assert len(sent) == 2, "a person may ask again"


async def test_the_command_waits_for_the_executors_and_says_what_became_of_each(
    executor_of: ExecutorOf, signal_of: SignalOf, databases_of: DatabasesOf
) -> None:
    executor = await executor_of()
    await traded(executor, signal_of)
    nobody = await command(databases_of, "cancel-all", "--wait", "0.5")
    assert nobody.returncode == 1, "no executor is there to do it"
    status = report_of(await command(databases_of, "status"))
    assert [(item["request"], item["left"]) for item in status["requests"]] == [("CANCEL_ALL", 2)]
    drain = Drain()
    keeping = asyncio.create_task(executor.keep_requested(drain))
    ended = await command(databases_of, "close-all", "--reason", "enough")
    drain.request()
    await keeping
    assert set(outcomes(await executor.requests.get(1)).values()) == {ItemOutcome.DONE}
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, ended.stderr
    assert lines[0] == {"kind": "progress", "request": "CLOSE_ALL", "left": 1, "of": 1}
    found = [(item["symbol"], item["outcome"], item["detail"]) for item in lines[-1]["items"]]
    assert found == [("AAPL.US", "DONE", "closed")]
    assert (await executor.ledger.portfolio()).holdings == {}
    nothing = report_of(await command(databases_of, "close-all"))
    assert nothing["items"] == []
    assert (await command(databases_of, "halt", "--reason", "now")).returncode == 0
    halted = await command(databases_of, "close-all")
    assert halted.returncode == 1
    assert "streamdesk trading reduce" in halted.stderr


STEPS = {
    RequestKind.CANCEL_ALL: ("the wish to cancel", "cancel", "booking", "the settling"),
    RequestKind.CLOSE_ALL: ("the exit", "submit", "booking", "the settling"),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("kind", "step"), [(kind, step) for kind, steps in STEPS.items() for step in steps]
)
async def test_a_kill_at_any_step_leaves_the_rest_to_another_executor_and_nothing_doubled(
    kind: RequestKind,
    step: str,
    when: str,
    tmp_path: Path,
    sqlite_of: DatabasesOf,
    signal_of: SignalOf,
) -> None:
    (tmp_path / "signal.json").write_text(signal_of(stop_loss=95.0).model_dump_json())
    urls = sqlite_of("account")
    arguments = [f"{when} {step}", str(tmp_path / "signal.json"), str(tmp_path / "broker"), kind]
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(Path(__file__).with_name("killed_at_request.py")), *arguments],
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "LOG_LEVEL": "error"}
        | {name.upper(): url for name, url in urls.items()},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    async with OrderExecutor(Settings.model_validate({**urls, "sessions": False})) as executor:
        broker = plug(executor, RestingBroker(tmp_path / "broker"))
        broker.portion = Decimal(1)
        await executor.reconciliation.reconcile()
        request = await executor.requests.get(1)
        request = await carried_out(executor, request)
        await executor.reconciliation.reconcile()
        request = await carried_out(executor, request)
        assert outcomes(request) == {FIRST: ItemOutcome.DONE}
        assert set(broker.book.made.values()) == {1}
        held = await broker.positions()
        assert ("AAPL.US" in held) == (kind is RequestKind.CANCEL_ALL)
        portfolio = await executor.ledger.portfolio()
        assert {name: item.quantity for name, item in portfolio.holdings.items()} == held
        assert await verify(executor.ledger, Records(broker.reports())) == []


async def test_halt_waits_for_an_order_that_is_on_its_way_and_says_what_became_of_it(
    executor_of: ExecutorOf,
    signal_of: SignalOf,
    databases_of: DatabasesOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker())
    sending, release = asyncio.Event(), asyncio.Event()
    submit = broker.submit

    async def submit_late(intent: Intent) -> BrokerReport:
        sending.set()
        await release.wait()
        return await submit(intent)

    monkeypatch.setattr(broker, "submit", submit_late)
    order = asyncio.create_task(executor.on_signal("signal-1", signal_of()))
    await sending.wait()  # the last look at the kill switch was before
    halting = asyncio.create_task(command(databases_of, "halt", "--reason", "now"))
    while await executor.kill_switch.state() is None:
        await asyncio.sleep(0.01)
    assert not halting.done()
    release.set()
    await order
    report: dict[str, Any] = report_of(await halting)
    assert [(item["order"], item["state"]) for item in report["on_their_way"]] == [
        (FIRST, "ACCEPTED")
    ]
    await executor.on_signal("signal-2", signal_of("MSFT.US", minute=1))
    assert set(broker.book.made) == {FIRST}


async def test_halt_names_an_order_whose_executor_hangs_and_does_not_wait_for_ever(
    executor_of: ExecutorOf,
    signal_of: SignalOf,
    databases_of: DatabasesOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BROKER_TIMEOUT_SECONDS", "0.5")
    executor = await executor_of()
    broker = plug(executor, RestingBroker())
    sending, release = asyncio.Event(), asyncio.Event()

    async def hang(intent: Intent) -> BrokerReport:
        sending.set()
        await release.wait()
        return broker.report(intent.client_order_id)

    submit = broker.submit
    monkeypatch.setattr(broker, "submit", hang)
    order = asyncio.create_task(executor.on_signal("signal-1", signal_of()))
    await sending.wait()
    report = report_of(await command(databases_of, "reduce", "--reason", "now"))
    assert [(item["order"], item["state"]) for item in report["on_their_way"]] == [
        (FIRST, "INTENDED")
    ]
    intent = (await executor.ledger.order(FIRST)).intent  # type: ignore[union-attr]
    await submit(intent)
    release.set()
    await order
