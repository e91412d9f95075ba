"""The chart's own scripts on loopback: a pod is a folder, an address and two processes."""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hiredis
import pytest

from tests.charts.redis_sentinel_chart import CHART, RELEASE, one, password_of, render, user_rules

NEEDED = ("redis-server", "redis-cli", "flock", "timeout", "sha256sum")
MASTER_NAME = "streamdesk"
SYSTEM_USERS = ("admin", "replication", "sentinel", "exporter")
ALONE_SECONDS, YIELD_SECONDS = 3, 60
LONGEST_WAIT_SECONDS = 240  # only ends a wait that hangs


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Poll until a condition holds; without an answer of the server it does not hold."""
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while True:
        with contextlib.suppress(OSError, hiredis.HiredisError):
            if holds():
                return
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.1)


def free_ports() -> tuple[int, int]:
    """Two ports that are free on all addresses now."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("", 0))
        second.bind(("", 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])


def ask(
    host: str, port: int, *words: str, authority: Path | None = None, user: str = "admin"
) -> Any:
    """One command, over TLS with an authority; raises OSError or hiredis.ReplyError."""
    reader = hiredis.Reader(encoding="utf-8")
    answer: Any = None
    plain = socket.create_connection((host, port), 5)
    with contextlib.closing(plain if authority is None else over_tls(plain, authority)) as line:
        for command in (("AUTH", user, password_of(user)), words):
            packed: Any = tuple(command)
            line.sendall(hiredis.pack_command(packed))
            while (answer := reader.gets()) is False:
                read = line.recv(65536)
                if not read:
                    raise ConnectionError(f"{host}:{port} closed the connection")
                reader.feed(read)
            if isinstance(answer, hiredis.ReplyError):
                raise answer
    return answer


def over_tls(line: socket.socket, authority: Path) -> ssl.SSLSocket:
    """The same connection, encrypted; the server is one that the authority knows."""
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False
    return context.wrap_socket(line)


def certificates(folder: Path) -> Path:
    """An authority and a certificate of its own, as the TLS secret is mounted."""
    folder.mkdir()
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=redis", "-keyout", str(folder / "tls.key")]
    subprocess.run([*words, "-out", str(folder / "tls.crt")], check=True, capture_output=True)
    shutil.copy(folder / "tls.crt", folder / "ca.crt")
    return folder


@dataclass(slots=True)
class Node:
    """One pod; it keeps its disk unless the disk is removed."""

    ordinal: int
    address: str
    folder: Path
    environment: dict[str, str]
    authority: Path | None = None
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def redis_port(self) -> int:
        """Of the data server."""
        return int(self.environment["REDIS_PORT"])

    @property
    def sentinel_port(self) -> int:
        """Of the Sentinel."""
        return int(self.environment["SENTINEL_PORT"])

    def script(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """Start one of the chart's scripts in this pod."""
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                ["sh", str(CHART / "files" / name), *words],
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, *names: str) -> None:
        """Start the containers of a new pod, with empty memory volumes."""
        shutil.rmtree(self.environment["RUN"], ignore_errors=True)
        Path(self.environment["RUN"]).mkdir()
        for name in names or ("start-redis.sh", "start-sentinel.sh"):
            self.processes[name] = self.script(name)

    def end(self, *, number: int = signal.SIGKILL) -> None:
        """End all its processes."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        for process in self.processes.values():
            process.wait(LONGEST_WAIT_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.processes.clear()

    def lose_disk(self) -> None:
        """Remove all it has written."""
        shutil.rmtree(self.environment["DATA"])
        Path(self.environment["DATA"]).mkdir()

    def log(self, name: str = "start-redis.sh") -> str:
        """What a script and its server wrote."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def ask(self, *words: str) -> Any:
        """A command to its data server."""
        return ask(self.address, self.redis_port, *words, authority=self.authority)

    def ask_sentinel(self, *words: str) -> Any:
        """A command to its Sentinel."""
        port = self.sentinel_port
        return ask(self.address, port, "SENTINEL", *words, authority=self.authority)

    def named(self) -> str:
        """The master that its Sentinel names."""
        return str(self.ask_sentinel("GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[0])

    def role(self) -> str:
        """Of its data server; empty when it does not answer."""
        with contextlib.suppress(OSError, hiredis.HiredisError):
            return str(self.ask("ROLE")[0])
        return ""


@dataclass(slots=True)
class Nodes:
    """Three pods."""

    nodes: list[Node]

    def start(self) -> None:
        """One after the other, as a StatefulSet does."""
        for node in self.nodes:
            node.start()
            wait_until(lambda node=node: self.is_ready(node), f"start of {node.address}")  # type: ignore[misc]

    def is_ready(self, node: Node) -> bool:
        """As the kubelet's probes would say."""
        return all(
            node.script("probe.sh", probe).wait(LONGEST_WAIT_SECONDS) == 0
            for probe in ("redis-ready", "sentinel-ready")
        )

    def master(self) -> Node:
        """The master that all running Sentinels name; waits until they agree and it serves."""
        found: list[Node] = []

        def agreed() -> bool:
            up = [node for node in self.nodes if node.processes]
            names = {node.named() for node in up}
            found[:] = [node for node in up if names == {node.address}]
            return bool(found) and found[0].role() == "master"

        wait_until(agreed, "one master")
        return found[0]

    def wait_until_whole(self) -> None:
        """Wait until two replicas follow and may be promoted."""

        def whole() -> bool:
            info = self.master().ask("INFO", "replication")
            others = [node.ask("CONFIG", "GET", "replica-priority")[1] for node in self.nodes]
            return info.count("state=online") == 2 and set(others) == {"100"}

        wait_until(whole, "two replicas that follow")

    def write(self, key: str) -> None:
        """Write a key, and wait until all three have it."""
        self.wait_until_whole()
        self.master().ask("SET", key, "x" * 1000)
        wait_until(
            lambda: all(node.ask("EXISTS", key) == 1 for node in self.nodes),
            f"{key} on all three",
        )

    def others(self, node: Node) -> list[Node]:
        """The other pods."""
        return [other for other in self.nodes if other is not node]


def config_files(folder: Path, address: str, ports: tuple[int, int], tls: Path | None) -> None:
    """The ConfigMap as it is mounted, for one address, other ports and other certificates."""
    values = {"tls.enabled": True, "tls.existingSecret": "any"} if tls else {}
    objects = render(values=values)
    data = one(objects, "ConfigMap", f"{RELEASE}-redis")["data"]
    folder.mkdir()
    for name, text in data.items():
        changed = text.replace("bind * -::*", f"bind {address}")
        changed = changed.replace("port 26379", f"port {ports[1]}")
        changed = changed.replace("/etc/redis-tls", str(tls))
        (folder / name).write_text(changed.replace("port 6379", f"port {ports[0]}") + "\n")


def passwords(folder: Path) -> None:
    """The secret as it is mounted."""
    folder.mkdir()
    for user in {*user_rules(render()), *SYSTEM_USERS}:
        (folder / f"{user}-password").write_text(password_of(user))


@contextlib.contextmanager
def make_nodes(folder: Path, network: str = "127.0.0", tls: Path | None = None) -> Iterator[Nodes]:
    """Three pods that are not started yet; `folder` may be that of an earlier set.

    Args:
        folder: for their disks.
        network: the first three numbers of their addresses.
        tls: certificates, where they speak TLS only.
    """
    for program in NEEDED:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on the PATH")
    names = folder / "names"  # what DNS is to a pod: here an address is its own name
    names.mkdir(exist_ok=True)
    (names / "getent").write_text('#!/bin/sh\necho "$2 $2"\n')
    (names / "getent").chmod(0o755)
    ports = free_ports()
    addresses = [f"{network}.{number + 1}" for number in range(3)]
    common = {
        "NODES": " ".join(addresses), "SET_NAME": "trading/desk-redis", "MASTER_NAME": MASTER_NAME,
        "REDIS_COMMAND": "redis-server", "SENTINEL_COMMAND": "redis-server", "QUORUM": "2",
        "DOWN_AFTER_MS": "2000", "STAGGER_MS": "300", "FAILOVER_TIMEOUT_MS": "10000",
        "PARALLEL_SYNCS": "1", "ALONE_SECONDS": str(ALONE_SECONDS),
        "YIELD_SECONDS": str(YIELD_SECONDS),
        "REDIS_PORT": str(ports[0]), "SENTINEL_PORT": str(ports[1]),
        "PATH": f"{names}:{os.environ['PATH']}",
    }  # fmt: skip
    nodes = []
    for ordinal, address in enumerate(addresses):
        room = folder / str(ordinal)
        for name in ("config", "auth"):
            shutil.rmtree(room / name, ignore_errors=True)
        room.mkdir(exist_ok=True)
        config_files(room / "config", address, ports, tls)
        passwords(room / "auth")
        (room / "data").mkdir(exist_ok=True)
        paths = {"DATA": "data", "RUN": "run", "CONF": "config", "AUTH": "auth"}
        own = {name: str(room / path) for name, path in paths.items()}
        own |= {"POD_NAME": f"desk-redis-{ordinal}", "LOCAL": address}
        if tls:
            own["TLS_ARGUMENTS"] = f"--tls --cacert {tls}/ca.crt"
        nodes.append(Node(ordinal, address, room, common | own, tls and tls / "ca.crt"))
    try:
        yield Nodes(nodes)
    finally:
        for node in nodes:
            node.end()
