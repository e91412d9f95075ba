"""A new member has to be named in several places; these tests say which one was forgotten."""

import configparser
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
LINTER = configparser.ConfigParser()
LINTER.read(ROOT / ".importlinter")

each_member = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def package(folder: Path) -> str:
    return f"streamdesk.{folder.name.replace('-', '_')}"


@each_member
def test_a_member_is_part_of_the_workspace(folder: Path) -> None:
    named = {name.partition("[")[0] for name in PROJECT["project"]["dependencies"]}
    assert f"streamdesk-{folder.name}" in named
    assert f"streamdesk-{folder.name}" in PROJECT["tool"]["uv"]["sources"]


@each_member
def test_a_member_is_checked_and_measured(folder: Path) -> None:
    source = folder.relative_to(ROOT) / "src"
    assert str(source) in PROJECT["tool"]["mypy"]["mypy_path"]
    assert package(folder) in PROJECT["tool"]["coverage"]["run"]["source_pkgs"]
    assert (source / package(folder).replace(".", "/") / "py.typed").exists()


@each_member
def test_a_member_has_its_place_in_the_layers(folder: Path) -> None:
    assert package(folder) in LINTER["importlinter"]["root_packages"].split()
    assert package(folder) in LINTER["importlinter:contract:layers"]["layers"].split()


@each_member
def test_a_member_has_a_page_and_tests(folder: Path) -> None:
    assert (folder / "README.md").stat().st_size > 200
    assert list((folder / "tests").glob("test_*.py"))


@each_member
def test_a_member_is_called_after_its_folder(folder: Path) -> None:
    manifest = tomllib.loads((folder / "pyproject.toml").read_text())
    assert manifest["project"]["name"] == f"streamdesk-{folder.name}"
    assert manifest["tool"]["uv"]["build-backend"]["module-name"] == package(folder)
