"""Articles for the news benchmark: each with a headline of its own, as the fetcher publishes them.

Number n is the same article in every process, so that the counting process knows what was sent.
No sentence is about a real event.
"""

import hashlib
from datetime import datetime, timedelta

from streamdesk.contracts.events import NewsFetched
from streamdesk.runtime.watchlist import WATCHLIST

COMPANIES = (
    "Apple", "Microsoft", "Nvidia", "Tesla", "Amazon", "Alphabet", "Meta", "Tencent", "Alibaba",
    "Meituan", "HSBC", "Xiaomi",
)  # fmt: skip
GOOD = (
    "{company} beats estimates and raises full-year guidance after {count} new contracts",
    "Analysts upgrade {company}, citing accelerating demand for order {count}",
    "{company} shares surge {share}% to record high on strong {quarter} results",
    "Profit at {company} jumps {share}% as margins expand in {place}",
    "{company} announces share buyback worth {count} million, stock rallies",
)
BAD = (
    "{company} shares plunge {share}% after analyst downgrade in {place}",
    "{company} misses {quarter} estimates and cuts guidance by {count} million",
    "{company} faces antitrust probe over pricing of {count} products in {place}",
    "{company} issues profit warning as demand weakens {share}% in {place}",
)
NEUTRAL = (
    "{company} to report {quarter} results on Thursday, filing {count} says",
    "{company} names new head of supply chain for {place}, memo {count}",
    "{company} moves regional office {count} to {place}",
)
TONES = (GOOD, BAD, GOOD, BAD, NEUTRAL)  # two articles of five are good news, two bad, one neutral
SENTENCES = (
    "Revenue for {quarter} came to {count} million dollars, {share} percent above the year before.",
    "The company employs about {count} people in {place} and has been there for eleven years.",
    "Brokers had expected operating margins to widen by {share} points before the announcement.",
    "A spokesman said on Tuesday that orders from {place} had grown and that capacity was tight.",
    "Shares of the group have gained {share} percent since January, a little less than the index.",
    "The board will meet next month to discuss the dividend and the budget for the coming year.",
    "Suppliers in {place} reported a weak start into {quarter}, while exports stayed robust.",
)
SENTENCES_EACH = 4
PLACES = ("Asia", "Europe", "Singapore", "Texas", "Shenzhen", "Latin America", "Ireland")
AGE = timedelta(minutes=5)


def link_of(number: int) -> str:
    """The link of article `number`."""
    return f"https://news.example/2026/11/{number % 28 + 1:02}/article-{number}"


def hash_of(number: int) -> str:
    """Its link hash, as the contract defines it."""
    return hashlib.sha256(link_of(number).encode()).hexdigest()[:32]


def article(number: int, fetched_at: datetime, *, is_loud: bool = False) -> NewsFetched:
    """Article `number`: young, about one instrument of the watchlist, some 400 characters long.

    Args:
        number: of the article; no two have the same headline.
        fetched_at: when it was fetched.
        is_loud: whether its headline must be clearly positive or negative.
    """
    at = number % len(COMPANIES)
    tones = (GOOD, BAD) if is_loud else TONES
    templates = tones[number % len(tones)]
    words = {
        "company": COMPANIES[at],
        "count": str(1_000 + number),
        "share": f"{number % 97 / 10 + 1:.1f}",
        "quarter": f"Q{number % 4 + 1}",
        "place": PLACES[number // 5 % len(PLACES)],
    }
    title = templates[number // len(tones) % len(templates)].format(**words)
    first = number % len(SENTENCES)
    text = (SENTENCES[(first + step) % len(SENTENCES)] for step in range(SENTENCES_EACH))
    symbol = WATCHLIST[at]
    return NewsFetched(
        link_hash=hash_of(number),
        title=title if words["count"] in title else f"{title}, {words['count']}",
        content=" ".join(text).format(**words),
        link=link_of(number),
        source="eodhd",
        published_at=fetched_at - AGE,
        fetched_at=fetched_at,
        symbols=(symbol,),
        tags=("earnings", "markets"),
        polarity=None if number % 3 == 0 else number % 19 / 10 - 0.9,
        ticker=symbol,
    )
