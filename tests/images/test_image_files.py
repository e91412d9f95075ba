import os
import re
from pathlib import Path

import pytest

from tools.image_files import FIXED_TIME_SECONDS, UNUSED, freeze, members, slim
from tools.images import (
    ROOT,
    VARIANTS,
    Builder,
    BuildError,
    images,
    parts,
    table,
    too_large,
)
from tools.lock import extras
from tools.services import in_cluster


def member(folder: Path, *needs: str) -> None:
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(f"[project]\ndependencies = {list(needs)!r}\n")


def test_a_service_takes_along_what_its_libraries_need(tmp_path: Path) -> None:
    member(tmp_path / "services/shop", "streamdesk-till[fast]>=1; python_version > '3'", "numpy")
    member(tmp_path / "libs/till", "streamdesk-coins")
    member(tmp_path / "libs/coins")
    member(tmp_path / "libs/weather")
    found = [str(path.relative_to(tmp_path)) for path in members(tmp_path, "shop")]
    assert found == ["libs/coins", "libs/till", "services/shop"]


def test_a_library_that_is_missing_is_named(tmp_path: Path) -> None:
    member(tmp_path / "services/shop", "streamdesk-till")
    with pytest.raises(SystemExit, match=r"libs/till/pyproject\.toml is not there, .* of shop"):
        members(tmp_path, "shop")


@pytest.mark.parametrize(
    ("library", "services"),
    [
        ("indicators", ["analysis", "signal-generator"]),
        # The executor takes the exchanges' hours from it.
        ("market", ["analysis", "order-executor", "signal-generator"]),
    ],
)
def test_only_services_that_compute_with_bars_get_the_libraries_for_it(
    library: str, services: list[str]
) -> None:
    names = sorted(service.name for service in in_cluster())
    takers = [name for name in names if ROOT / "libs" / library in members(ROOT, name)]
    assert takers == services


def test_files_that_no_program_reads_are_removed_and_the_rest_stays(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.13/site-packages"
    stays = {
        "number/__init__.py", "number/testing/tools.py", "number/data.json", "number/fast.so",
        "number.libs/libfast.so", "number-1.dist-info/METADATA", "test/__init__.py",
        "numpy/_core/fast.so", "numpy/randomness.py", "onnxruntime/capi/state.so",
    }  # fmt: skip
    goes = {
        "number/tests/test_a.py", "number/core/tests/data.csv", "number/core/include/number.h",
        "number/fast.c", "number/fast.pyx", "number/__init__.pyi", "number/lib/libfast.a",
        "number-1.dist-info/RECORD", "number-1.dist-info/direct_url.json",
        "number-1.dist-info/sboms/number.json", "numpy/random/__init__.py",
        "numpy/random/mtrand.so", "numpy/_core/_simd.so", "numpy/_core/_umath_tests.so",
        "onnxruntime/tools/a.py", "onnxruntime/capi/libonnxruntime.so.1.31.1",
    }  # fmt: skip
    for name in stays | goes:
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    (tmp_path / "bin").mkdir()
    for name in ("python", "python3", "activate", "number"):
        (tmp_path / "bin" / name).touch()
    slim(tmp_path)
    left = {str(path.relative_to(packages)) for path in packages.rglob("*") if path.is_file()}
    assert left == stays
    assert {path.name for path in (tmp_path / "bin").iterdir()} == {"python", "python3"}


def test_nothing_of_ours_uses_the_parts_of_packages_that_images_leave_out() -> None:
    names = [re.escape(part.replace("/", ".")) for part in UNUSED]
    short = [name.replace("numpy", "np", 1) for name in names]
    used = re.compile(rf"\b({'|'.join(names + short)})\b")
    sources = [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
    assert sources
    assert [str(path) for path in sources if used.search(path.read_text())] == []


def test_each_variant_is_an_extra_of_a_service_and_has_a_lock_of_its_own() -> None:
    services = {service.name for service in in_cluster()}
    for image, (service, extra) in VARIANTS.items():
        assert image == f"{service}-{extra}"
        assert service in services
        assert extra in extras(ROOT / "services" / service / "pyproject.toml")
        assert (ROOT / "requirements" / f"{image}.txt").exists()
        assert parts(image) == (service, extra)
    assert set(images()) == {*services, *VARIANTS}
    assert parts("news-fetcher") == ("news-fetcher", "")


def test_every_file_gets_the_same_time_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch()
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "file").touch()
    (folder / "link").symlink_to(outside)
    freeze(folder)
    paths = [folder, folder / "file", folder / "link"]
    assert {os.lstat(path).st_mtime for path in paths} == {FIXED_TIME_SECONDS}
    assert outside.stat().st_mtime > FIXED_TIME_SECONDS


def test_the_table_shows_megabytes_over_the_base_with_the_largest_first() -> None:
    sizes = {"desk/a:1": 210_000_000, "desk/long:1": 330_400_000}
    assert table(sizes, 200_000_000).splitlines() == [
        "image        over the base",
        "desk/long:1       130.4 MB",
        "desk/a:1           10.0 MB",
    ]
    assert too_large(sizes, 200_000_000, 120) == ["desk/long:1"]
    assert too_large(sizes, 200_000_000, 130.4) == []


def test_a_client_that_is_not_there_is_named() -> None:
    builder = Builder("/no/docker --quiet", [])
    with pytest.raises(BuildError, match=r"no program '/no/docker'; name a client: DOCKER=\.\.\."):
        builder.build("news-fetcher", "tests")
