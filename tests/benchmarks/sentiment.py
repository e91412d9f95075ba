"""How well headlines are scored: with plain VADER, and with our finance lexicon over it.

The table has macro-F1, the mean over the three labels of the harmonic mean of precision and recall
(Sokolova & Lapalme, Information Processing & Management 45, 2009), on the part of the headlines
that the lexicon was tuned with and on the held-out part. The last line is JSON; in it,
`us_per_headline` is the time of our lexicon for one headline, in microseconds.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from streamdesk.news_filter.adapters.sentiment_scorer import SentimentScorer
from streamdesk.news_filter.adapters.vader.lexicon import finance_overlay
from streamdesk.news_filter.adapters.vader.scorer import VaderScorer
from streamdesk.news_filter.domain.sentiment import NEUTRAL_BAND

LABELS = ("positive", "negative", "neutral")
HEADLINES = Path(__file__).parent / "headlines.yaml"
PASSES = 20
Part = Mapping[str, Sequence[str]]


def read_headlines() -> dict[str, Part]:
    """The parts of the labelled set: label to headlines."""
    parts: dict[str, Part] = yaml.safe_load(HEADLINES.read_text(encoding="utf-8"))
    return parts


def label_of(score: float) -> str:
    """The label of a score from -1 to 1, with VADER's own neutral band."""
    if abs(score) < NEUTRAL_BAND:
        return "neutral"
    return "positive" if score > 0 else "negative"


def macro_f1(scorer: SentimentScorer, part: Part) -> float:
    """Mean F1 of the labels, 0 to 1."""
    rows = [(label, headline) for label, headlines in part.items() for headline in headlines]
    scores = scorer.score_many([(headline, "") for _, headline in rows])
    judged = [
        (label, label_of(score.value)) for (label, _), score in zip(rows, scores, strict=True)
    ]
    return sum(_f1(judged, label) for label in LABELS) / len(LABELS)


def _f1(judged: Sequence[tuple[str, str]], label: str) -> float:
    right = sum(expected == label == given for expected, given in judged)
    named = sum((expected == label) + (given == label) for expected, given in judged)
    return 2 * right / named if named else 0.0


def microseconds_per_headline(scorer: SentimentScorer, parts: Mapping[str, Part]) -> float:
    """The fastest of a few passes over all headlines, the least affected by other load."""
    articles = [
        (headline, "") for part in parts.values() for rows in part.values() for headline in rows
    ]
    passes = []
    for _ in range(PASSES):
        begun = time.perf_counter()
        scorer.score_many(articles)
        passes.append(time.perf_counter() - begun)
    return min(passes) / len(articles) * 1e6


def figures() -> dict[str, float]:
    """All figures of the benchmark."""
    parts = read_headlines()
    scorers: dict[str, SentimentScorer] = {
        "vader": VaderScorer(None),
        "ours": VaderScorer(finance_overlay()),
    }
    found = {
        f"{part}_{name}_macro_f1": round(macro_f1(scorer, parts[part]), 3)
        for part in ("tuning", "held_out")
        for name, scorer in scorers.items()
    }
    gain = found["held_out_ours_macro_f1"] - found["held_out_vader_macro_f1"]
    quickest = microseconds_per_headline(scorers["ours"], parts)
    return {**found, "us_per_headline": round(quickest, 1), "macro_f1_gain": round(gain, 3)}


def main() -> None:
    """Print the table and the line of JSON."""
    parts, found = read_headlines(), figures()
    write = sys.stdout.write
    write("| headlines | number | plain VADER | ours |\n|---|---:|---:|---:|\n")
    for part in ("tuning", "held_out"):
        number = sum(len(rows) for rows in parts[part].values())
        plain, ours = found[f"{part}_vader_macro_f1"], found[f"{part}_ours_macro_f1"]
        write(f"| {part.replace('_', ' ')} | {number} | {plain:.3f} | {ours:.3f} |\n")
    write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
