"""Everything that has to name a service or a library names it: services.toml is the one list."""

import configparser
import tomllib
from pathlib import Path

import pytest
import yaml

from streamdesk.console.domain.services import services as started
from streamdesk.console.domain.up_options import UpOptions
from tools.services import PARTS, ServiceEntry, in_cluster, rendered, services

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
LINTER = configparser.ConfigParser()
LINTER.read(ROOT / ".importlinter")
CHART = ROOT / "charts" / "streamdesk"

each_member = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
each_service = pytest.mark.parametrize("service", services(), ids=lambda service: service.name)
each_in_cluster = pytest.mark.parametrize("service", in_cluster(), ids=lambda service: service.name)


def package(folder: Path) -> str:
    return f"streamdesk.{folder.name.replace('-', '_')}"


def test_the_list_names_every_service_and_nothing_else() -> None:
    folders = {folder.name for folder in FOLDERS if folder.parent.name == "services"}
    assert {service.name for service in services()} == folders


@pytest.mark.parametrize("name", PARTS)
def test_what_follows_from_the_list_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == rendered(ROOT, name)


def test_a_key_that_the_list_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / "services.toml").write_text("[shop]\ndemo = true\nimage = true\ncolour = 1\n")
    with pytest.raises(TypeError, match="colour"):
        services(tmp_path)


def test_a_generated_part_without_an_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "services.toml").write_text("")
    (tmp_path / "pyproject.toml").write_text("# services.toml: sources\nkept\n")
    with pytest.raises(SystemExit, match="has no end"):
        rendered(tmp_path, "pyproject.toml")


def test_the_demo_starts_what_the_list_says_in_that_order() -> None:
    specs = started(
        UpOptions(),
        redis_url="redis://127.0.0.1:1/0",
        page_port=1,
        analysis_port=2,
        ledger=Path("ledger"),
        bars=Path("bars"),
        run="run",
        given={"DINGTALK_URL": "https://oapi.dingtalk.com/robot/send?access_token=PLACEHOLDER"},
    )
    names = list(dict.fromkeys(spec.module.removeprefix("streamdesk.") for spec in specs))
    assert names == [service.package for service in services() if service.demo]


@each_service
def test_a_service_is_in_the_overview(service: ServiceEntry) -> None:
    assert f"(services/{service.name}/README.md)" in (ROOT / "README.md").read_text()


@each_in_cluster
def test_a_service_has_a_section_of_the_chart_and_a_redis_user(service: ServiceEntry) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert service.section in values
    redis = yaml.safe_load((CHART / "charts/redis-sentinel/values.yaml").read_text())
    assert (service.name in redis["users"]) == ("redis" in service.needs)


@each_member
def test_a_member_is_checked_and_measured(folder: Path) -> None:
    source = folder.relative_to(ROOT) / "src"
    assert str(source) in PROJECT["tool"]["mypy"]["mypy_path"]
    assert folder.parent.name in PROJECT["tool"]["coverage"]["run"]["source"]
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
