"""The chart of Redis on a cluster: three pods that are asked, and taken away, from outside.

Addresses of the cluster's Services must be reachable from here.
"""

import asyncio
import base64
import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import hiredis

from tests.e2e.kube import Kube

CHART = Path(__file__).parents[2] / "charts/streamdesk/charts/redis-sentinel"
VALUES = Path(__file__).with_name("redis_failover_values.yaml")
NAMESPACE = "redis-failover"
RELEASE = "desk"
MASTER_NAME = "streamdesk"
USER = "order-executor"
ORDINALS = range(3)
REDIS_PORT, SENTINEL_PORT = 6379, 26379
ASK_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 240.0  # only ends a wait that hangs
UNFIT = {"s_down", "o_down", "disconnected", "failover_in_progress", "force_failover"}
Fault = Literal["deleted", "forced", "crashed", "wiped"]
"""`deleted`: kubectl delete pod. `forced`: without grace. `crashed`: the process ends by itself,
and nobody has moved its role. `wiped`: a forced deletion, and the disk goes with the pod."""
FAULTS: tuple[Fault, ...] = ("deleted", "forced", "crashed", "wiped")


async def ask(host: str, port: int, *commands: tuple[str, ...]) -> list[Any]:
    """Commands on a connection of their own; the answers.

    Raises:
        OSError: no server listens, or it did not answer in time.
        hiredis.ReplyError: what the server answered to one of them.
    """
    parser = hiredis.Reader(encoding="utf-8")
    packed: Any = [tuple(words) for words in commands]  # the stub knows one-word commands only
    answers: list[Any] = []
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(ASK_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"".join(hiredis.pack_command(words) for words in packed))
            while len(answers) < len(commands):
                if (answer := parser.gets()) is not False:
                    answers.append(answer)
                    continue
                read = await reader.read(65536)
                if not read:
                    raise ConnectionError(f"{host}:{port} closed the connection")
                parser.feed(read)
    finally:
        if writer is not None:
            writer.close()
    for answer in answers:
        if isinstance(answer, hiredis.ReplyError):
            raise answer
    return answers


def row(flat: list[str]) -> dict[str, str]:
    """Names and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


@dataclass(frozen=True, slots=True)
class Opinion:
    """Whom a Sentinel names, and by which failover it became the master."""

    epoch: int
    master: str


@dataclass(slots=True)
class RedisSet:
    """The three pods, seen from outside."""

    kube: Kube
    addresses: tuple[str, ...] = ()
    passwords: dict[str, str] = field(default_factory=dict)

    def find(self) -> None:
        """Look up addresses and passwords."""
        services = [self.kube.get("service", f"{RELEASE}-redis-{number}") for number in ORDINALS]
        self.addresses = tuple(service["spec"]["clusterIP"] for service in services)
        data = self.kube.get("secret", f"{RELEASE}-redis-auth")["data"]
        self.passwords = {
            name.removesuffix("-password"): base64.b64decode(text).decode()
            for name, text in data.items()
        }

    @property
    def url(self) -> str:
        """What the publisher's bus is given."""
        hosts = ",".join(f"{address}:{SENTINEL_PORT}" for address in self.addresses)
        return f"redis+sentinel://{USER}:{self.passwords[USER]}@{hosts}/{MASTER_NAME}/0"

    def pod_of(self, address: str) -> str:
        """The pod behind a Service's address."""
        return f"{RELEASE}-redis-{self.addresses.index(address)}"

    async def opinion(self, sentinel: str) -> Opinion:
        """Of one Sentinel, as `ask`."""
        named, known = await ask(
            sentinel,
            SENTINEL_PORT,
            ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME),
            ("SENTINEL", "MASTER", MASTER_NAME),
        )
        return Opinion(int(row(known)["config-epoch"]), named[0])

    async def ask_server(self, address: str, *words: str) -> Any:
        """One command to a data server, as `admin`."""
        login = ("AUTH", "admin", self.passwords["admin"])
        return (await ask(address, REDIS_PORT, login, words))[1]

    async def complaint(self) -> str:
        """What keeps the set from another failover; empty when nothing does."""
        opinions = {await self.opinion(address) for address in self.addresses}
        if len(opinions) != 1:
            return f"the Sentinels say {opinions}"
        master = opinions.pop().master
        roles = {one: (await self.ask_server(one, "ROLE"))[0] for one in self.addresses}
        if [one for one, role in roles.items() if role == "master"] != [master]:
            return f"the Sentinels name {master}, the servers say {roles}"
        info = await self.ask_server(master, "INFO", "replication")
        if info.count("state=online") != len(ORDINALS) - 1:
            return "not every replica follows"
        return await self._sentinels_complaint()

    async def _sentinels_complaint(self) -> str:
        for address in self.addresses:
            master, replicas = await ask(
                address,
                SENTINEL_PORT,
                ("SENTINEL", "MASTER", MASTER_NAME),
                ("SENTINEL", "REPLICAS", MASTER_NAME),
            )
            seen = [row(flat) for flat in (master, *replicas)]
            unfit = [one["name"] for one in seen if UNFIT & set(one["flags"].split(","))]
            if unfit or row(master)["num-other-sentinels"] != "2" or len(replicas) != 2:
                return f"{address} sees {len(replicas)} replicas, unfit {unfit}"
        return ""

    async def can_be_reached(self) -> bool:
        """Whether there is a way from here to the Services of pods that are ready."""
        for _ in range(20):
            with contextlib.suppress(OSError, hiredis.HiredisError):
                return bool(await self.opinion(self.addresses[0]))
        return False

    async def wait_until_whole(self) -> None:
        """Wait until every part sees every other and is ready."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while True:
            why = await self._why_not_whole()
            if not why:
                return
            assert time.monotonic() < deadline, f"the set does not become whole: {why}"
            await asyncio.sleep(0.3)

    async def _why_not_whole(self) -> str:
        ready = await asyncio.to_thread(self.kube.ready_pods, "redis")
        if len(ready) != len(ORDINALS):
            return f"ready are {ready}"
        try:
            return await self.complaint()
        except (OSError, hiredis.HiredisError) as error:
            return repr(error)

    def recent_logs(self, seconds: float) -> str:
        """What the Sentinels and servers wrote in the last seconds."""
        words = ("--selector", "app.kubernetes.io/component=redis", "--prefix", "--tail=-1")
        since = f"--since={round(seconds) + 15}s"
        return self.kube.run("logs", *words, "--all-containers", since)

    def upgrade(self) -> None:
        """Another release of the chart, for which every pod is made anew; waits for the last."""
        changed = ("--set", f"podAnnotations.made-anew=x{time.monotonic_ns()}")
        self.kube.helm("upgrade", RELEASE, str(CHART), "--values", str(VALUES), *changed)
        words = ("rollout", "status", f"statefulset/{RELEASE}-redis", "--timeout=280s")
        self.kube.run(*words, timeout_seconds=300)

    async def take_away(self, fault: Fault, master: str) -> None:
        """Do it to the master."""
        pod = self.pod_of(master)
        if fault == "crashed":
            with contextlib.suppress(OSError):  # it does not answer that
                await self.ask_server(master, "SHUTDOWN", "NOSAVE", "NOW", "FORCE")
            return
        words = ["delete", "pod", pod, "--wait=false"]
        if fault != "deleted":
            words += ["--grace-period=0", "--force"]
        if fault == "wiped":
            claim = f"data-{pod}"
            await asyncio.to_thread(self.kube.run, "delete", "pvc", claim, "--wait=false")
        await asyncio.to_thread(self.kube.run, *words)


@contextmanager
def installed(namespace: str = NAMESPACE) -> Iterator[RedisSet]:
    """The chart in a namespace that enforces the restricted Pod Security standard."""
    kube = Kube(namespace)
    kube.run("create", "namespace", namespace)
    try:
        kube.run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
        kube.helm("install", RELEASE, str(CHART), "--values", str(VALUES))
        redis = RedisSet(kube)
        redis.find()
        yield redis
    finally:
        kube.run("delete", "namespace", namespace, "--wait=true", timeout_seconds=300)
