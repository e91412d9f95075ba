"""Starts the news filter, or explains its verdict on one article."""

import sys

from streamdesk.news_filter.config import Settings
from streamdesk.news_filter.entrypoints import cli
from streamdesk.news_filter.factory import build, rules_and_scorer
from streamdesk.runtime import run


def main() -> None:
    """Run until the process is asked to stop; with `why` as first argument, judge one article."""
    if sys.argv[1:2] == ["why"]:
        sys.exit(cli.main(sys.argv[2:], rules_and_scorer))
    run("news-filter", Settings, build)


if __name__ == "__main__":
    main()
