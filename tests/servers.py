"""Servers of our own on loopback, to be stopped, frozen, filled and failed over."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hiredis

LOOPBACK = "127.0.0.1"
LONGEST_WAIT_SECONDS = 60  # only ends a wait that hangs
MASTER_NAME = "desk"
QUORUM = 2
# The second Sentinel to detect a dead master, after one second, completes the quorum. They must not
# detect it at once: each would vote for itself, none would be elected, and the next attempt would
# come after twice the failover time-out.
DOWN_AFTER_MS = (850, 1000, 1150)
FAILOVER_TIMEOUT_MS = 10_000
# How often a Sentinel pings and reconnects. The default of one second is as long as the down time:
# after one failover in ten, some Sentinel connected to the new master too late, considered it down,
# and moved the role once more, away from a healthy master.
PING_PERIOD_MS = 250
PAUSE_MS = 20_000  # a planned failover takes a tenth of it
# A Sentinel's words about a node that cannot be promoted now, or about a failover on its way.
UNFIT = {"s_down", "o_down", "disconnected", "failover_in_progress", "force_failover"}


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def ask(port: int, *words: str | int, timeout_seconds: float = 5.0) -> Any:
    """One command on a connection of its own, and the answer.

    Raises:
        OSError: no server listens, or it did not answer in time.
        hiredis.ReplyError: what the server answered.
    """
    reader = hiredis.Reader(encoding="utf-8")
    parts: Any = tuple(str(word) for word in words)  # the stub knows one-word commands only
    with socket.create_connection((LOOPBACK, port), timeout_seconds) as line:
        line.sendall(hiredis.pack_command(parts))
        while (answer := reader.gets()) is False:
            read = line.recv(65536)
            if not read:
                raise ConnectionError(f"port {port} closed the connection on {words[0]}")
            reader.feed(read)
    if isinstance(answer, hiredis.ReplyError):
        raise answer
    return answer


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Poll until a condition holds; without an answer of the server it does not hold."""
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while True:
        with contextlib.suppress(OSError, hiredis.HiredisError):
            if holds():
                return
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


class StreamServer:
    """A Redis or Valkey server of our own on loopback, to be stopped, frozen and filled."""

    def __init__(self, binary: str, folder: Path, *options: str) -> None:
        """Start it with these options, now and always, and wait until it listens."""
        self._binary = binary
        self._folder = folder
        self._options = options
        self.port = free_port()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"
        self.start()

    def start(self, *options: str) -> None:
        """Start on the same port and data."""
        folder = str(self._folder)
        self._process = subprocess.Popen(
            [
                self._binary, "--port", str(self.port), "--bind", LOOPBACK, "--dir", folder,
                "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
                "--maxmemory-policy", "noeviction", *self._options, *options,
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while not self._listens():
            assert self._process.poll() is None, f"{self._binary} ended at once"
            assert time.monotonic() < deadline, f"{self._binary} does not listen"
            time.sleep(0.01)

    def _listens(self) -> bool:
        try:
            return bool(self.ask("PING", timeout_seconds=1) == "PONG")
        except (OSError, hiredis.HiredisError):
            return False

    def ask(self, *words: str | int, timeout_seconds: float = 5.0) -> Any:
        """One command, as `ask`."""
        return ask(self.port, *words, timeout_seconds=timeout_seconds)

    def info(self, section: str) -> dict[str, str]:
        """One section of INFO."""
        lines = self.ask("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Shut down in order: all that was acknowledged is on disk."""
        self.thaw()
        self._process.terminate()
        self._process.wait(30)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait(30)

    def forget(self) -> None:
        """Remove what a stopped server has on disk, as if it had never written any."""
        shutil.rmtree(self._folder)
        self._folder.mkdir()

    def freeze(self) -> None:
        """Freeze it: connections stay open, but nothing answers."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGCONT)


class Sentinel:
    """One Sentinel: the server's own program in its other role."""

    def __init__(self, binary: str, folder: Path, master_port: int, down_after_ms: int) -> None:
        """Start it and wait until it answers."""
        self.port = free_port()
        settings = folder / "sentinel.conf"  # rewritten by the Sentinel itself
        settings.write_text(
            f"port {self.port}\nbind {LOOPBACK}\ndir {folder}\n"
            f"sentinel monitor {MASTER_NAME} {LOOPBACK} {master_port} {QUORUM}\n"
            f"sentinel down-after-milliseconds {MASTER_NAME} {down_after_ms}\n"
            f"sentinel failover-timeout {MASTER_NAME} {FAILOVER_TIMEOUT_MS}\n"
            f"sentinel parallel-syncs {MASTER_NAME} 1\n"
        )
        self._process = subprocess.Popen(
            [binary, str(settings), "--sentinel"], stdout=subprocess.DEVNULL
        )
        wait_until(lambda: self.ask("PING") == "PONG", "the Sentinel answers")
        self.ask("SENTINEL", "DEBUG", "PING-PERIOD", PING_PERIOD_MS)

    def ask(self, *words: str | int) -> Any:
        """One command, as `ask`."""
        return ask(self.port, *words)

    def master_port(self) -> int:
        """Where it says the master is."""
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[1])

    def is_content(self, replicas: int, others: int) -> bool:
        """Whether it sees a good master, so many good replicas and so many other Sentinels."""
        master = _row(self.ask("SENTINEL", "MASTER", MASTER_NAME))
        rows = [_row(flat) for flat in self.ask("SENTINEL", "REPLICAS", MASTER_NAME)]
        good = [row for row in rows if not UNFIT & set(row["flags"].split(","))]
        return (
            not UNFIT & set(master["flags"].split(","))
            and int(master["num-other-sentinels"]) == others
            and len(good) == len(rows) == replicas
        )

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)


def _row(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


class SentinelCluster:
    """A master, two replicas and three Sentinels, which fail over for real."""

    def __init__(
        self, binary: str, folder: Path, *, min_replicas: int = 0, min_replicas_max_lag: int = 5
    ) -> None:
        """Set up; `start` starts.

        Args:
            binary: program of server and Sentinel.
            folder: for all that they write.
            min_replicas: connected replicas below which a master refuses writes.
            min_replicas_max_lag: seconds after which a silent replica counts no more.
        """
        self._binary = binary
        self._folder = folder
        self._options = (
            "--min-replicas-to-write", str(min_replicas),
            "--min-replicas-max-lag", str(min_replicas_max_lag),
            "--repl-diskless-sync-delay", "0",
        )  # fmt: skip
        self.nodes: list[StreamServer] = []
        self.sentinels: list[Sentinel] = []

    def start(self) -> None:
        """Start everything and wait until every part sees every other."""
        self.nodes = [
            StreamServer(self._binary, self._room(f"node-{number}"), *self._options)
            for number in range(3)
        ]
        first, *replicas = self.nodes
        for replica in replicas:
            replica.ask("REPLICAOF", LOOPBACK, first.port)
        self.sentinels = [
            Sentinel(self._binary, self._room(f"sentinel-{down_ms}"), first.port, down_ms)
            for down_ms in DOWN_AFTER_MS
        ]
        self.wait_until_healthy()

    def _room(self, name: str) -> Path:
        room = self._folder / name
        room.mkdir()
        return room

    def stop(self) -> None:
        """End every process."""
        for sentinel in self.sentinels:
            sentinel.stop()
        for node in self.nodes:
            node.kill()

    @property
    def url(self) -> str:
        """What a bus is given."""
        addresses = ",".join(f"{LOOPBACK}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{addresses}/{MASTER_NAME}/0"

    def master(self) -> StreamServer:
        """The node that most Sentinels name; waits until they agree."""
        named: list[int] = []

        def agreed() -> bool:
            named[:] = [sentinel.master_port() for sentinel in self.sentinels]
            return len(set(named)) == 1

        wait_until(agreed, "agreement of the Sentinels about the master")
        return next(node for node in self.nodes if node.port == named[0])

    def wait_for_another_master(self, old: StreamServer) -> StreamServer:
        """Wait until every Sentinel names another node than `old`."""
        wait_until(
            lambda: all(sentinel.master_port() != old.port for sentinel in self.sentinels),
            "a failover",
        )
        return self.master()

    def kill_master(self) -> StreamServer:
        """SIGKILL the master and return it. The Sentinels have to detect it."""
        master = self.master()
        master.kill()
        return master

    def restart(self, node: StreamServer) -> None:
        """Start a dead node as a replica of the present master."""
        node.start("--replicaof", f"{LOOPBACK} {self.master().port}")

    def planned_failover(self) -> StreamServer:
        """Move the master's role elsewhere without losing a write; returns the old master, back.

        Writes are paused while the role moves, and the old master ends as soon as the Sentinels
        name another: it would otherwise keep accepting writes that are lost.
        """
        old = self.master()
        old.ask("CLIENT", "PAUSE", PAUSE_MS, "WRITE")
        self.sentinels[0].ask("SENTINEL", "FAILOVER", MASTER_NAME)
        self.wait_for_another_master(old)
        old.stop()
        self.restart(old)
        return old

    def wait_until_healthy(self) -> None:
        """Wait until both replicas follow the master and every Sentinel could fail over again."""
        wait_until(self._is_healthy, "a healthy cluster")

    def _is_healthy(self) -> bool:
        master = self.master()
        replicas = [node for node in self.nodes if node is not master]
        states = [node.info("replication") for node in replicas]
        return (
            master.info("replication")["connected_slaves"] == str(len(replicas))
            and all(state.get("master_link_status") == "up" for state in states)
            and all(state.get("master_port") == str(master.port) for state in states)
            and all(
                sentinel.is_content(len(replicas), len(self.sentinels) - 1)
                for sentinel in self.sentinels
            )
        )
