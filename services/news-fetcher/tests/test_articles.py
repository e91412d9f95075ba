from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from streamdesk.contracts.events import NewsFetched
from streamdesk.contracts.topics import NEWS_WINDOW_SECONDS
from streamdesk.news_fetcher import errors
from streamdesk.news_fetcher.domain.articles import (
    TAGS_MAX,
    TITLE_MAX_CHARS,
    FetchLimits,
    RawArticle,
    accept,
    event_id,
)
from streamdesk.news_fetcher.domain.fetcher_state import fingerprint
from streamdesk.news_fetcher.domain.links import SeenWindow, link_hash

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
TOLERANCE = timedelta(minutes=5)
LINK = "https://news.example/story"


def accepted(ticker: str | None = None, **changes: Any) -> NewsFetched:
    values: dict[str, Any] = {"title": "Apple beats estimates", "link": LINK, "published_at": NOW}
    limits = FetchLimits(content_max_chars=20, future_tolerance=TOLERANCE)
    raw = RawArticle(**(values | changes))
    return accept(raw, source="test", fetched_at=NOW, limits=limits, ticker=ticker)


def test_a_good_article_becomes_an_event_that_keeps_all_of_it() -> None:
    event = accepted(
        content="The text.",
        symbols=["AAPL.US"],
        tags=["earnings"],
        polarity=0.5,
        published_at="2026-11-20T15:29:00+00:00",
    )
    assert event == NewsFetched(
        link_hash=link_hash(LINK),
        title="Apple beats estimates",
        content="The text.",
        link=LINK,
        source="test",
        published_at=datetime(2026, 11, 20, 15, 29, tzinfo=UTC),
        fetched_at=NOW,
        symbols=("AAPL.US",),
        tags=("earnings",),
        polarity=0.5,
    )


def test_the_link_of_an_event_is_the_one_that_its_hash_is_of() -> None:
    event = accepted(link=f" {LINK}/?utm_source=feed#top ")
    assert (event.link, event.link_hash) == (LINK, link_hash(LINK))


@pytest.mark.parametrize("title", [None, "", " \t\n", "\x00\x1f", 7, ["a title"]])
def test_an_article_without_a_title_is_refused(title: object) -> None:
    with pytest.raises(errors.TitleMissingError, match=LINK) as caught:
        accepted(title=title)
    assert caught.value.reason == "title-missing"


@pytest.mark.parametrize("link", [None, "", "  ", 7])
def test_an_article_without_a_link_is_refused(link: object) -> None:
    with pytest.raises(errors.LinkMissingError, match="Apple beats estimates") as caught:
        accepted(link=link)
    assert caught.value.reason == "link-missing"


@pytest.mark.parametrize(
    "published_at",
    [
        None,
        "",
        "yesterday",
        "2026-13-01T00:00:00Z",
        1_700_000_000,
        float("nan"),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=8))),
    ],
)
def test_an_article_without_a_readable_date_is_refused(published_at: object) -> None:
    with pytest.raises(errors.DateInvalidError, match="expected ISO 8601") as caught:
        accepted(published_at=published_at)
    assert caught.value.reason == "date-invalid"


@pytest.mark.parametrize(
    "published_at",
    ["2026-11-20T15:00:00Z", "2026-11-20 15:00:00", "2026-11-20T23:00:00+08:00"],
)
def test_a_date_is_kept_in_utc_and_is_utc_where_it_names_no_zone(published_at: str) -> None:
    event = accepted(published_at=published_at)
    assert event.published_at == datetime(2026, 11, 20, 15, tzinfo=UTC)
    assert event.published_at.utcoffset() == timedelta(0)


def test_an_article_older_than_published_ones_are_known_is_refused() -> None:
    known = timedelta(seconds=NEWS_WINDOW_SECONDS)
    day = timedelta(days=1)  # what a source that knows days only returns too much
    assert accepted(published_at=NOW - known + day).published_at == NOW - known + day
    with pytest.raises(errors.DateTooOldError, match="might have been published") as caught:
        accepted(published_at=NOW - known + day - timedelta(seconds=1))
    assert caught.value.reason == "date-too-old"


def test_the_id_of_an_event_follows_from_the_link_alone() -> None:
    ids = {
        event_id(accepted(link=link, title=title, ticker=ticker))
        for link, title, ticker in [
            (LINK, "One title", "AAPL.US"),
            (f"{LINK}?utm_source=mail", "Another", None),
        ]
    }
    assert len(ids) == 1
    assert event_id(accepted(link=f"{LINK}/2")) not in ids


def test_an_article_says_for_which_instrument_it_was_asked() -> None:
    limits = FetchLimits(content_max_chars=20, future_tolerance=TOLERANCE)
    raw = RawArticle(title="t", link=LINK, published_at=NOW)
    event = accept(raw, source="test", fetched_at=NOW, limits=limits, ticker="700.HK")
    assert event.ticker == "700.HK"


def test_a_fingerprint_tells_keys_apart_and_holds_nothing_of_them() -> None:
    prints = {fingerprint(key) for key in ("placeholder-1", "placeholder-2")}
    assert len(prints) == 2
    assert all(len(one) == 8 for one in prints)


def test_a_date_ahead_within_the_tolerance_becomes_the_time_of_the_fetch() -> None:
    assert accepted(published_at=NOW + TOLERANCE).published_at == NOW


@pytest.mark.parametrize("ahead", [timedelta(microseconds=1), timedelta(days=3650)])
def test_a_date_ahead_of_the_tolerance_is_refused(ahead: timedelta) -> None:
    with pytest.raises(errors.DateInFutureError, match="ahead of now") as caught:
        accepted(published_at=NOW + TOLERANCE + ahead)
    assert caught.value.reason == "date-in-future"


def test_overlong_texts_are_cut() -> None:
    event = accepted(title="t" * 5_000, content="c" * 21)
    assert (len(event.title), len(event.content)) == (TITLE_MAX_CHARS, 20)


def test_control_characters_and_broken_unicode_are_taken_out_of_texts() -> None:
    event = accepted(title="Apple\u0000 beats\n\n\testimates \ud800", content="a\u2028b")
    assert event.title == "Apple beats estimates ?"
    assert event.content == "a b"


def test_content_that_is_no_text_is_empty() -> None:
    assert accepted(content=None).content == ""


def test_symbols_are_spelled_our_way_once_each_and_other_markets_left_out() -> None:
    event = accepted(
        symbols=["aapl.us", "0700.HK", "700.HK", "BRK-B.US", "SAP.XETRA", "", 7, "A B.US"]
    )
    assert event.symbols == ("AAPL.US", "700.HK", "BRK.B.US")


@pytest.mark.parametrize("values", [None, "AAPL.US", {"AAPL.US": 1}, 7])
def test_symbols_and_tags_that_are_no_list_are_none(values: object) -> None:
    event = accepted(symbols=values, tags=values)
    assert (event.symbols, event.tags) == ((), ())


def test_too_many_tags_are_cut() -> None:
    assert len(accepted(tags=[f"tag {n}" for n in range(200)]).tags) == TAGS_MAX


@pytest.mark.parametrize("polarity", [float("nan"), float("inf"), 1.01, -2, "0.5", True, None])
def test_a_polarity_that_is_no_number_from_minus_one_to_one_is_left_out(polarity: object) -> None:
    assert accepted(polarity=polarity).polarity is None


def test_what_the_event_refuses_for_another_reason_is_an_article_error_too() -> None:
    limits = FetchLimits(content_max_chars=1_000_000, future_tolerance=TOLERANCE)
    raw = RawArticle(title="t", link=LINK, published_at=NOW, content="c" * 200_000)
    with pytest.raises(errors.ArticleInvalidError, match="content") as caught:
        accept(raw, source="test", fetched_at=NOW, limits=limits)
    assert caught.value.reason == "article-invalid"


def test_a_full_window_forgets_what_was_not_seen_for_longest() -> None:
    window = SeenWindow(2)
    window.remember("a")
    window.remember("b")
    assert window.seen("a")  # seen again: now b is the older one
    window.remember("c")
    assert [window.seen(name) for name in "abc"] == [True, False, True]
    assert len(window) == 2
