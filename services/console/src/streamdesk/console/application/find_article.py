"""Finds an article that the desk has fetched, by its title."""

from streamdesk.bus import Bus
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import NewsFetched

BEGINNING = "0"
SECONDS_AN_HOUR = 3_600


async def find_article(bus: Bus, topic: Topic[NewsFetched], title: str) -> NewsFetched | None:
    """The newest article of this title, in any case; None if there is none.

    Args:
        bus: where to look.
        topic: of raw news.
        title: the headline; spaces count as one.
    """
    wanted, found = _spelled(title), None
    async for message in bus.replay(topic, BEGINNING):
        if _spelled(message.event.title) == wanted:
            found = message.event
    return found


def _spelled(title: str) -> str:
    return " ".join(title.casefold().split())


def as_options(article: NewsFetched) -> list[str]:
    """Options of the filter that describe an article as it was when it was fetched."""
    age_seconds = (article.fetched_at - article.published_at).total_seconds()
    content = article.content.replace("\0", " ")  # which no command line can hold
    options = [f"--content={content}", f"--age-hours={age_seconds / SECONDS_AN_HOUR:.6f}"]
    options += [f"--ticker={symbol}" for symbol in article.symbols]
    if article.polarity is not None:
        options.append(f"--polarity={article.polarity}")
    return options
