import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from streamdesk.console.entrypoints.cli.app import app

TOOLS = Path(__file__).resolve().parents[1] / "tools"
CONSOLE: Any = app


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tools_{name}", TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_readme = load("check_readme")
run_tests = load("test")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("`make demo`", None),
        ('`make demo ARGS="--seconds 60"`', None),
        ('`make demo ARGS="--minutes 1"`', "no option '--minutes' in the console"),
        ("`make coffee`", "no target 'coffee' in the Makefile"),
        ("`streamdesk up --seconds=60`", None),
        ("`streamdesk bus dead redrive`", None),
        ("`streamdesk buss lag`", "no command 'buss' in the console"),
        ("`streamdesk bus lag --colour`", "no option '--colour' in the console"),
        ("`REDIS_URL=redis://x python -m streamdesk.bus`", None),
        ("`python -m streamdesk.nothing`", "no module 'streamdesk.nothing'"),
        ("```sh\ncd x && make coffee\n```", "no target 'coffee' in the Makefile"),
        ("```python\nmake coffee\n```", None),
        ("make sure of this; streamdesk is fine", None),
        ("[page](README.md) [anchor](#x) [web](https://example.com/x)", None),
        ("[gone](nowhere.md)", "link to nowhere.md: no such file"),
    ],
)
def test_a_page_may_name_only_what_exists(
    line: str, problem: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = check_readme.make_targets()
    monkeypatch.setattr(check_readme, "ROOT", tmp_path)
    page = tmp_path / "README.md"
    page.write_text(line)
    found = list(check_readme.check_page(page, targets, CONSOLE))
    assert [text.rpartition(": ")[2] for text in found] == (
        [] if problem is None else [problem.rpartition(": ")[2]]
    )
    assert all(text.startswith("README.md:") for text in found)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], False),
        ([""], False),
        (["-x", "-v", "--maxfail=2", "--color=no"], False),
        (["libs/runtime"], True),
        (["tests/test_tools.py::test_x"], True),
        (["-k", "drain"], True),
        (["-mchromium"], True),
        (["--lf"], True),
    ],
)
def test_coverage_is_held_against_its_mark_only_when_all_tests_run(
    arguments: list[str], part: bool
) -> None:
    assert run_tests.chooses(arguments) is part


def test_the_tests_run_in_parallel_by_default() -> None:
    assert "-n" in run_tests.pytest_command([])
    assert run_tests.pytest_command(["-n0"]).count("-n") == 0


def test_the_last_line_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    words = [sys.executable, "-c", "print('one'); print(); print('two'); print(); exit(3)"]
    assert run_tests.with_last_line_held_back(words) == (3, "two")
    assert capfd.readouterr().out == "one\n\n"
