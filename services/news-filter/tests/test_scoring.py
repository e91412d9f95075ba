from collections.abc import Sequence

import pytest

from streamdesk.news_filter.application.score_articles import Scoring
from streamdesk.news_filter.domain.sentiment import Score

Article = tuple[str, str]


class Lengths:
    """Scores a title by its length; `bad` in it breaks whatever batch it is in."""

    name = "lengths"
    version = "1"

    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self.batches: list[list[Article]] = []

    def score_many(self, articles: Sequence[Article]) -> list[Score]:
        self.batches.append(list(articles))
        if any("bad" in title for title, _ in articles):
            raise ValueError("no score for this")
        return [Score(len(title) / 1000) for title, _ in articles]


@pytest.mark.parametrize("slow", [False, True])
async def test_a_batch_is_scored_in_one_call_and_in_order(slow: bool) -> None:
    scorer = Lengths(slow=slow)
    articles = [("a", ""), ("bbb", "x"), ("cc", "")]
    assert await Scoring(scorer).scores(articles) == [Score(0.001), Score(0.003), Score(0.002)]
    assert scorer.batches == [articles]


async def test_the_same_article_twice_in_a_batch_is_scored_once() -> None:
    scorer = Lengths()
    scores = await Scoring(scorer).scores([("a", ""), ("bb", ""), ("a", "")])
    assert scores == [Score(0.001), Score(0.002), Score(0.001)]
    assert scorer.batches == [[("a", ""), ("bb", "")]]


@pytest.mark.parametrize("slow", [False, True])
async def test_an_article_that_cannot_be_scored_fails_alone(slow: bool) -> None:
    scores = await Scoring(Lengths(slow=slow)).scores([("a", ""), ("bad", ""), ("bb", "")])
    assert [scores[0], scores[2]] == [Score(0.001), Score(0.002)]
    assert isinstance(scores[1], ValueError)


async def test_nothing_is_asked_for_no_articles() -> None:
    scorer = Lengths()
    assert await Scoring(scorer).scores([]) == []
    assert scorer.batches == []
