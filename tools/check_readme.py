"""Check that the commands and links on the pages exist.

Every `make …`, `streamdesk …` and `python -m streamdesk.…` in the code of README.md,
CONTRIBUTING.md, docs/, the charts' and the members' READMEs: targets in the Makefile, commands and
options in the console, modules in the source. Links to files of the repository, too.
"""

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    *("README.md", "CONTRIBUTING.md", "docs/**/*.md", "charts/**/README.md"),
    *("libs/*/README.md", "services/*/README.md"),
)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
# What separates commands in a line of shell.
SEPARATORS = re.compile(r"&&|\|\||;|\|")
SHELL_FENCES = {"", "sh", "bash", "shell", "console", "text"}


def snippets(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of all code that may be a command."""
    fence: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fence = line.strip("` ") if fence is None else None
        elif fence is None:
            yield from ((number, code) for code in INLINE.findall(line))
        elif fence in SHELL_FENCES:
            yield number, line.strip().removeprefix("$ ")


def words_of(command: str) -> list[str]:
    """The words of one command, without the variables set before it; empty when it is none."""
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        return []
    while words and re.match(r"^[A-Z_]+=", words[0]):
        words.pop(0)
    return words


def make_targets() -> set[str]:
    """What the Makefile can make."""
    text = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z][a-z0-9-]*):", text, flags=re.MULTILINE))


def check_make(words: list[str], targets: set[str], console: Any) -> str | None:  # noqa: ANN401 - as below
    """What is wrong with a `make` command, if anything."""
    named = [word for word in words if "=" not in word and not word.startswith("-")]
    for target in named:
        if target not in targets:
            return f"no target {target!r} in the Makefile"
    passed = next((word[5:] for word in words if word.startswith("ARGS=")), "")
    if named == ["demo"]:
        return check_streamdesk(["up", *shlex.split(passed)], console)
    return None


def check_streamdesk(words: list[str], console: Any) -> str | None:  # noqa: ANN401 - typer has its own private copy of click's types
    """What is wrong with a `streamdesk` command, if anything."""
    command = console
    known = {"--help"}
    for word in words:
        if word.startswith("-"):
            if word.partition("=")[0] not in known:
                return f"no option {word!r} in the console"
        elif word in getattr(command, "commands", {}):
            command = command.commands[word]
            command = getattr(command, "loaded", command)  # the program's own are imported on use
            known |= {name for option in command.params for name in option.opts}
        elif hasattr(command, "commands"):
            return f"no command {word!r} in the console"
    return None


def check_python(words: list[str]) -> str | None:
    """What is wrong with a `python -m` command, if anything."""
    module = words[1] if words[:1] == ["-m"] and len(words) > 1 else ""
    if not re.fullmatch(r"(streamdesk|tests)(\.[a-z_]+)+", module):
        return None  # another program's, or a placeholder
    sys.path.insert(0, str(ROOT))
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    finally:
        sys.path.pop(0)
    return None if found else f"no module {module!r}"


def check_page(page: Path, targets: set[str], console: Any) -> Iterator[str]:  # noqa: ANN401 - typer's private copy
    """One line for everything on a page that does not exist."""
    text = page.read_text(encoding="utf-8")
    where = page.relative_to(ROOT)
    for number, code in snippets(text):
        for command in SEPARATORS.split(code):
            words = words_of(command)
            program = Path(words[0]).name if words else ""
            problem = None
            if program == "make":
                problem = check_make(words[1:], targets, console)
            elif program == "streamdesk":
                problem = check_streamdesk(words[1:], console)
            elif program in {"python", "python3"}:
                problem = check_python(words[1:])
            if problem:
                yield f"{where}:{number}: `{command.strip()}`: {problem}"
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= line.lstrip().startswith("```")
        for target in () if fenced else LINK.findall(line):
            if not (page.parent / target).exists():
                yield f"{where}:{number}: link to {target}: no such file"


def main() -> None:
    """Check all pages."""
    from streamdesk.console.entrypoints.cli.app import app  # noqa: PLC0415 - found after --help

    targets = make_targets()
    pages = sorted(page for pattern in PAGES for page in ROOT.glob(pattern))
    problems = [line for page in pages for line in check_page(page, targets, app)]
    if problems:
        sys.exit("\n".join(problems))
    print(f"pages: every command and link on {len(pages)} pages exists")


if __name__ == "__main__":
    main()
