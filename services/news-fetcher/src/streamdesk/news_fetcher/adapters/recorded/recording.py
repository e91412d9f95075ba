"""Reads a recording: articles as JSON lines, in the order in which they came out.

A line is an article as EODHD sends it (`date`, `title`, `content`, `link`, `symbols`, `tags`,
`sentiment.polarity`) or a `NewsFetched` event (`published_at`, `polarity`). Nothing in it is
judged here: a line without a title is an article without a title.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from streamdesk.news_fetcher.domain.articles import RawArticle, published
from streamdesk.news_fetcher.errors import RecordingError

SAMPLE = "sample"
SAMPLE_FILE = Path(__file__).parent / "recordings" / "sample.jsonl"


@dataclass(frozen=True, slots=True)
class RecordedArticle:
    """An article and its place in time.

    Attributes:
        article: as it was recorded.
        out_after: from the first article of the recording until this one came out. An article
            that is dated before the one in the line above came out right after that one.
        age: how old it was by its date when it came out; None for a date that cannot be read.
    """

    article: RawArticle
    out_after: timedelta
    age: timedelta | None


@dataclass(frozen=True, slots=True)
class NewsRecording:
    """All articles, in the order in which they came out; at least one.

    Attributes:
        articles: the articles.
        digest: hash of the content, so that another recording is known as another.
    """

    articles: tuple[RecordedArticle, ...]
    digest: str


def load_recording(path: Path) -> NewsRecording:
    """The recording in a file, or in all `*.jsonl` files of a folder, by name.

    Raises:
        RecordingError: there is none, it is empty, or a line is no JSON object.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise RecordingError(f"no *.jsonl in the folder {path}")
    found: list[RawArticle] = []
    digest = hashlib.sha256()
    for file in files:
        try:
            content = file.read_bytes()
            text = content.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RecordingError(f"{file} cannot be read: {error}") from error
        digest.update(content)
        found += _articles(file, text)
    if not found:
        raise RecordingError(f"no article in {path}")
    return NewsRecording(_in_time(found), digest.hexdigest()[:16])


def _articles(file: Path, text: str) -> list[RawArticle]:
    # Not splitlines(): it also splits at separators that JSON allows inside a text.
    lines = enumerate(text.split("\n"), start=1)
    return [_article(f"{file}, line {number}", line) for number, line in lines if line.strip()]


def _article(where: str, line: str) -> RawArticle:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{where}: no JSON ({error})") from error
    if not isinstance(found, dict):
        raise RecordingError(f"{where}: {line[:40]!r} is no JSON object")
    return RawArticle(
        title=found.get("title"),
        link=found.get("link"),
        published_at=found.get("date", found.get("published_at")),
        content=found.get("content") or "",
        symbols=found.get("symbols") or (),
        tags=found.get("tags") or (),
        polarity=_polarity(found),
    )


def _polarity(found: dict[str, Any]) -> object:
    sentiment = found.get("sentiment")
    return sentiment.get("polarity") if isinstance(sentiment, dict) else found.get("polarity")


def _in_time(articles: list[RawArticle]) -> tuple[RecordedArticle, ...]:
    dates = [published(article) for article in articles]
    first: datetime | None = None
    out_after, placed = timedelta(0), []
    for article, date in zip(articles, dates, strict=True):
        if first is None:
            first = date
        if date is not None and first is not None:
            out_after = max(out_after, date - first)
        age = None if date is None or first is None else out_after - (date - first)
        placed.append(RecordedArticle(article, out_after, age))
    return tuple(placed)
