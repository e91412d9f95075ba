import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXTRAS = ("arro3-core", "arro3-io", "httpx")
README = Path(__file__).parents[1] / "README.md"
WITHOUT_EXTRAS = """
import sys
sys.modules["arro3"] = sys.modules["httpx"] = None  # an import of these fails
import streamdesk.market
import streamdesk.market.recordings
import streamdesk.market.sources.chain
import streamdesk.market.sources.simulated
import {service}
"""


def locked(service: str) -> set[str]:
    text = (ROOT / "requirements" / f"{service}.txt").read_text()
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_the_bare_package_is_imported_where_no_extra_is_installed() -> None:
    program = WITHOUT_EXTRAS.format(service="streamdesk.signal_generator.factory")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_signal_generator_installs_no_extra() -> None:
    assert not locked("signal-generator") & set(EXTRAS)


def test_the_analysis_installs_all_extras_and_no_second_parquet_library() -> None:
    assert locked("analysis") >= set(EXTRAS)
    assert not locked("analysis") & {"pyarrow", "polars", "pandas"}


@pytest.mark.parametrize(
    "example", re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
)
def test_the_example_in_the_readme_runs(example: str) -> None:
    exec(example, {})  # noqa: S102 - our own README
