"""The bounds of the figures, and the table of results."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

LOSES = "  <- ours loses"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The bound of one figure."""

    relation: Literal[">=", "<=", "="]
    bound: float

    def is_met(self, value: float) -> bool:
        """Whether a figure keeps to it."""
        if self.relation == ">=":
            return value >= self.bound
        if self.relation == "<=":
            return value <= self.bound
        return value == self.bound


WANTED = {
    "frame_e2e_per_s": Wanted(">=", 300_000),
    "entry_publish_per_s": Wanted(">=", 100_000),
    "entry_consume_per_s": Wanted(">=", 100_000),
    "publish_over_faststream": Wanted(">=", 4),
    "consume_over_faststream": Wanted(">=", 8),
    "ratio_to_c": Wanted(">=", 0.20),
    "e2e_p50_ms": Wanted("<=", 0.5),
    "e2e_p99_ms": Wanted("<=", 3),
    "publish_p50_ms": Wanted("<=", 0.3),
    "publish_p99_ms": Wanted("<=", 1),
    "consumers_100_lost": Wanted("=", 0),
    "consumers_100_doubled": Wanted("=", 0),
    "failover_gap_s": Wanted("<=", 2.5),
    "planned_gap_s": Wanted("<=", 1.5),
    "acked_lost": Wanted("=", 0),
}


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures, rounded to significant digits."""
    return {
        name: round(value) if value == round(value) or value >= 1_000 else round(value, 3)
        for name, value in figures.items()
    }


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 or value == round(value) else f"{value:,.3f}"


def our_lines(
    figures: Mapping[str, float], wanted_figures: Mapping[str, Wanted] = WANTED
) -> Iterator[str]:
    """One line for each figure: value, bound, and whether it is met."""
    yield f"{'ours':<26}{'figure':>12}{'wanted':>14}"
    for name, wanted in wanted_figures.items():
        if name in figures:
            bound = f"{wanted.relation} {_shown(wanted.bound)}"
            verdict = "met" if wanted.is_met(figures[name]) else "MISSED"
            yield f"{name:<26}{_shown(figures[name]):>12}{bound:>14}  {verdict}"


def peer_lines(figures: Mapping[str, float], titles: Mapping[str, str]) -> Iterator[str]:
    """One line for each peer: its rates, and ours as multiples of them.

    Args:
        figures: `<peer>_publish_per_s`, `<peer>_consume_per_s` where it consumes, and ours.
        titles: what each peer is called, with its version.
    """
    yield f"{'peers':<26}{'publish/s':>12}{'ours':>8}{'consume/s':>14}{'ours':>8}"
    for peer, title in titles.items():
        cells: list[str] = []
        loses = False
        for verb, width in (("publish", 12), ("consume", 14)):
            theirs = figures.get(f"{peer}_{verb}_per_s")
            if theirs is not None:
                ratio = figures[f"entry_{verb}_per_s"] / theirs
                loses = loses or ratio < 1
                cells.append(f"{theirs:>{width},.0f}{ratio:>7.2f}x")
        yield f"{title:<26}{''.join(cells)}{LOSES if loses else ''}"
