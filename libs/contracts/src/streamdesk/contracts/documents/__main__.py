"""Writes the documents, or checks that they are up to date."""

import argparse
import json
import sys
from pathlib import Path

from streamdesk.contracts.documents import asyncapi, data_flow
from streamdesk.contracts.topics import TOPICS


def documents() -> dict[str, str]:
    """Every generated document by file name."""
    return {
        "data-flow.md": data_flow(TOPICS),
        "asyncapi.json": json.dumps(asyncapi(TOPICS), indent=2, ensure_ascii=False) + "\n",
    }


def drifted(folder: Path) -> list[str]:
    """Names of the documents in `folder` that are missing or not what they should be."""
    return [
        name
        for name, text in documents().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m streamdesk.contracts.documents")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on drift")
    parser.add_argument("--folder", type=Path, default=Path("docs"), help="default: docs")
    options = parser.parse_args()
    if options.check:
        stale = drifted(options.folder)
        if stale:
            names = ", ".join(str(options.folder / name) for name in stale)
            sys.exit(f"not what topics.py says: {names}; run `make docs`")
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (options.folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
