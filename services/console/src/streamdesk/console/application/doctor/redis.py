"""The data server: what it reports of itself, and what that means."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from streamdesk.bus.connection import Address, HostPort, parse_address
from streamdesk.console.adapters.redis_questions import (
    NoAnswerError,
    ask,
    lines_of,
    named,
    refused,
)
from streamdesk.console.application.doctor.sentinels import server_of
from streamdesk.console.domain.finding import (
    CHECKS,
    Finding,
    failed,
    merged,
    ok,
    unknown,
    warning,
)

REDIS_FLOOR = (7, 0)
VALKEY_FLOOR = (8, 0)
CLOCK_WARNING_SECONDS = 1.0
CLOCK_FAILED_SECONDS = 30.0
"""A lease's length: beyond it times in logs and times of events contradict each other."""

MEMORY_WARNING_SHARE = 0.85
"""As the alert RedisMemoryNearLimit."""

MEGABYTE = 1 << 20
ADVICE = "start the server, thaw it, or correct REDIS_URL"


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One server, asked once.

    Args:
        address: host and port, for people.
        info: its INFO.
        clock_seconds: how far its clock is ahead of ours.
        clock_error_seconds: how wrong that may be: half of the round trip.
        clustered: whether it is one of several, or in Kubernetes.
    """

    address: str
    info: Mapping[str, str]
    clock_seconds: float
    clock_error_seconds: float
    clustered: bool

    def number(self, name: str) -> int:
        """A figure of INFO; 0 when it is not there."""
        text = self.info.get(name, "0")
        return int(text) if text.isdigit() else 0


def check_server(facts: ServerFacts) -> list[Finding]:
    """The findings from one server's answers."""
    return [
        _server(facts),
        version(facts),
        role(facts),
        clock(facts),
        persistence(facts),
        eviction(facts),
        memory(facts),
    ]


def _server(facts: ServerFacts) -> Finding:
    if facts.info.get("loading") == "1":
        return failed(
            "redis.server",
            f"{facts.address} is loading its data from disk",
            "wait until it is done; services wait as well",
        )
    return ok("redis.server", f"{facts.address} answers")


def version(facts: ServerFacts) -> Finding:
    """The floor is Redis 7.0 and Valkey 8."""
    is_valkey = "valkey_version" in facts.info
    name, floor = ("Valkey", VALKEY_FLOOR) if is_valkey else ("Redis", REDIS_FLOOR)
    text = facts.info.get("valkey_version" if is_valkey else "redis_version", "")
    found = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if not found:
        return failed(
            "redis.version",
            f"{facts.address} does not report its version",
            "name a Redis 7.0 or newer, or a Valkey 8 or newer",
        )
    if found < floor:
        return failed(
            "redis.version",
            f"{name} {text} is too old",
            f"the floor is {name} {floor[0]}.{floor[1]}: upgrade the server",
        )
    return ok("redis.version", f"{name} {text}")


def role(facts: ServerFacts) -> Finding:
    """The server that takes the writes must be the master."""
    if facts.info.get("role") == "master":
        return ok("redis.role", f"{facts.address} is a master")
    above = f"{facts.info.get('master_host', '?')}:{facts.info.get('master_port', '?')}"
    return failed(
        "redis.role",
        f"{facts.address} is a replica of {above}: it takes no events",
        "let REDIS_URL name the master, or the Sentinels (redis+sentinel://host:26379,…/name/0)",
    )


def clock(facts: ServerFacts) -> Finding:
    """Times of events are the server's, or their writer's."""
    certain = max(0.0, abs(facts.clock_seconds) - facts.clock_error_seconds)
    ahead = "ahead of" if facts.clock_seconds > 0 else "behind"
    found = f"the server's clock is {abs(facts.clock_seconds):.1f} s {ahead} this machine's"
    advice = "let both follow the same time (chrony, ntpd); `timedatectl` shows whether one does"
    if certain > CLOCK_FAILED_SECONDS:
        return failed("redis.clock", found, advice)
    if certain > CLOCK_WARNING_SECONDS:
        return warning("redis.clock", found, advice)
    return ok("redis.clock", f"within {CLOCK_WARNING_SECONDS:g} s of this machine's")


def persistence(facts: ServerFacts) -> Finding:
    """What was acknowledged must be on disk."""
    check, info = "redis.persistence", facts.info
    problems: list[Finding] = []
    if info.get("aof_enabled") != "1":
        problems.append(
            failed(
                check,
                "the append-only file is off: a restart loses events",
                "CONFIG SET appendonly yes, and the same in its configuration file",
            )
        )
    names = {
        "aof_last_write_status": "the last write of the append-only file failed",
        "aof_last_bgrewrite_status": "the last rewrite of the append-only file failed",
        "rdb_last_bgsave_status": "the last snapshot (RDB) failed",
    }
    problems += [
        failed(check, f"{said} ({info[name]})", "look for room on its disk, and at its log")
        for name, said in names.items()
        if info.get(name, "ok") != "ok"
    ]
    return merged(check, problems, "append-only file on, last write, rewrite and snapshot ok")


def eviction(facts: ServerFacts) -> Finding:
    """Any policy but noeviction deletes streams when memory is short."""
    policy = facts.info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return ok("redis.eviction", policy)
    return failed(
        "redis.eviction",
        f"maxmemory-policy is {policy}: short of memory, the server deletes whole streams",
        "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file",
    )


def memory(facts: ServerFacts) -> Finding:
    """At its limit a server refuses every publish."""
    check, used, limit = "redis.memory", facts.number("used_memory"), facts.number("maxmemory")
    if not limit and facts.clustered:
        return warning(
            check,
            f"{_megabytes(used)} used and no limit: the machine ends the server when it runs out",
            "set maxmemory to at most 3/4 of the memory that the server may use",
        )
    if not limit:
        return ok(check, f"{_megabytes(used)} used, no limit set")
    found = f"{_megabytes(used)} of {_megabytes(limit)} used ({used / limit:.0%})"
    advice = "raise maxmemory, start consumers, or purge dead letters; see topics.length"
    if used >= limit:
        return failed(check, f"{found}: publishes are refused", advice)
    return (
        warning(check, found, advice) if used > MEMORY_WARNING_SHARE * limit else ok(check, found)
    )


def _megabytes(count: int) -> str:
    return f"{count / MEGABYTE:,.1f} MB"


async def examine_redis(url: str, *, clustered: bool) -> list[Finding]:
    """The checks of the data server.

    Args:
        url: as `streamdesk.bus.connection.address` lists them.
        clustered: whether we are in Kubernetes.
    """
    address = parse_address(url)
    try:
        host = await server_of(address)
        facts = await _read_server(address, host, clustered=clustered or bool(address.service))
    except NoAnswerError as error:
        broken = failed("redis.server", str(error), ADVICE)
        rest = CHECKS["redis"][1:]
        why = "the server does not answer"
        return [broken, *(unknown(f"redis.{name}", why, "see redis.server") for name in rest)]
    return check_server(facts)


async def _read_server(address: Address, host: HostPort | None, *, clustered: bool) -> ServerFacts:
    name = named(host) if host else address.path
    try:
        answers, seconds = await ask(address, host, address.login, ("TIME",), ("INFO",))
    except NoAnswerError as error:
        raise NoAnswerError(f"{name} {error}") from None
    now = time.time()
    if problem := refused(answers):
        raise NoAnswerError(f"{name}: {problem}")
    (whole, part), info = answers
    return ServerFacts(
        address=name,
        info=lines_of(info),
        clock_seconds=int(whole) + int(part) / 1e6 - (now - seconds / 2),
        clock_error_seconds=seconds / 2,
        clustered=clustered,
    )
