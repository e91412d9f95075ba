"""Reading a list by limit and offset while it changes, without losing any of it.

The list is newest first. Articles that arrive meanwhile push the others to higher offsets, where
they come again; articles that are withdrawn pull them to lower ones, where they would be missed. So
each page begins a little before the end of the last one: if nothing of the last one is in it, more
than that was withdrawn, and what was read is not the whole.
"""

from datetime import UTC, datetime
from itertools import pairwise

from streamdesk.news_fetcher.domain.articles import RawArticle, published
from streamdesk.news_fetcher.errors import NewsSourceUnavailableError, SourceUnreadableError

LARGEST_PAGE = 1_000
"""Articles that one request may ask for; the cost is the same for one."""

OVERLAP = 20
"""Articles of a page that the next one asks for again."""

MOST_PAGES = 60
"""More are not read: some 58,000 articles about one instrument are a mistake, and expensive."""

NOTHING_NEW = 3
"""So many full pages in a row without a new article: the server repeats itself endlessly."""

ROUND = 50
"""A server that caps the limit does so at a round number; 50 is EODHD's default."""

_EARLIEST = datetime.min.replace(tzinfo=UTC)


class Pages:
    """The pages of one query so far.

    Args:
        limit: articles to ask for in one request.
        since: articles published before are not wanted.
        what: the query, for messages.
        most: pages to read at most.
    """

    def __init__(
        self, *, since: datetime, what: str, limit: int = LARGEST_PAGE, most: int = MOST_PAGES
    ) -> None:
        self.limit = limit
        self.offset = 0
        self._since = since
        self._what = what
        self._most = most
        self._pages = 0
        self._nothing_new = 0
        self._full = limit
        self._overlap = 0
        self._found: dict[tuple[str, str, str], RawArticle] = {}

    def add(self, page: list[RawArticle]) -> bool:
        """Add a page; returns whether there may be more, to be asked for at `offset`.

        Raises:
            NewsSourceUnavailableError: articles were withdrawn meanwhile; some may be missing.
            SourceUnreadableError: the list does not end.
        """
        found = {_identity(article): article for article in page}
        # Articles were withdrawn while the list was read: more of them than pages overlap.
        if self._overlap and self._found.keys().isdisjoint(found):
            raise NewsSourceUnavailableError(
                f"{self._what}: the list changed while it was read; nothing at offset "
                f"{self.offset} was there before"
            )
        # A first page that is short by a round number was capped by the server: it is full.
        if not self._pages and len(page) < self.limit and len(page) % ROUND == 0:
            self._full = max(1, len(page))
        before = len(self._found)
        self._found.update(found)
        self._pages += 1
        self._nothing_new = 0 if len(self._found) > before else self._nothing_new + 1
        # The end of the list, or of the time asked for.
        if len(page) < self._full or self._reaches_back(page):
            return False
        # A server that ignores the offset would be read without end.
        if self._pages == self._most or self._nothing_new == NOTHING_NEW:
            raise SourceUnreadableError(
                f"{self._what}: {len(self._found)} articles in {self._pages} pages and no end; "
                "ask for less time (NEWS_LOOKBACK_HOURS)"
            )
        self._overlap = min(OVERLAP, (len(page) - 1) // 2)
        self.offset += len(page) - self._overlap
        return True

    def articles(self) -> list[RawArticle]:
        """All that are wanted, each once, oldest first; those without a readable date before."""
        dated = [(published(article), article) for article in self._found.values()]
        wanted = [
            (at or _EARLIEST, article)
            for at, article in reversed(dated)
            if at is None or at >= self._since
        ]
        return [article for _, article in sorted(wanted, key=lambda one: one[0])]

    def _reaches_back(self, page: list[RawArticle]) -> bool:
        """Whether all that follows is older than what is wanted, in a list that is in order."""
        times = [published(article) for article in page]
        read = [time for time in times if time is not None]
        in_order = len(read) == len(page) and all(a >= b for a, b in pairwise(read))
        return in_order and read[-1] < self._since


def _identity(article: RawArticle) -> tuple[str, str, str]:
    """What makes an entry the same entry: EODHD gives its articles no id."""
    return str(article.link), str(article.published_at), str(article.title)
