"""Writes the dashboards as Grafana's JSON, or checks that they are up to date.

`python -m grafana.generate` from the repository's root; `make docs` does it too.
"""

import argparse
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.boards.desk import DESK
from grafana.boards.gateway import GATEWAY
from grafana.boards.news import NEWS
from grafana.boards.operator import OPERATOR
from grafana.boards.sentinel import SENTINEL
from grafana.boards.services import SERVICES
from grafana.boards.streams import STREAMS
from grafana.parts import built

FOLDER = Path(__file__).parent / "dashboards"
BOARDS = (DESK, STREAMS, SENTINEL, NEWS, GATEWAY, OPERATOR, SERVICES)


def documents() -> dict[str, str]:
    """Each dashboard's JSON by file name."""
    encoder = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
    return {
        f"{board.uid.removeprefix('streamdesk-')}.json": encoder.encode(built(board)) + "\n"
        for board in BOARDS
    }


def drifted() -> list[str]:
    """Names of the files that are missing, left over, or not what the boards say."""
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    wanted = documents()
    return sorted(n for n in there.keys() | wanted.keys() if there.get(n) != wanted.get(n))


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m grafana.generate")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on drift")
    options = parser.parse_args()
    if options.check:
        stale = drifted()
        if stale:
            sys.exit(f"not what grafana/boards says: {', '.join(stale)}; run `make docs`")
        return
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
