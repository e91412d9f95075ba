"""Find phrases that a reader stops at, and public class names with two meanings.

Called by `make lint`. What to say instead stands beside each phrase, and in
docs/explanation/glossary.md. Generated files follow from text that is read here, so they are not
read twice; the lock is not ours.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PHRASES = {
    r"\b(is|was|are|were|be|been|being|stays|goes|gone) away\b": "unreachable, unavailable, down",
    r"\bnot to be had\b": "unavailable",
    r"\bin hand\b": "pending, in flight",
    r"\bworks\b(?= (?:of|that|are|ended|run)\b)": "tasks, workers",
    r"\b(can be|is|was|are|were|be|been) told\b": "configured, reported, notified",
    r"\btells? of\b": "reports",
    r"\bpurchases?\b": "buy",
    r"\bgo(es)? on\b": "continues, resumes",
    r"\bgoing on with\b": "continuing",
    r"\bfor ever\b|\bfor good\b": "indefinitely, permanently",
    r"\banother hand\b|\bby hand\b(?!-)": "an external actor; manually, from the command line",
    r"\bat a time\b": "concurrently, in one call",
    r"\bto and fro\b|\bby itself alone\b|\bworth an eye\b": "plain words",
    r"\bcrews?\b": "worker pool",
    r"\bmakes no (?:word|noise)\b": "plain words",
}
TEXT = {
    *(".py", ".md", ".yaml", ".yml", ".tpl", ".toml", ".js", ".html", ".css", ".txt", ".sh"),
    *(".lua", ".conf", ".cfg", ""),
}
# Not text of ours, data of a test, or this list itself.
SKIPPED = re.compile(
    r"^(requirements/|tools/words\.py$|tests/test_words\.py$|docs/asyncapi\.json$|.*\.(csv|json|png|svg|sql)$"
    r"|docs/explanation/glossary\.md$|.*/(headlines|labelled_headlines)\.yaml$|.*\.typed$)"
)
COMPILED = {re.compile(phrase, re.IGNORECASE): instead for phrase, instead in PHRASES.items()}


def tracked() -> Iterator[Path]:
    """Files that git keeps, or would keep."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix in TEXT and path.is_file() and not SKIPPED.match(name):
            yield path


def phrases(path: Path) -> Iterator[str]:
    """A line for each phrase in a file: where it is, what to say instead."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(lines, 1):
        for phrase, instead in COMPILED.items():
            found = phrase.search(line)
            if found:
                where = f"{path.relative_to(ROOT)}:{number}"
                yield f"{where}: {found[0]!r}: say {instead}"


def class_names(paths: list[Path]) -> dict[str, list[str]]:
    """The modules in which each public class of our code is defined, by its name."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        if path.suffix != ".py" or name.startswith("tests/") or "/tests/" in name:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(name)
    return found


def doubled(paths: list[Path]) -> dict[str, list[str]]:
    """Public class names with more than one module; `Settings` is each service's own."""
    names = class_names(paths)
    return {name: where for name, where in names.items() if len(where) > 1 and name != "Settings"}


def main() -> int:
    """Print what was found; 1 if there was anything."""
    paths = list(tracked())
    found = [line for path in paths for line in phrases(path)]
    found += [
        f"class {name} has {len(where)} meanings: {', '.join(where)}"
        for name, where in doubled(paths).items()
    ]
    print("\n".join(found) or f"words: {len(paths)} files read")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
