import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from streamdesk.bus import Bus, BusConfig, LeaseLostError
from streamdesk.contracts.events import NewsFetched
from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.adapters.recorded.recording import (
    SAMPLE_FILE,
    NewsRecording,
    load_recording,
)
from streamdesk.news_fetcher.adapters.recorded.source import Playhead, RecordedNewsSource
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.domain.articles import FetchLimits, RawArticle, accept
from streamdesk.news_fetcher.domain.links import normalise_link
from streamdesk.news_fetcher.errors import ArticleError, RecordingError
from streamdesk.runtime import WATCHLIST

THEN = datetime(2020, 3, 2, 9, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


def line(minute: float, **changes: Any) -> str:
    date = (THEN + timedelta(minutes=minute)).isoformat()
    found = {"date": date, "title": f"At {minute:g}", "link": f"https://news.example/{minute:g}"}
    return json.dumps(found | changes)


@pytest.fixture
def recording(tmp_path: Path) -> NewsRecording:
    """Five articles, ten minutes apart; the third is thirty hours old."""
    path = tmp_path / "news.jsonl"
    minutes = [0, 10, 20 - 30 * 60, 20, 30]
    path.write_text("\n".join(line(minute) for minute in minutes) + "\n")
    return load_recording(path)


class Player:
    """A source that plays, and the clock it plays by."""

    def __init__(self, recording: NewsRecording, speed: float = 1.0) -> None:
        self.now = NOW
        self.source = RecordedNewsSource(
            recording, speed=speed, begin=self._began, clock=self._clock
        )

    async def _began(self, _digest: str) -> datetime:
        return NOW

    def _clock(self) -> datetime:
        return self.now

    async def at(self, minutes: float, since: datetime = NOW) -> list[tuple[str, float]]:
        """What has come out after so long: title, and minutes after the beginning by its date."""
        self.now = NOW + timedelta(minutes=minutes)
        found = await self.source.fetch(NewsQuery(ticker=None, since=since, until=self.now))
        return [(str(raw.title), minutes_of(raw)) for raw in found]


def minutes_of(raw: RawArticle) -> float:
    assert isinstance(raw.published_at, datetime)
    return (raw.published_at - NOW).total_seconds() / 60


async def test_articles_come_out_as_they_did_then_the_first_one_now(
    recording: NewsRecording,
) -> None:
    player = Player(recording)
    assert await player.at(0) == [("At 0", 0)]
    assert await player.at(9.99) == [("At 0", 0)]
    assert await player.at(10) == [("At 0", 0), ("At 10", 10), ("At -1780", -1780)]
    assert (await player.at(1_000))[-2:] == [("At 20", 20), ("At 30", 30)]


async def test_at_a_higher_speed_they_come_sooner_and_are_as_old_as_they_were(
    recording: NewsRecording,
) -> None:
    player = Player(recording, speed=10)
    assert await player.at(1) == [("At 0", 0), ("At 10", 1), ("At -1780", -1789)]
    assert (await player.at(3))[-1] == ("At 30", 3)


async def test_what_came_out_before_the_query_is_left_out_whatever_its_date(
    recording: NewsRecording,
) -> None:
    since = NOW + timedelta(minutes=5)
    assert [title for title, _ in await Player(recording).at(25, since)] == [
        "At 10",
        "At -1780",
        "At 20",
    ]


async def test_the_end_is_said_once(recording: NewsRecording) -> None:
    player = Player(recording)
    with capture_logs() as logs:
        for minutes in (29, 30, 31, 32):
            await player.at(minutes)
    assert [entry["event"] for entry in logs] == ["recording over"]


async def test_a_recording_goes_on_where_it_was_after_a_pause_of_any_length(
    valkey_url: str, recording: NewsRecording
) -> None:
    now = [NOW]
    async with Bus.connect(BusConfig(url=valkey_url)) as bus:
        name = f"recorded-{id(now)}-{recording.digest}"

        async def head(speed: float = 2.0) -> tuple[StateKeeper, Playhead]:
            keeper = StateKeeper(bus.keys, name, lease_seconds=600)
            assert await keeper.lead()
            return keeper, Playhead(keeper, speed, lambda: now[0])

        keeper, first = await head()
        assert await first.began("one") == NOW
        now[0] += timedelta(minutes=4)
        assert await first.began("one") == NOW
        await keeper.leave()
        with pytest.raises(LeaseLostError):
            await first.began("one")
        now[0] += timedelta(hours=9)
        keeper, second = await head()
        assert await second.began("one") == now[0] - timedelta(minutes=4)
        await keeper.leave()
        keeper, faster = await head(speed=8.0)
        assert await faster.began("one") == now[0] - timedelta(minutes=1)
        await keeper.leave()
        assert await (await head())[1].began("another") == now[0]


def test_lines_in_the_shape_of_our_own_event_are_articles_too(tmp_path: Path) -> None:
    event = NewsFetched(
        link_hash="0" * 32,
        title="Apple beats estimates",
        link="https://news.example/1",
        source="test",
        published_at=NOW,
        fetched_at=NOW,
        symbols=("AAPL.US",),
        polarity=0.5,
    )
    path = tmp_path / "news.jsonl"
    path.write_text(event.model_dump_json())
    (one,) = load_recording(path).articles
    assert (one.article.title, one.article.polarity) == (event.title, 0.5)
    assert one.age == timedelta(0)


def test_a_folder_is_read_by_the_names_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(line(5))
    (tmp_path / "a.jsonl").write_text(line(1))
    (tmp_path / "notes.txt").write_text("not JSON")
    titles = [one.article.title for one in load_recording(tmp_path).articles]
    assert titles == ["At 1", "At 5"]


def test_an_article_without_a_readable_date_comes_out_with_the_one_before_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "news.jsonl"
    path.write_text("\n".join([line(0, date="?"), line(1), line(7), line(8, date=None), line(9)]))
    out_after = [one.out_after for one in load_recording(path).articles]
    assert out_after == [timedelta(minutes=minutes) for minutes in (0, 0, 6, 6, 8)]


def test_another_recording_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    path.write_text(line(0))
    before = load_recording(path).digest
    path.write_text(line(1))
    assert load_recording(path).digest != before


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no article"),
        (b"\n \n", "no article"),
        (line(0).encode() + b"\n{", "line 2: no JSON"),
        (b"[1]", "line 1: .* is no JSON object"),
        (b"[" * 100_000, "line 1: no JSON"),
        (b"\xff\xfe\xfa", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_recording_that_cannot_be_played_is_refused_with_the_place(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "news.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingError, match=why) as caught:
        load_recording(path)
    assert str(path) in str(caught.value)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"no \*.jsonl"):
        load_recording(tmp_path)


def sample() -> Sequence[NewsFetched]:
    """The articles of the sample that can be used, as they would be fetched at its end."""
    recording = load_recording(SAMPLE_FILE)
    end = THEN + timedelta(days=1)
    events = []
    for one in recording.articles:
        assert one.age is not None
        raw = RawArticle(
            title=one.article.title,
            link=one.article.link,
            published_at=end - one.age,
            content=one.article.content,
            symbols=one.article.symbols,
            tags=one.article.tags,
            polarity=one.article.polarity,
        )
        limits = FetchLimits(content_max_chars=1_000, future_tolerance=timedelta(0))
        events.append(accept(raw, source="recorded", fetched_at=end, limits=limits))
    return events


def check_links(events: Sequence[NewsFetched]) -> None:
    """Some article comes twice, and some link carries parameters that are not the article's."""
    links = Counter(event.link for event in events)
    assert max(links.values()) == 2
    assert any("?" in json.loads(text)["link"] for text in SAMPLE_FILE.read_text().splitlines())
    assert all(normalise_link(link) == link for link in links)


def test_the_sample_has_a_case_for_every_rule() -> None:
    try:
        events = sample()
    except ArticleError as error:
        pytest.fail(f"the sample has an article that cannot be used: {error}")
    ours = [event for event in events if not set(WATCHLIST).isdisjoint(event.symbols)]
    end = events[0].fetched_at
    assert 40 <= len(events) <= 60
    assert len(ours) < len(events)
    check_links(events)
    assert {symbol for event in ours for symbol in event.symbols} >= set(WATCHLIST)
    assert any(end - event.published_at > timedelta(hours=24) for event in ours)
    polarities = [event.polarity for event in ours if event.polarity is not None]
    assert min(polarities) < -0.5 < 0.5 < max(polarities)
    assert any(abs(polarity) < 0.1 for polarity in polarities)


def test_the_sample_names_invented_sources_alone() -> None:
    hosts = {event.link.split("/")[2] for event in sample()}
    assert hosts == {"wire.example"}
