"""What a news source is to this service.

A source is one module beside this one, named `source_<name>.py`. It turns an outside answer into
`RawArticle`s and judges nothing: the rules in `domain.py` hold for every source alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class RawArticle:
    """An article as the source gave it; nothing is checked yet, hence `object`.

    Attributes:
        title: the headline.
        link: the address of the article.
        published_at: a datetime, or text in ISO 8601; UTC where it names no zone.
        content: the text, as far as the source gives it.
        symbols: a list or tuple of the instruments it is about, in the source's spelling.
        tags: a list or tuple of the source's own topics.
        polarity: the source's own sentiment, -1 to 1, if it gives one.
    """

    title: object
    link: object
    published_at: object
    content: object = ""
    symbols: object = ()
    tags: object = ()
    polarity: object = None


class NewsSource(Protocol):
    """Where articles come from."""

    @property
    def name(self) -> str:
        """Name of the source in events and metrics."""
        ...

    async def fetch(self, since: datetime) -> Sequence[RawArticle]:
        """The articles published since a time, in the order to publish them.

        `since` is a wish: a source that knows days only, or that syndicates late, may return
        older articles, and the same article in many rounds.

        Raises:
            SourceError: there is no answer, or none that can be read.
        """
        ...
