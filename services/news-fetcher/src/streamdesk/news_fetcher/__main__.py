"""Starts the news fetcher, or fetches once and ends."""

import sys

from streamdesk.news_fetcher.config import Settings
from streamdesk.news_fetcher.entrypoints.cli import main as fetch_once
from streamdesk.news_fetcher.factory import build
from streamdesk.runtime import run


def main() -> None:
    """Run until told to stop; with `fetch` as first argument, one round alone."""
    if sys.argv[1:2] == ["fetch"]:
        sys.exit(fetch_once(sys.argv[2:]))
    run("news-fetcher", Settings, build)


if __name__ == "__main__":
    main()
