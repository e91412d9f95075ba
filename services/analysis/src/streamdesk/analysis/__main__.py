"""Starts the analysis service, or computes the daily indicators once and ends."""

import sys

from streamdesk.runtime import run


def main() -> None:
    """Run until stopped; with `indicators` as first argument, the daily job alone.

    Each of the two imports what it needs: the job starts without FastAPI.
    """
    if sys.argv[1:2] == ["indicators"]:
        from streamdesk.analysis.entrypoints import cli  # noqa: PLC0415 - starts without FastAPI
        from streamdesk.analysis.factory import daily_job  # noqa: PLC0415 - starts without FastAPI

        sys.exit(cli.main(sys.argv[2:], daily_job.needed_store, daily_job.open_job))
    from streamdesk.analysis.config import Settings  # noqa: PLC0415 - the job starts without it
    from streamdesk.analysis.factory.service import build  # noqa: PLC0415 - the job starts without it

    run("analysis", Settings, build)


if __name__ == "__main__":
    main()
