"""Starts the news filter, or says what it makes of one article."""

import sys

from streamdesk.news_filter.config import Settings
from streamdesk.news_filter.entrypoints import cli as why
from streamdesk.news_filter.factory import build
from streamdesk.runtime import run


def main() -> None:
    """Run until told to stop; with `why` as first argument, judge one article and end."""
    if sys.argv[1:2] == ["why"]:
        sys.exit(why.main(sys.argv[2:]))
    run("news-filter", Settings, build)


if __name__ == "__main__":
    main()
