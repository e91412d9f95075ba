"""What PostgreSQL can do to us that SQLite cannot."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, select, text, update
from sqlalchemy.util import await_only
from structlog.testing import CapturingLogger, capture_logs

from streamdesk.bus import Message
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.database import waiting
from streamdesk.order_executor.adapters.database.database import RUNS
from streamdesk.order_executor.adapters.ledger.ledger import wall_clock
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.entrypoints.bus import follow_bars
from streamdesk.order_executor.errors import (
    BrokerUnavailableError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    DatabaseUnknownError,
    OutcomeUnknownError,
)
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import BadSettingError, Drain
from streamdesk.trading.decisions import request_from
from tests.market import QuickMarket, trade
from tests.postgres import PostgresServer
from tests.postgres_line import FlakyLine

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]

GUARD_SECONDS = 120  # ends a wait that would never end; nothing is measured by it


def settings(url: str, **more: Any) -> Settings:
    defaults = {
        "ledger_url": url,
        "paper_broker_url": url,
        "reconcile_interval_seconds": 0.05,
        "broker_timeout_seconds": 60,  # what a loaded machine does slowly is not lost
        "instance": "executor-1",
        "paper_volume_share_percent": 0,  # orders are filled whole
    }
    return Settings.model_validate(defaults | more)


@pytest.fixture
async def executor(postgres_url: str) -> AsyncIterator[OrderExecutor]:
    async with QuickMarket(settings(postgres_url)) as opened:
        yield opened


def fail_with(code: str, times: int) -> Callable[[Connection], int]:
    """A transaction that the server ends with this error, so many times; returns its run."""
    runs = 0

    def work(connection: Connection) -> int:
        nonlocal runs
        runs += 1
        connection.execute(update(ACCOUNT).values(valuations=ACCOUNT.c.valuations + 1))
        if runs <= times:
            connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE='{code}'; END $$"))
        return runs

    return work


def valuations(connection: Connection) -> int:
    return int(connection.execute(select(ACCOUNT.c.valuations)).scalar_one())


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_a_transaction_that_the_server_undoes_is_run_again_and_done_once(
    executor: OrderExecutor, code: str
) -> None:
    database = executor.ledger.database
    assert await database.write(fail_with(code, times=2)) == 3
    assert await database.read(valuations) == 1


async def test_a_transaction_that_is_always_undone_is_given_up_as_busy(
    executor: OrderExecutor,
) -> None:
    with pytest.raises(DatabaseBusyError, match="undone"):
        await executor.ledger.database.write(fail_with("40001", times=RUNS))
    assert await executor.ledger.database.read(valuations) == 0


async def test_a_deadlock_with_a_stranger_costs_nothing_but_time(
    executor: OrderExecutor, signal_of: SignalOf, postgres_url: str
) -> None:
    stranger = await asyncpg.connect(postgres_url)
    await stranger.execute("SET deadlock_timeout = '1h'")  # ours finds it first, and gives way
    async with stranger.transaction():
        await stranger.execute("LOCK TABLE signals IN EXCLUSIVE MODE")
        request = request_from("signal-1", signal_of(), wall_clock())
        deciding = asyncio.create_task(executor.ledger.decide(request))
        while not await waits_for_lock(postgres_url):
            await asyncio.sleep(0.01)
        await stranger.execute("SELECT 1 FROM account FOR UPDATE")
    await stranger.close()
    assert (await deciding).is_new
    assert await executor.verify() == []


async def waits_for_lock(url: str) -> bool:
    looking = await asyncpg.connect(url)
    try:
        question = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        )
        return bool(await looking.fetchval(question))
    finally:
        await looking.close()


async def test_a_reader_sees_one_state_while_a_writer_commits(executor: OrderExecutor) -> None:
    database = executor.ledger.database

    def work(connection: Connection) -> tuple[int, int]:
        before = valuations(connection)
        await_only(database.write(fail_with("", times=0)))
        return before, valuations(connection)

    assert await database.read(work) == (0, 0)
    assert await database.read(valuations) == 1


async def test_an_executor_that_stalls_in_a_transaction_does_not_hold_up_the_others(
    postgres_url: str,
) -> None:
    async with (
        QuickMarket(settings(postgres_url, database_answer_seconds=3)) as stalled,
        QuickMarket(settings(postgres_url)) as other,
        asyncio.timeout(GUARD_SECONDS),
    ):
        goes_on, has_lock = asyncio.Event(), asyncio.Event()

        def stall(connection: Connection) -> int:
            has_lock.set()
            await_only(goes_on.wait())
            return valuations(connection)

        # Its own limit for the whole is longer: the server is what ends it.
        stalling = asyncio.create_task(stalled.ledger.database.write(stall))
        await has_lock.wait()
        await other.ledger.database.write(fail_with("", times=0))
        goes_on.set()
        assert await stalling == 1  # run again, on what the other has written


async def test_a_server_restarted_between_two_transactions_goes_unnoticed(
    executor: OrderExecutor, postgres: PostgresServer, signal_of: SignalOf
) -> None:
    await executor.on_signal("signal-1", signal_of())
    postgres.crash()
    postgres.start()
    await executor.on_signal("signal-2", signal_of("MSFT.US"))
    assert len((await executor.ledger.portfolio()).holdings) == 2
    assert await executor.verify() == []


async def test_a_connection_lost_in_a_transaction_makes_it_run_again(
    executor: OrderExecutor,
) -> None:
    runs: list[int] = []

    def work(connection: Connection) -> None:
        connection.execute(update(ACCOUNT).values(valuations=ACCOUNT.c.valuations + 1))
        runs.append(1)
        if len(runs) == 1:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    await executor.ledger.database.write(work)
    assert len(runs) == 2
    assert await executor.ledger.database.read(valuations) == 1


async def test_a_server_that_is_down_is_unavailable_and_usable_once_it_is_back(
    executor: OrderExecutor, postgres: PostgresServer, signal_of: SignalOf
) -> None:
    order = (await executor.ledger.decide(request_from("s", signal_of(), wall_clock()))).order
    assert order is not None
    postgres.stop()
    try:
        with pytest.raises(DatabaseUnavailableError):
            await executor.ledger.portfolio()
        with pytest.raises(DatabaseUnavailableError):
            await executor.ledger.outcome_unknown(order.client_order_id, "a test")
        with pytest.raises(BrokerUnavailableError):
            await executor.broker.submit(order.intent)
        with pytest.raises(BrokerUnavailableError):
            await executor.broker.query(order.client_order_id)
    finally:
        postgres.start()
    await executor.reconciliation.reconcile()
    assert await executor.verify() == []


async def test_a_database_that_is_down_is_said_to_be_lost_once_and_to_be_back_once(
    executor: OrderExecutor, postgres: PostgresServer
) -> None:
    with capture_logs() as lines:
        postgres.stop()
        try:
            for _ in range(5):
                with pytest.raises(DatabaseUnavailableError):
                    await executor.ledger.portfolio()
            await asyncio.gather(
                *(executor.ledger.portfolio() for _ in range(5)), return_exceptions=True
            )
        finally:
            postgres.start()
        for _ in range(3):
            await executor.ledger.portfolio()
    said = [
        (line["event"], line["tables"]) for line in lines if line["event"].startswith("database")
    ]
    assert said == [("database lost", "ledger"), ("database back", "ledger")]


async def test_a_server_that_hangs_is_unavailable_after_its_time(
    postgres: PostgresServer, postgres_url: str
) -> None:
    waits = {"database_timeout_seconds": 0.5, "database_answer_seconds": 3}
    async with QuickMarket(settings(postgres_url, **waits)) as executor:
        await executor.ledger.portfolio()
        postgres.freeze()
        try:
            with pytest.raises(DatabaseUnavailableError, match="did not answer"):
                await executor.ledger.portfolio()
        finally:
            postgres.thaw()
        async with asyncio.timeout(GUARD_SECONDS):
            while not await answers(executor):
                await asyncio.sleep(0.05)


async def answers(executor: OrderExecutor) -> bool:
    try:
        await executor.ledger.portfolio()
    except (DatabaseBusyError, DatabaseUnavailableError):
        return False
    return True


async def test_a_server_that_only_reads_is_unavailable_and_its_connections_are_not_kept(
    executor: OrderExecutor, postgres_url: str
) -> None:
    stranger = await asyncpg.connect(postgres_url)
    database = await stranger.fetchval("SELECT current_database()")
    await stranger.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    await executor.ledger.database._engine.close()  # as after a failover: all connections are new
    with pytest.raises(DatabaseUnavailableError, match="read-only"):
        await executor.ledger.database.write(fail_with("", times=0))
    await stranger.execute("SET default_transaction_read_only = off")
    await stranger.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    await stranger.close()
    await executor.ledger.database.write(fail_with("", times=0))
    assert await executor.ledger.database.read(valuations) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_line_cut_during_a_commit_leaves_it_unknown_and_the_same_call_settles_it(
    postgres_url: str, signal_of: SignalOf, moment: Any
) -> None:
    async with FlakyLine(postgres_url) as line, QuickMarket(settings(line.url)) as executor:
        request = request_from("signal-1", signal_of(), wall_clock())
        line.cut_at_next_commit(moment)
        with pytest.raises(DatabaseUnknownError):
            await executor.ledger.decide(request)
        decision = await executor.ledger.decide(request)
        assert decision.is_new is (moment == "before")
        assert decision.order is not None
        line.cut_at_next_commit(moment)
        with pytest.raises(OutcomeUnknownError):
            await executor.broker.submit(decision.order.intent)
        found = await executor.broker.query(decision.order.client_order_id)
        assert (found is None) is (moment == "before")
        await executor.reconciliation.reconcile()
        assert line.cuts == 2
        assert len(await executor.broker.all_reports()) == 1
        assert await executor.verify() == []


@pytest.mark.parametrize("nth", range(1, 7))
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_signal_whose_nth_commit_is_cut_becomes_one_order(
    postgres_url: str, signal_of: SignalOf, moment: Any, nth: int
) -> None:
    async with FlakyLine(postgres_url) as line, QuickMarket(settings(line.url)) as executor:
        drain = Drain()
        reconciling = asyncio.create_task(executor.keep_reconciled(drain))
        line.cut_at_next_commit(moment, skip=nth - 1)
        async with asyncio.timeout(GUARD_SECONDS):
            await executor.handler(Message(id="signal-1", event=signal_of(), topic="signals"))
            while not line.cuts or await executor.ledger.unfinished():
                with suppress(DatabaseUnknownError, OutcomeUnknownError):
                    await trade(executor)
                await asyncio.sleep(0.01)
        drain.request()
        await reconciling
        assert len(await executor.broker.all_reports()) == 1
        assert len((await executor.ledger.portfolio()).holdings) == 1
        assert await executor.verify() == []


async def test_a_start_waits_for_its_server(
    postgres: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In place of the module's logger: what that one writes, and where, is the process's to say.
    said = CapturingLogger()
    monkeypatch.setattr(waiting, "log", said)
    postgres.stop()
    executor = QuickMarket(settings(postgres_url))
    try:
        starting = asyncio.create_task(executor.__aenter__())
        async with asyncio.timeout(GUARD_SECONDS):
            while not any("waiting for the database" in call.args for call in said.calls):
                await asyncio.sleep(0.01)
        assert not starting.done()
    finally:
        postgres.start()
    async with asyncio.timeout(GUARD_SECONDS):
        await starting
    await executor.reconciliation.reconcile()
    await executor.__aexit__()


@pytest.mark.parametrize(
    "part", ["/nowhere", "/postgres?sslmode=nonsense", "/postgres?no_such_parameter=1"]
)
async def test_an_address_that_cannot_be_right_ends_the_start_without_showing_it(
    postgres: PostgresServer, part: str
) -> None:
    url = postgres.url("")[:-1].replace("@", ":placeholder@") + part
    with pytest.raises(BadSettingError, match=r"^LEDGER_URL=\(hidden\): ") as caught:
        await QuickMarket(settings(url)).__aenter__()
    assert "placeholder" not in str(caught.value)


def crash_and_start(server: PostgresServer) -> Callable[[], None]:
    server.crash()
    return server.start


def stop_and_start(server: PostgresServer) -> Callable[[], None]:
    server.stop()
    return server.start


def freeze_and_thaw(server: PostgresServer) -> Callable[[], None]:
    server.freeze()
    return server.thaw


@pytest.mark.parametrize("outage", [crash_and_start, stop_and_start, freeze_and_thaw])
async def test_executors_wait_for_a_lost_server_and_lose_and_double_nothing(
    postgres: PostgresServer,
    postgres_url: str,
    signal_of: SignalOf,
    outage: Callable[[PostgresServer], Callable[[], None]],
) -> None:
    waits = {"database_timeout_seconds": 2, "database_answer_seconds": 3}
    sizes = {"max_positions_us": 100, "size_min_percent": 0.5, "size_max_percent": 1}
    signals = {f"signal-{number}": signal_of(f"S{number}.US") for number in range(30)}
    async with AsyncExitStack() as stack:
        executors = [
            await stack.enter_async_context(
                QuickMarket(settings(postgres_url, instance=name, **waits, **sizes))
            )
            for name in ("executor-1", "executor-2")
        ]
        drain = Drain()
        loops = [asyncio.create_task(executor.keep_reconciled(drain)) for executor in executors]
        handling = [
            asyncio.create_task(executors[n % 2].handler(Message(name, signal, "signals")))
            for n, (name, signal) in enumerate(signals.items())
        ]
        for task in (*loops, *handling):  # a test that fails must not leave them behind
            stack.callback(task.cancel)
        async with asyncio.timeout(GUARD_SECONDS):
            while sum(task.done() for task in handling) < 8:
                await asyncio.sleep(0.01)
            end_outage = outage(postgres)
            try:
                while any(executor.gate.is_open for executor in executors):
                    await asyncio.sleep(0.01)
            finally:
                end_outage()
            await asyncio.gather(*handling)
            while await executors[0].ledger.unfinished():
                await trade(executors[0])
        drain.request()
        await asyncio.gather(*loops)
        assert len(await executors[0].broker.all_reports()) == len(signals)
        assert len((await executors[0].ledger.portfolio()).holdings) == len(signals)
        assert await executors[0].verify() == []


async def test_a_stop_crossed_while_the_ledger_is_down_is_acted_upon_afterwards(
    postgres: PostgresServer, executor: OrderExecutor, signal_of: SignalOf, bar_of: BarOf
) -> None:
    await executor.on_signal("signal-1", signal_of(stop_loss=95.0))
    drain, passed = Drain(), asyncio.Event()
    handled: list[Message[BarClosed]] = []

    async def bars() -> AsyncIterator[Message[Any]]:
        yield Message(id="1", event=bar_of(minute=1, price=94.0), topic="bars")
        yield Message(id="2", event=bar_of(minute=2, price=100.0), topic="bars")
        passed.set()

    postgres.stop()
    executor.protection.positions_changed()
    try:
        following = asyncio.create_task(
            follow_bars(bars(), executor.on_bar, executor.gate, handled.append, drain)
        )
        for _ in range(100):
            await asyncio.sleep(0)
        assert not passed.is_set()
        assert handled == [], "no recording advances past a bar that was not acted upon"
    finally:
        postgres.start()
    async with asyncio.timeout(GUARD_SECONDS):
        await following
    assert (await executor.ledger.portfolio()).holdings == {}
    assert len(await executor.broker.all_reports()) == 2
    assert await executor.verify() == []
