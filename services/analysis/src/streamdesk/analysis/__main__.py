"""Starts the analysis service, or computes the daily indicators once and ends."""

import sys

from streamdesk.runtime import run


def main() -> None:
    """Run until told to stop; with `indicators` as first argument, the daily job alone."""
    if sys.argv[1:2] == ["indicators"]:
        from streamdesk.analysis.entrypoints import cli  # noqa: PLC0415 - without FastAPI: slow to import

        sys.exit(cli.main(sys.argv[2:]))
    from streamdesk.analysis.config import Settings  # noqa: PLC0415 - as above
    from streamdesk.analysis.factory.service import build  # noqa: PLC0415 - as above

    run("analysis", Settings, build)


if __name__ == "__main__":
    main()
