"""Starts the news fetcher, or fetches once and ends."""

import sys

from streamdesk.news_fetcher.config import Settings
from streamdesk.news_fetcher.entrypoints import cli
from streamdesk.news_fetcher.factory import build, parts_for_one_fetch
from streamdesk.runtime import run


def main() -> None:
    """Run until the process is asked to stop; with `fetch` as first argument, do one round."""
    if sys.argv[1:2] == ["fetch"]:
        sys.exit(cli.main(sys.argv[2:], parts_for_one_fetch))
    run("news-fetcher", Settings, build)


if __name__ == "__main__":
    main()
