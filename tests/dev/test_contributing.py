"""CONTRIBUTING.md is followed word by word in a copy of the repository.

A block of code there begins with a comment that says where it belongs: a file, and, if the file
exists already, a line after or before which it goes, or instead of which.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "CONTRIBUTING.md"
FENCE = re.compile(r"^( *)```(?:python|toml|yaml|markdown)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(
    r"^(?:#|<!--) (?P<file>[\w./-]*[\w-]+\.\w+)"
    r"(?:, (?P<how>at the end|after|before|instead of)(?: `(?P<line>.+?)`)?)?(?: -->)?$"
)
TOUCHES = re.compile(r"\*\*Touches (\d+) files\.?\*\*")
SERVICE = "services/halt-watcher"
LONGEST_SECONDS = 600  # only ends what would never end


@dataclass(frozen=True)
class Block:
    """A piece of text, and where it goes."""

    file: str
    how: str | None
    line: str | None
    text: str

    def applied(self, before: str) -> str:
        """The file's text with the block in it."""
        if self.how is None or self.how == "at the end":
            return before + self.text
        anchor = f"{self.line}\n"
        assert self.how is not None
        found = [match.start() for match in re.finditer(re.escape(anchor), before)]
        starts = [at for at in found if at == 0 or before[at - 1] == "\n"]
        assert starts, f"{self.file} has no line {self.line!r}"
        at = starts[0] + (len(anchor) if self.how == "after" else 0)
        rest = at + (len(anchor) if self.how == "instead of" else 0)
        return before[:at] + self.text + before[rest:]


def walks() -> dict[str, list[Block]]:
    """The blocks of each section, by its title."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    found = {section.partition("\n")[0]: list(blocks(section)) for section in sections}
    return {title: listed for title, listed in found.items() if listed}


def blocks(section: str) -> Iterator[Block]:
    """What a section says to write, in its order."""
    for _, text in FENCE.findall(section):
        head, _, body = textwrap.dedent(text).partition("\n")
        place = PLACE.match(head)
        if place is not None:
            yield Block(place["file"], place["how"], place["line"], body)


WALKS = walks()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository after all walks."""
    folder = tmp_path_factory.mktemp("copy")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        source, target = ROOT / name, folder / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    for block in (block for listed in WALKS.values() for block in listed):
        path = folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.applied(path.read_text() if path.exists() else ""))
    (folder / SERVICE / "src/streamdesk/halt_watcher/py.typed").touch()
    for words in (("tools/services.py",), ("-m", "ruff", "format", *python_files())):
        done = run(folder, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def python_files() -> list[str]:
    """What the walks touch, and ruff reads."""
    touched = {block.file for listed in WALKS.values() for block in listed}
    return sorted(name for name in touched if name.endswith(".py"))


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A Python program in the copy, which imports the copy's packages."""
    sources = [str(path) for path in sorted(folder.glob("*/*/src"))]
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sources, str(folder)])},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )


def test_every_walk_is_found() -> None:
    wanted = ["a risk check", "an indicator", "an event", "a topic", "a service"]
    assert list(WALKS) == [f"Add {thing}" for thing in wanted]


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_says_how_many_files_it_touches(title: str) -> None:
    section = PAGE.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    said = TOUCHES.search(section)
    assert said is not None
    touched = {block.file for block in WALKS[title] if not block.file.startswith(SERVICE)}
    assert int(said[1]) == len(touched)


def test_what_the_walks_build_is_in_the_projects_style(copy: Path) -> None:
    done = run(copy, "-m", "ruff", "check", *python_files())
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_walks_build_keeps_the_layers_and_rooms(copy: Path) -> None:
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = run(copy, "-c", script)
    assert done.returncode == 0, done.stdout


def test_the_new_service_starts_and_explains_its_settings(copy: Path) -> None:
    done = run(copy, "-m", "streamdesk.halt_watcher", "--help")
    assert done.returncode == 0, done.stderr
    assert "HALTS_KEY" in done.stdout


def test_the_tests_of_what_the_walks_build_pass(copy: Path) -> None:
    done = run(
        copy,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *("libs/trading/tests/test_risk.py", "libs/indicators/tests/test_formulas.py"),
        *("libs/indicators/tests/test_streaming.py", "libs/contracts/tests/test_events.py"),
        *("libs/contracts/tests/test_topics.py", f"{SERVICE}/tests", "tests/test_workspace.py"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
