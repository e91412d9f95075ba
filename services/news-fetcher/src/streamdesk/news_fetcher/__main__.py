"""Starts the news fetcher."""

from streamdesk.news_fetcher.config import Settings
from streamdesk.news_fetcher.factory import build
from streamdesk.runtime import run


def main() -> None:
    """Run until told to stop."""
    run("news-fetcher", Settings, build)


if __name__ == "__main__":
    main()
