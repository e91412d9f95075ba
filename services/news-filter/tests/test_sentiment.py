from pathlib import Path

import pytest
import yaml

from streamdesk.news_filter.errors import LexiconError
from streamdesk.news_filter.sentiment import (
    NEUTRAL_BAND,
    VaderScorer,
    finance_overlay,
    parse_overlay,
)

Labelled = dict[str, dict[str, list[str]]]
THRESHOLD = 0.5


@pytest.fixture(scope="module")
def bare() -> VaderScorer:
    return VaderScorer(None)


@pytest.fixture(scope="module")
def scorer() -> VaderScorer:
    return VaderScorer(finance_overlay())


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    text = (Path(__file__).parent / "labelled_headlines.yaml").read_text(encoding="utf-8")
    headlines: Labelled = yaml.safe_load(text)
    return headlines


def label(score: float) -> str:
    if abs(score) < NEUTRAL_BAND:
        return "neutral"
    return "positive" if score > 0 else "negative"


def accuracy(scorer: VaderScorer, headlines: dict[str, list[str]]) -> float:
    right = [
        label(scorer.score(headline, "")) == expected
        for expected, group in headlines.items()
        for headline in group
    ]
    return sum(right) / len(right)


def test_a_plunge_after_a_downgrade_is_bad_news_though_bare_vader_likes_shares(
    bare: VaderScorer, scorer: VaderScorer
) -> None:
    headline = "Shares plunge after downgrade"
    assert bare.score(headline, "") == pytest.approx(0.296)
    assert scorer.score(headline, "") < -THRESHOLD


@pytest.mark.parametrize(
    "headline",
    [
        "Apple beats estimates",
        "Apple tops Wall Street's revenue forecasts",
        "Tencent raises full-year guidance",
        "Losses narrow at Meituan",
        "Alibaba swings to profit",
        "HSBC hikes its dividend",
        "Costs fall at Tesla",
    ],
)
def test_good_news_in_the_language_of_finance_is_positive(
    scorer: VaderScorer, headline: str
) -> None:
    assert scorer.score(headline, "") >= NEUTRAL_BAND


@pytest.mark.parametrize(
    "headline",
    [
        "Apple misses estimates",
        "Tesla cuts its full-year outlook",
        "Losses widen at Meituan",
        "HSBC suspends dividend",
        "Costs rise at Tesla",
        "Xiaomi issues profit warning",
        "Meta to lay off thousands",
        "Alphabet did not beat estimates",
    ],
)
def test_bad_news_in_the_language_of_finance_is_negative(
    scorer: VaderScorer, headline: str
) -> None:
    assert scorer.score(headline, "") <= -NEUTRAL_BAND


@pytest.mark.parametrize(
    "headline",
    [
        "Outstanding shares total 40 million",
        "Gross interest on debt securities",
        "United Parcel Trust to report profit on Monday",
    ],
)
def test_the_vocabulary_of_finance_is_no_judgement(
    bare: VaderScorer, scorer: VaderScorer, headline: str
) -> None:
    assert scorer.score(headline, "") == 0
    assert bare.score(headline, "") != 0


def test_the_overlay_is_right_where_bare_vader_is_half_of_the_time(
    bare: VaderScorer, scorer: VaderScorer, labelled: Labelled
) -> None:
    # 49 % and 97 % when this was written, on the headlines the lexicon was written with.
    assert accuracy(bare, labelled["seen"]) < 0.55
    assert accuracy(scorer, labelled["seen"]) >= 0.9


def test_the_overlay_helps_with_headlines_it_was_not_written_for(
    bare: VaderScorer, scorer: VaderScorer, labelled: Labelled
) -> None:
    # 50 % and 80 % when this was written: what it does not know comes out as neutral.
    assert accuracy(scorer, labelled["unseen"]) >= 0.7
    assert accuracy(scorer, labelled["unseen"]) > accuracy(bare, labelled["unseen"])


def test_no_bad_or_neutral_headline_passes_the_threshold(
    scorer: VaderScorer, labelled: Labelled
) -> None:
    passing = [
        headline
        for part in labelled.values()
        for expected in ("negative", "neutral")
        for headline in part[expected]
        if scorer.score(headline, "") > THRESHOLD
    ]
    assert passing == []


def test_three_quarters_of_the_good_headlines_seen_pass_the_threshold(
    scorer: VaderScorer, labelled: Labelled
) -> None:
    good = labelled["seen"]["positive"]
    passing = [headline for headline in good if scorer.score(headline, "") > THRESHOLD]
    assert len(passing) / len(good) >= 0.75


def test_the_same_article_always_has_the_same_sentiment(labelled: Labelled) -> None:
    one, other = VaderScorer(finance_overlay()), VaderScorer(finance_overlay())
    for headline in labelled["seen"]["positive"] + labelled["unseen"]["negative"]:
        assert one.score(headline, headline) == other.score(headline, headline)


def test_the_headline_decides_whatever_the_text_says(scorer: VaderScorer) -> None:
    headline = "Apple beats estimates"
    assert scorer.score(headline, "Fraud. Collapse. Bankruptcy.") == scorer.score(headline, "")


def test_the_text_decides_where_the_headline_says_nothing(scorer: VaderScorer) -> None:
    title = "Apple reports quarterly results"
    assert scorer.score(title, "") == 0
    assert scorer.score(title, "Apple beat estimates.") > THRESHOLD
    mixed = scorer.score(title, "Apple beat estimates. The call was on Monday.")
    assert 0 < mixed < scorer.score(title, "Apple beat estimates.")


def test_only_the_beginning_of_a_text_is_read(scorer: VaderScorer) -> None:
    lead = "One. Two. Three. "
    assert scorer.score("Apple reports", lead + "Shares plunge on fraud.") == 0


@pytest.mark.parametrize("text", ["", "   ", "...", "腾讯盈利超预期", "🚀" * 50, "a" * 5_000])
def test_odd_texts_have_a_score_too(scorer: VaderScorer, text: str) -> None:
    assert -1 <= scorer.score(text, text) <= 1


def test_the_words_of_a_pair_may_stand_apart_but_not_across_a_sentence(
    scorer: VaderScorer,
) -> None:
    near = scorer.score("Apple raises its full-year guidance", "")
    assert near == scorer.score("Apple raises guidance", "") > THRESHOLD
    assert scorer.score("Apple raises wages. Guidance is due on Monday", "") == 0


@pytest.mark.parametrize(
    "text",
    [
        "neutral: [",
        "[]",
        "words: {}",
        "{neutral: [a], words: {9: [b]}, pairs: []}",
        "{neutral: [a], words: {x: [b]}, pairs: []}",
        "{neutral: [off], words: {}, pairs: []}",
        "{neutral: [a], words: {1: [b]}, pairs: [{any: [c], valence: 1}]}",
        "{neutral: [a], words: {.nan: [b]}, pairs: []}",
        "{neutral: 7, words: {}, pairs: []}",
    ],
)
def test_a_lexicon_of_another_shape_is_refused_in_words(text: str) -> None:
    with pytest.raises(LexiconError, match="the finance lexicon cannot be read"):
        parse_overlay(text)


def test_no_word_of_the_lexicon_has_two_valences() -> None:
    read = yaml.safe_load(
        (
            Path(__file__).parent.parent / "src/streamdesk/news_filter/finance_lexicon.yaml"
        ).read_text(encoding="utf-8")
    )
    words = [word for group in (read["neutral"], *read["words"].values()) for word in group]
    assert sorted(words) == sorted(set(words))
