"""What befalls the file of the ledger under a running executor: real processes, real files."""

import asyncio
import json
import os
import resource
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import OrderFilled, SignalGenerated
from streamdesk.contracts.topics import MARKET_BARS, TRADING_ORDERS, TRADING_SIGNALS
from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.ledger.schema import LEDGER
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.errors import DatabaseUnavailableError
from streamdesk.order_executor.factory import OrderExecutor
from tests.executor_command import command, report_of
from tests.market import second_after
from tests.servers import LOOPBACK, free_port

GUARD_SECONDS = 120
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

SignalOf = Callable[..., SignalGenerated]
DatabasesOf = Callable[[str], dict[str, str]]
Undo = Callable[[], None]


class Desk:
    """An executor as a process, its queue and its files."""

    def __init__(self, urls: dict[str, str], redis_url: str, bus: Bus) -> None:
        self.ledger = Path(urls["ledger_url"].removeprefix("sqlite:///"))
        self.settings = Settings.model_validate({**urls, "sessions": False})
        self.port, self.lines = free_port(), list[dict[str, Any]]()
        self._bus = bus
        self._environment = {name.upper(): url for name, url in urls.items()} | {
            "REDIS_URL": redis_url,
            "METRICS_PORT": str(self.port),
            "DATABASE_TIMEOUT_SECONDS": "0.3",
            "RECONCILE_INTERVAL_SECONDS": "1",
            "SESSIONS": "false",
            "LOG_FORMAT": "json",
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "streamdesk.order_executor",
            env=os.environ | self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        reading = asyncio.create_task(self._read(process.stdout))
        try:
            yield process.pid
        finally:
            process.kill()
            await process.wait()
            await reading

    async def _read(self, output: asyncio.StreamReader) -> None:
        async for line in output:
            if line.startswith(b"{"):
                self.lines.append(json.loads(line))

    def said(self, event: str, **more: str) -> list[dict[str, Any]]:
        """What the log has of this event."""
        return [
            line
            for line in self.lines
            if line["event"] == event and more.items() <= {**line}.items()
        ]

    async def is_ready(self) -> bool:
        try:
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"http://{LOOPBACK}:{self.port}/readyz")
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    async def until(self, *, ready: bool) -> None:
        async with asyncio.timeout(GUARD_SECONDS):
            while await self.is_ready() is not ready:
                await asyncio.sleep(0.05)

    async def publish(self, *signals: SignalGenerated) -> None:
        await self._bus.publish_many(TRADING_SIGNALS, list(signals))

    async def fill(self, signal: SignalGenerated) -> None:
        """Let the second after a signal trade at its price, until the order is filled."""
        bar = second_after(signal.symbol, signal.timestamp, signal.price)
        await self._bus.publish_many(MARKET_BARS, [bar])
        async for message in self._bus.tail(TRADING_ORDERS, since="0"):
            if isinstance(message.event, OrderFilled):
                return

    async def not_acknowledged(self) -> int:
        lag = await self._bus.lag(TRADING_SIGNALS)
        return sum(row.waiting + row.pending + row.delayed for row in lag)

    async def until_acknowledged(self) -> None:
        async with asyncio.timeout(GUARD_SECONDS):
            while await self.not_acknowledged():
                await asyncio.sleep(0.05)


@pytest.fixture
async def desk(start_server: Callable[..., Any], sqlite_of: DatabasesOf) -> AsyncIterator[Desk]:
    url = start_server().url
    async with Bus.connect(BusConfig(url=url)) as bus:
        yield Desk(sqlite_of("account"), url, bus)


def put_away(desk: Desk, _: int) -> Undo:
    """The file is deleted, and a person puts it back."""
    elsewhere = desk.ledger.with_name("elsewhere.db")
    desk.ledger.rename(elsewhere)

    def put_back() -> None:
        elsewhere.rename(desk.ledger)

    return put_back


def lock(desk: Desk, _: int) -> Undo:
    """Another process begins to write, and does not end."""
    other = sqlite3.connect(desk.ledger)
    other.execute("BEGIN IMMEDIATE")
    return other.close


def fill_the_disk(_: Desk, pid: int) -> Undo:
    """No file of the process grows any more, and none is written beyond its first byte."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def make_room() -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, UNLIMITED)

    return make_room


@pytest.mark.parametrize(
    ("befall", "advice"),
    [
        (put_away, "put it back"),
        (lock, "end the process that holds"),
        (fill_the_disk, "look at its space"),
    ],
)
async def test_an_executor_whose_ledger_cannot_be_written_waits_says_so_once_and_resumes(
    desk: Desk, signal_of: SignalOf, befall: Callable[[Desk, int], Undo], advice: str
) -> None:
    async with desk.running() as pid:
        await desk.until(ready=True)
        await desk.publish(signal_of())
        await desk.until_acknowledged()
        undo = befall(desk, pid)
        try:
            await desk.publish(signal_of("MSFT.US", minute=1), signal_of("NVDA.US", minute=2))
            await desk.until(ready=False)
            await asyncio.sleep(3)  # several tries
            assert await desk.not_acknowledged() == 2
        finally:
            undo()
        await desk.until(ready=True)
        await desk.until_acknowledged()
    lost = desk.said("database lost", tables="ledger")
    assert [advice in line["error"] for line in lost] == [True]
    assert len(desk.said("database back", tables="ledger")) == 1
    assert len(desk.said("trading blocked")) <= 3, "no flood"
    assert not desk.said("task failed")
    async with OrderExecutor(desk.settings) as after:
        await after.reconciliation.reconcile()
        assert len(await after.broker.all_reports()) == 3
        assert await after.verify() == []


@pytest.mark.parametrize("befall", [put_away, lock])
async def test_a_halt_without_the_ledger_holds_as_soon_as_the_ledger_is_back(
    desk: Desk, signal_of: SignalOf, sqlite_of: DatabasesOf, befall: Callable[[Desk, int], Undo]
) -> None:
    async with desk.running() as pid:
        await desk.until(ready=True)
        undo = befall(desk, pid)
        try:
            await desk.publish(signal_of())
            await desk.until(ready=False)
            report = report_of(await command(sqlite_of, "halt", "--reason", "odd prices"))
            assert (report["state"], report["reason"]) == ("HALTED", "odd prices")
            assert report["waits_for_ledger"]
            assert report_of(await command(sqlite_of, "status"))["state"] == "HALTED"
        finally:
            undo()
        await desk.until(ready=True)
        await desk.until_acknowledged()
        report = report_of(await command(sqlite_of, "status"))
        assert (report["state"], report["reason"]) == ("HALTED", "odd prices")
        assert "waits_for_ledger" not in report
    async with OrderExecutor(desk.settings) as after:
        assert await after.broker.all_reports() == []
    assert report_of(await command(sqlite_of, "resume"))["state"] == "ACTIVE"


async def test_a_halt_of_a_ledger_on_a_lost_server_says_what_keeps_trading_halted() -> None:
    url = f"postgresql://nobody@{LOOPBACK}:{free_port()}/desk"
    ended = await command(
        lambda _: {"ledger_url": url, "paper_broker_url": url}, "halt", "--reason", "odd prices"
    )
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert "cannot be reached" in line
    assert "stop the executors, and start them after `halt` has worked" in line


async def test_a_new_file_in_the_place_of_the_ledger_never_becomes_an_empty_account(
    desk: Desk, signal_of: SignalOf
) -> None:
    async with desk.running():
        await desk.until(ready=True)
        await desk.publish(signal_of())
        await desk.until_acknowledged()
        await desk.fill(signal_of())
        for path in desk.ledger.parent.glob("ledger.db*"):
            path.unlink()
        desk.ledger.touch()
        await desk.publish(signal_of("MSFT.US", minute=1))
        await desk.until(ready=False)
        await asyncio.sleep(2)
        assert desk.ledger.stat().st_size == 0
    assert "another file" in desk.said("database lost", tables="ledger")[0]["error"]
    desk.lines.clear()
    async with desk.running():  # makes its tables: a person may have wanted a new account
        async with asyncio.timeout(GUARD_SECONDS):
            while not desk.said("broker contradicts the ledger"):
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        assert not await desk.is_ready()
        assert await desk.not_acknowledged() == 1


def overwrite(path: Path, content: bytes) -> None:
    """In place; another process's commit then has every reader read it anew."""
    with path.open("r+b") as file:
        file.write(content)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 1")


async def test_a_damaged_file_is_named_and_not_used_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database at all" * 500)
    with pytest.raises(DatabaseUnavailableError, match=r"is damaged .* put a backup in its place"):
        await Database(f"sqlite:///{path}", LEDGER).open(lambda _: None)


async def test_a_file_that_loses_its_pages_is_never_trusted_again(
    sqlite_of: DatabasesOf, signal_of: SignalOf
) -> None:
    settings = Settings.model_validate({**sqlite_of("account"), "sessions": False})
    path = Path(settings.ledger_url.get_secret_value().removeprefix("sqlite:///"))
    async with OrderExecutor(settings) as executor:
        await executor.on_signal("signal-1", signal_of())
    sound = await asyncio.to_thread(path.read_bytes)
    async with OrderExecutor(settings) as executor:
        await executor.ledger.portfolio()
        await asyncio.to_thread(overwrite, path, sound[:4096] + b"\xff" * (len(sound) - 4096))
        with pytest.raises(DatabaseUnavailableError, match="is damaged"):
            await executor.verify()
        await asyncio.to_thread(overwrite, path, sound)
        with pytest.raises(DatabaseUnavailableError, match="is damaged"):
            await executor.ledger.portfolio()
