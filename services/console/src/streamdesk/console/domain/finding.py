"""What a check says, and what all checks together come to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

CHECKS: Mapping[str, tuple[str, ...]] = {
    "redis": ("server", "version", "role", "clock", "persistence", "eviction", "memory"),
    "sentinels": ("quorum", "master", "replicas"),
    "topics": ("groups", "consumers", "lag", "pending", "dead-letters", "length"),
    "ledger": ("database", "tables", "kill-switch", "contradictions", "external-trades"),
    "services": ("ready", "restarts", "versions", "clocks", "trading"),
    "settings": ("news-key", "gateway-secret"),
    "monitoring": ("prometheus", "rules", "targets", "alerts", "alertmanager", "relay"),
}
"""All checks by area; a check's full name is `area.check`."""

EXIT_WELL, EXIT_FAILED, EXIT_WARNINGS = 0, 1, 3


class Status(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


_WORST = (Status.FAILED, Status.WARNING, Status.OK, Status.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says.

    Args:
        check: `area.check`, as in CHECKS.
        status: how it came out.
        found: what is so.
        advice: what to do about it; empty where nothing is to be done.
    """

    check: str
    status: Status
    found: str
    advice: str = ""

    @property
    def area(self) -> str:
        """The part of the installation."""
        return self.check.partition(".")[0]


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """It is fine now, and may not be for long."""
    return Finding(check, Status.WARNING, found, advice)


def failed(check: str, found: str, advice: str) -> Finding:
    """It is broken, or loses something."""
    return Finding(check, Status.FAILED, found, advice)


def not_applicable(check: str, why: str) -> Finding:
    """This installation has no such thing, or its address is unknown."""
    return Finding(check, Status.NOT_APPLICABLE, why)


def unknown(check: str, why: str, advice: str) -> Finding:
    """The check itself could not run, which counts as failed."""
    return Finding(check, Status.FAILED, f"cannot be checked: {why}", advice)


def merged(check: str, problems: Sequence[Finding], well: str) -> Finding:
    """One finding for several problems, a line each, as bad as the worst; or what is well."""
    if not problems:
        return ok(check, well)
    return Finding(
        check,
        worst(problem.status for problem in problems),
        "\n".join(dict.fromkeys(problem.found for problem in problems)),
        "\n".join(dict.fromkeys(problem.advice for problem in problems if problem.advice)),
    )


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of them; of none, that nothing applied."""
    found = set(statuses)
    return next((status for status in _WORST if status in found), Status.NOT_APPLICABLE)


def exit_code(findings: Iterable[Finding], *, strict: bool) -> int:
    """0 well, 1 something failed, 3 warnings and nothing worse, if that is to count."""
    status = worst(finding.status for finding in findings)
    if status is Status.FAILED:
        return EXIT_FAILED
    return EXIT_WARNINGS if strict and status is Status.WARNING else EXIT_WELL


def chosen(words: Iterable[str]) -> tuple[str, ...]:
    """The full names of the checks that these words name; all for no words.

    Args:
        words: an area, as in `redis`, or one check, as in `redis.clock`.

    Raises:
        ValueError: a word names none; the message lists what there is.
    """
    names = tuple(f"{area}.{check}" for area, checks in CHECKS.items() for check in checks)
    wanted = tuple(words)
    for word in wanted:
        if word not in CHECKS and word not in names:
            # A wrong check of a known area is answered with the checks of that area alone.
            inside = CHECKS.get(word.partition(".")[0])
            there = f"{word.partition('.')[0]} has {', '.join(inside)}" if inside else ""
            raise ValueError(f"{word!r}; {there or 'there are ' + ', '.join(CHECKS)}")
    return tuple(
        name for name in names if not wanted or name in wanted or name.partition(".")[0] in wanted
    )
