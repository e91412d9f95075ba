"""The labelled set has the stated properties; the lexicon leads on held-out headlines."""

from collections.abc import Sequence

from streamdesk.news_filter.domain.sentiment import Score
from tests.benchmarks.sentiment import LABELS, figures, label_of, macro_f1, read_headlines

LEAST_GAIN = 0.15
LEAST_HEADLINES = 300


def test_the_labelled_set_is_large_balanced_and_a_third_of_it_is_held_out() -> None:
    parts = read_headlines()
    sizes = {part: [len(rows[label]) for label in LABELS] for part, rows in parts.items()}
    everything = sum(sum(counts) for counts in sizes.values())
    assert everything >= LEAST_HEADLINES
    assert all(len(set(counts)) == 1 for counts in sizes.values()), sizes
    assert abs(sum(sizes["held_out"]) / everything - 1 / 3) < 0.01


def test_no_headline_occurs_twice() -> None:
    parts = read_headlines().values()
    headlines = [headline for part in parts for rows in part.values() for headline in rows]
    assert len(set(headlines)) == len(headlines)


def test_the_lexicon_gains_on_headlines_that_it_was_not_tuned_with() -> None:
    assert figures()["macro_f1_gain"] >= LEAST_GAIN


def test_macro_f1_is_one_for_a_perfect_judge_and_weighs_labels_alike() -> None:
    class Perfect:
        name, version, slow = "perfect", "1", False

        def score_many(self, articles: Sequence[tuple[str, str]]) -> list[Score]:
            return [Score({"good": 1.0, "bad": -1.0}.get(title, 0.0)) for title, _ in articles]

    part = {"positive": ["good"] * 8, "negative": ["bad"], "neutral": ["so"]}
    assert macro_f1(Perfect(), part) == 1
    part = {"positive": ["good"] * 8, "negative": ["bad"], "neutral": ["good"]}
    assert round(macro_f1(Perfect(), part), 3) == round((16 / 17 + 1 + 0) / 3, 3)
    assert [label_of(score) for score in (0.05, -0.05, 0.049)] == [
        "positive",
        "negative",
        "neutral",
    ]
