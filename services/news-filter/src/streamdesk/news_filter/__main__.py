"""Starts the news filter."""

from streamdesk.news_filter.config import Settings
from streamdesk.news_filter.factory import build
from streamdesk.runtime import run


def main() -> None:
    """Run until told to stop."""
    run("news-filter", Settings, build)


if __name__ == "__main__":
    main()
