"""Sentiment by FinBERT, a language model for financial text (Araci, arXiv:1908.10063, 2019).

The model is the user's, in ONNX; it is asked on the CPU, in one thread, batch after batch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamdesk.news_filter.adapters.finbert.files import LABELS, TOKEN_TYPES, open_folder
from streamdesk.news_filter.domain.sentiment import NEUTRAL_BAND, Score, Weighted, lead, strongest
from streamdesk.news_filter.errors import FinbertModelError

Numbers = np.ndarray[Any, np.dtype[np.float64]]
BATCH = 16  # texts asked about at once: more is not faster on one core, and takes memory
DECIMALS = 4  # padding changes the last digits of 32 bits, so the same text in another batch would
LEAST_SHOWN = 0.05  # a smaller probability is not worth a word


class FinbertScorer:
    """A SentimentScorer that asks a language model: tens of milliseconds a headline.

    A sentiment is the probability of "positive" less that of "negative". The headline decides;
    where it is neutral, the mean of the first sentences of the text does. A model
    does not give the words that decide: a score's words are the labels, with their probability.

    Args:
        folder: where the model is; `files.py` lists the files.

    Raises:
        FinbertModelError: a file is missing or of another shape, or the model does not answer
            as one with these files does.
    """

    name = "finbert"
    slow = True

    def __init__(self, folder: Path) -> None:
        self._model = open_folder(folder)
        self._types = TOKEN_TYPES in {item.name for item in self._model.session.get_inputs()}
        self._order = [self._model.labels.index(label) for label in LABELS]
        self.version = self._model.version
        self._try(folder)

    def _try(self, folder: Path) -> None:
        """Ask once, with texts of two lengths and the tokenizer's last word among them."""
        last = max(self._model.tokenizer.get_vocab().values())
        try:
            self._ask([[*self._model.tokenizer.encode("Profit rises").ids, last], [last]])
        except FinbertModelError as error:
            raise FinbertModelError(f"{folder}: {error}") from error

    def score_many(self, articles: Sequence[tuple[str, str]]) -> list[Score]:
        """The sentiments of articles, each a title and a content.

        Raises:
            FinbertModelError: the model fails on one of them.
        """
        found = self._probabilities([title for title, _ in articles])
        leads = {
            place: sentences
            for place, (_, content) in enumerate(articles)
            if abs(_value(found[place])) < NEUTRAL_BAND and (sentences := lead(content))
        }
        asked = self._probabilities([text for sentences in leads.values() for text in sentences])
        begin = 0
        for place, sentences in leads.items():
            found[place] = asked[begin : begin + len(sentences)].mean(axis=0)
            begin += len(sentences)
        return [_score(row) for row in found]

    def _probabilities(self, texts: Sequence[str]) -> Numbers:
        """A row a text: the probabilities of `LABELS`."""
        # One after another: encode_batch would take every core there is.
        tokens = [self._model.tokenizer.encode(text).ids for text in texts]
        found = np.empty((len(texts), len(LABELS)))
        by_length = sorted(range(len(texts)), key=lambda place: len(tokens[place]))
        for begin in range(0, len(by_length), BATCH):
            places = by_length[begin : begin + BATCH]
            found[places] = self._ask([tokens[place] for place in places])
        return found

    def _ask(self, rows: Sequence[Sequence[int]]) -> Numbers:
        """Probabilities of `LABELS` for rows of token numbers."""
        shape = (len(rows), max(map(len, rows)))
        numbers, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for place, row in enumerate(rows):
            numbers[place, : len(row)] = row
            mask[place, : len(row)] = 1
        feed = {"input_ids": numbers, "attention_mask": mask}
        if self._types:
            feed[TOKEN_TYPES] = np.zeros(shape, np.int64)
        try:
            answer = np.asarray(self._model.session.run(None, feed)[0], np.float64)
        except Exception as error:  # its errors have no base of their own
            raise FinbertModelError(f"the model fails on {shape[0]} texts: {error}") from error
        if answer.shape != (len(rows), len(LABELS)) or not np.isfinite(answer).all():
            raise FinbertModelError(
                f"the model answers {shape[0]} texts with numbers of shape {answer.shape}, or not "
                f"with numbers; expected {len(LABELS)} logits a text"
            )
        powers = np.exp(answer - answer.max(axis=1, keepdims=True))
        found: Numbers = (powers / powers.sum(axis=1, keepdims=True))[:, self._order]
        return found


def _value(row: Numbers) -> float:
    return float(row[0] - row[1])


def _score(row: Numbers) -> Score:
    signed = {"positive": float(row[0]), "negative": -float(row[1])}
    words = (
        Weighted(label, round(weight, DECIMALS))
        for label, weight in signed.items()
        if abs(weight) >= LEAST_SHOWN
    )
    return Score(round(_value(row), DECIMALS), strongest(words))
