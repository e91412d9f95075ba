"""The sentiment of articles: what it is, and who gives it.

`sentiment_vader.py` is the default: a lexicon and rules, a few microseconds a headline.
`finbert.py` asks a language model that the user mounts. Both read English alone.
"""

from pathlib import Path

from streamdesk.news_filter.adapters.vader.lexicon import Overlay, finance_overlay, parse_overlay
from streamdesk.news_filter.adapters.vader.scorer import VaderScorer
from streamdesk.news_filter.domain.sentiment import (
    NEUTRAL_BAND,
    Score,
    ScorerName,
    SentimentScorer,
    Weighted,
    blend,
)
from streamdesk.news_filter.errors import FinbertModelError

__all__ = [
    "NEUTRAL_BAND",
    "Overlay",
    "Score",
    "ScorerName",
    "SentimentScorer",
    "VaderScorer",
    "Weighted",
    "blend",
    "finance_overlay",
    "parse_overlay",
    "scorer_of",
]


def scorer_of(scorer: ScorerName, finbert_folder: Path | None = None) -> SentimentScorer:
    """The scorer that is set.

    Args:
        scorer: which one.
        finbert_folder: where the FinBERT model is; the other scorer does not look at it.

    Raises:
        FinbertModelError: there is no model that can be used, or nothing to run it with.
        LexiconError: the finance lexicon cannot be read.
    """
    if scorer is ScorerName.VADER:
        return VaderScorer(finance_overlay())
    if finbert_folder is None:
        raise FinbertModelError("no folder is set; FINBERT_FOLDER names the one with model.onnx")
    try:
        # What it needs is not in the default image.
        from streamdesk.news_filter.adapters.finbert.scorer import FinbertScorer  # noqa: PLC0415
    except ImportError as error:
        raise FinbertModelError(
            f"{error.name} is not installed; the image news-filter-finbert has it, or "
            "`pip install streamdesk-news-filter[finbert]`"
        ) from error
    return FinbertScorer(finbert_folder)
