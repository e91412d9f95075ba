"""Made-up news for the simulated source. No sentence is about a real event.

`{company}` is replaced by the company's name.
"""

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """What a reader would make of it for the share price."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Headline:
    """A headline, the beginning of its text, and the source's own topics."""

    title: str
    lead: str
    tags: tuple[str, ...]


COMPANIES: dict[str, str] = {
    "AAPL.US": "Apple",
    "MSFT.US": "Microsoft",
    "NVDA.US": "Nvidia",
    "TSLA.US": "Tesla",
    "AMZN.US": "Amazon",
    "GOOGL.US": "Alphabet",
    "META.US": "Meta",
    "700.HK": "Tencent",
    "9988.HK": "Alibaba",
    "3690.HK": "Meituan",
    "5.HK": "HSBC",
    "1810.HK": "Xiaomi",
}
"""The desk's instruments, in our spelling."""

STRANGERS: dict[str, str] = {
    "LKFD.US": "Larkfield Robotics",
    "HBTEA.US": "Harbour Tea Holdings",
    "NLE.XETRA": "Nordlicht Energie",
}
"""Invented companies that are on no watchlist, one of them on a market the desk does not trade."""

HEADLINES: dict[Tone, tuple[Headline, ...]] = {
    Tone.POSITIVE: (
        Headline(
            "{company} beats estimates and raises full-year guidance",
            "{company} reported quarterly revenue above expectations and lifted its outlook.",
            ("earnings",),
        ),
        Headline(
            "{company} shares surge to record high after strong results",
            "Shares of {company} climbed as investors welcomed wider margins.",
            ("earnings", "markets"),
        ),
        Headline(
            "Analysts upgrade {company}, citing accelerating demand",
            "Two brokers raised their price targets for {company}.",
            ("analysts",),
        ),
        Headline(
            "{company} wins landmark contract and boosts its dividend",
            "The agreement is expected to add to earnings from next year.",
            ("contracts", "dividends"),
        ),
        Headline(
            "Profit at {company} jumps as margins expand",
            "Operating profit rose faster than revenue for the third quarter in a row.",
            ("earnings",),
        ),
        Headline(
            "{company} announces share buyback, stock rallies",
            "The board approved a repurchase programme that runs until the end of next year.",
            ("buybacks",),
        ),
        Headline(
            "Regulators approve {company} deal, shares rise",
            "The last open condition of the transaction is met.",
            ("regulation", "deals"),
        ),
        Headline(
            "{company} tops forecasts on record cloud orders",
            "New orders reached a record, the company said.",
            ("earnings", "cloud"),
        ),
        Headline(
            "Brokers turn bullish on {company} after robust sales",
            "Weekly sales figures came in well ahead of last year's.",
            ("analysts", "sales"),
        ),
        Headline(
            "{company} outperforms peers with strong growth in Asia",
            "The region delivered its best quarter so far.",
            ("earnings", "asia"),
        ),
    ),
    Tone.NEGATIVE: (
        Headline(
            "{company} shares plunge after analyst downgrade",
            "The broker cut its price target and named slowing demand.",
            ("analysts", "markets"),
        ),
        Headline(
            "{company} misses estimates and cuts guidance",
            "Revenue fell short of expectations in every segment.",
            ("earnings",),
        ),
        Headline(
            "{company} faces antitrust probe over pricing",
            "Regulators opened an investigation after complaints by rivals.",
            ("regulation",),
        ),
        Headline(
            "{company} issues profit warning as demand weakens",
            "Management expects margins to shrink for the rest of the year.",
            ("earnings",),
        ),
        Headline(
            "{company} to recall devices over battery defects",
            "The recall affects products sold in the first half of the year.",
            ("products",),
        ),
        Headline(
            "{company} sued by investors over misleading forecasts",
            "The complaint says executives knew of falling orders.",
            ("legal",),
        ),
        Headline(
            "{company} stock tumbles to two-year low amid layoffs",
            "The company plans to close several offices.",
            ("markets", "jobs"),
        ),
    ),
    Tone.NEUTRAL: (
        Headline(
            "{company} to report quarterly results on Thursday",
            "A conference call follows after the close.",
            ("calendar",),
        ),
        Headline(
            "{company} names new head of supply chain",
            "The appointment takes effect at the start of the quarter.",
            ("management",),
        ),
        Headline(
            "{company} schedules annual general meeting for May",
            "Shareholders receive the agenda six weeks before.",
            ("calendar",),
        ),
        Headline(
            "What to watch in {company} options this week",
            "Open interest sits close to the current price.",
            ("options",),
        ),
        Headline(
            "{company} moves regional office to Singapore",
            "About two hundred people work there.",
            ("company",),
        ),
    ),
}
