import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_finbert import write_model
from tools.image_files import FOLDERS, SUFFIXES, members
from tools.images import ROOT, VARIANTS, Builder, images, parts

USER = 10001
SMALLEST = "news-fetcher"
RUN_SECONDS = 300  # guards against a container that hangs; one takes about a second
# Nothing but what a restricted pod has.
LOCKED_DOWN = (
    "--rm", "--read-only", "--network=none", "--cap-drop=ALL",
    "--security-opt=no-new-privileges", "--tmpfs=/tmp",
)  # fmt: skip
ASK_FINBERT = """
import json
from pathlib import Path
from streamdesk.news_filter.config import ScorerName
from streamdesk.news_filter.factory import scorer_of
scorer = scorer_of(ScorerName.FINBERT, Path("/model"))
found = scorer.score_many([("Profit rises", ""), ("Profit falls", "")])
print(json.dumps([score.value for score in found]))
"""
INSIDE = (Path(__file__).parent / "inside.py").read_text()


def module(image: str) -> str:
    return f"streamdesk.{parts(image)[0].replace('-', '_')}"


def call(*words: str) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=RUN_SECONDS, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session", params=images())
def service(request: pytest.FixtureRequest) -> str:
    """Each image in turn; all its tests stand together, and look inside once."""
    return str(request.param)


@pytest.fixture(scope="session")
def inside(docker: str, built: str, service: str) -> dict[str, Any]:
    """What `inside.py` finds in a locked-down container."""
    image, main = f"streamdesk/{service}:{built}", f"{module(service)}.__main__"
    words = ("--entrypoint=/app/bin/python", image, "-P", "-c", INSIDE, main)
    findings: dict[str, Any] = json.loads(call(docker, "run", *LOCKED_DOWN, *words))
    return findings


def inspect(docker: str, image: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(call(docker, "image", "inspect", image))[0]
    return described


def test_a_service_explains_itself_on_a_read_only_root_without_a_network(
    docker: str, built: str, service: str
) -> None:
    shown = call(docker, "run", *LOCKED_DOWN, f"streamdesk/{service}:{built}", "--help")
    assert module(service) in shown
    assert "REDIS_URL" in shown


def test_a_service_runs_as_a_user_that_may_write_only_in_tmp(inside: dict[str, Any]) -> None:
    assert (inside["uid"], inside["gid"]) == (USER, USER)
    assert inside["writable"] == ["/tmp"]  # noqa: S108 - the container's own


def test_an_image_has_nothing_that_could_build_or_install(inside: dict[str, Any]) -> None:
    assert inside["tools"] == []
    assert inside["installers"] == []


def test_of_our_own_packages_an_image_has_the_service_and_the_libraries_it_names(
    inside: dict[str, Any], service: str
) -> None:
    named = {folder.name.replace("-", "_") for folder in members(ROOT, parts(service)[0])}
    assert set(inside["own"]) == named


def test_of_other_packages_an_image_has_what_the_lock_names_for_this_service(
    inside: dict[str, Any], service: str
) -> None:
    lines = (ROOT / f"requirements/{service}.txt").read_text().splitlines()
    locked = {line.partition("==")[0] for line in lines if re.match(r"[a-z0-9]", line)}
    found = {re.sub(r"[-_.]+", "-", name) for name in inside["dependencies"]}
    # A marker of another system or Python may leave one out.
    assert found <= locked
    assert "pydantic" in found


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_differs_from_its_service_in_the_layer_of_dependencies_alone(
    docker: str, built: str, variant: str
) -> None:
    plain, extended = (
        inspect(docker, f"streamdesk/{image}:{built}")["RootFS"]["Layers"]
        for image in (parts(variant)[0], variant)
    )
    assert len(plain) == len(extended)
    assert [one for one, other in zip(plain, extended, strict=True) if one != other] == [plain[-2]]


def test_the_finbert_image_judges_by_the_model_that_is_mounted(
    docker: str, built: str, tmp_path: Path
) -> None:
    write_model(tmp_path)
    tmp_path.chmod(0o755)
    words = (f"--volume={tmp_path}:/model:ro", "--entrypoint=/app/bin/python")
    image = f"streamdesk/news-filter-finbert:{built}"
    found = call(docker, "run", *LOCKED_DOWN, *words, image, "-P", "-c", ASK_FINBERT)
    good, bad = json.loads(found)
    assert good > 0.8
    assert bad < -0.8


def test_the_plain_filter_says_which_image_runs_finbert(docker: str, built: str) -> None:
    done = subprocess.run(
        [
            docker, "run", *LOCKED_DOWN, "--env=SENTIMENT_SCORER=finbert",
            "--env=FINBERT_FOLDER=/tmp", f"streamdesk/news-filter:{built}",
        ],
        capture_output=True, text=True, check=False, timeout=RUN_SECONDS,
    )  # fmt: skip
    assert done.returncode != 0
    assert "the image news-filter-finbert has it" in done.stdout + done.stderr


def test_an_image_has_no_tests_headers_or_sources_of_compiled_modules(
    inside: dict[str, Any],
) -> None:
    assert not FOLDERS & set(inside["folders"])
    assert not SUFFIXES & set(inside["suffixes"])


def test_every_module_that_a_start_imports_is_precompiled(inside: dict[str, Any]) -> None:
    assert inside["uncompiled"] == []


def test_sources_belong_to_the_service_and_dependencies_to_root(inside: dict[str, Any]) -> None:
    assert inside["owners_of_sources"] == [USER]
    assert inside["owners_of_dependencies"] == [0]


def test_an_image_says_what_it_is(docker: str, built: str, service: str) -> None:
    config = inspect(docker, f"streamdesk/{service}:{built}")["Config"]
    labels = {key.rpartition(".")[2]: text for key, text in config["Labels"].items()}
    assert labels["title"] == f"streamdesk-{service}"
    assert labels["version"] == built
    assert labels["description"] not in {"", "A service of the Streamdesk trading desk"}
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels["revision"])
    assert not [text for text in labels.values() if "/" in text]  # no address of anything
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["/app/run"]


def test_a_changed_source_changes_the_last_layer_alone(
    docker: str, built: str, context: Path
) -> None:
    service = SMALLEST
    main = context / "services" / service / "src" / module(service).replace(".", "/")
    with (main / "__init__.py").open("a") as source:
        source.write("\n# changed\n")
    before = inspect(docker, f"streamdesk/{service}:{built}")["RootFS"]["Layers"]
    builder = Builder(docker, [f"--file={ROOT}/services/Dockerfile"], context)
    image = builder.build(service, "tests-changed")
    after = inspect(docker, image)["RootFS"]["Layers"]
    call(docker, "image", "rm", image)
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]


def test_a_source_that_is_copied_into_a_running_service_counts_at_its_next_start(
    docker: str, built: str
) -> None:
    service = SMALLEST
    file = f"/app/src/{module(service).replace('.', '/')}/__init__.py"
    # Of the same length and time as the source that was compiled.
    script = f"""
        touch -r {file} /tmp/time && size=$(stat -c %s {file}) &&
        printf 'print("synced")\\n' > {file} && truncate -s "$size" {file} &&
        sed -i 's/\\x00/ /g' {file} && touch -r /tmp/time {file} &&
        /app/bin/python -P -c 'import {module(service)}'
    """
    image = f"streamdesk/{service}:{built}"
    assert call(docker, "run", "--rm", "--entrypoint=sh", image, "-ec", script) == "synced\n"


def test_the_build_fails_and_names_an_image_over_the_limit(docker: str, built: str) -> None:
    service = SMALLEST
    command = [
        sys.executable, "-m", "tools.images", f"--docker={docker}", f"--tag={built}",
        f"--only={service}", "--limit-mb=1",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=RUN_SECONDS
    )
    assert done.returncode == 1
    assert done.stderr == f"images: streamdesk/{service}:{built}: more than 1 MB over the base\n"
