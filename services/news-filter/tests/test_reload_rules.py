"""Rules that change while the filter runs."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from streamdesk.news_filter.application import reload_rules
from streamdesk.news_filter.application.reload_rules import CurrentRules
from streamdesk.news_filter.config import Settings
from streamdesk.news_filter.factory import current_rules
from streamdesk.runtime import BadSettingError, Drain

GUARD_SECONDS = 60


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is logged meanwhile."""
    # A logger that was used before, under another configuration, would not notice.
    monkeypatch.setattr(reload_rules, "log", structlog.get_logger("fresh"))
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def watched(tmp_path: Path) -> Callable[..., tuple[CurrentRules, Path]]:
    """`watched(content, **settings)`: the rules of a file of that content, and the file."""

    def make(content: str, **settings: Any) -> tuple[CurrentRules, Path]:
        path = tmp_path / "rules.yaml"
        path.write_text(content)
        return current_rules(Settings(news_rules_file=path, **settings)), path

    return make


def loaded(outcome: str) -> float:
    return REGISTRY.get_sample_value("news_rules_loaded_total", {"outcome": outcome}) or 0


def test_without_a_file_the_settings_are_the_rules() -> None:
    rules = current_rules(Settings(sentiment_threshold=0.3))
    assert rules.rules.threshold == 0.3
    assert not rules.refresh()


def test_the_file_wins_over_the_settings_that_it_names(
    watched: Callable[..., tuple[CurrentRules, Path]],
) -> None:
    rules = watched("sentiment: {threshold: 0.9}", sentiment_threshold=0.3, news_max_age_hours=6)
    assert rules[0].rules.threshold == 0.9
    assert rules[0].rules.max_age.total_seconds() == 6 * 3600


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(
    watched: Callable[..., tuple[CurrentRules, Path]], said: list[Any]
) -> None:
    rules, path = watched("sentiment: {threshold: 0.9}")
    before = loaded("loaded")
    assert not rules.refresh()
    path.write_text("sentiment: {threshold: 0.1}")
    assert rules.refresh()
    assert rules.rules.threshold == 0.1
    os.utime(path)
    assert not rules.refresh()
    assert loaded("loaded") == before + 1
    assert [line["event"] for line in said] == ["rules in force"]
    assert said[-1]["threshold"] == 0.1


def test_a_name_that_is_taken_out_of_the_file_is_as_it_is_set_again(
    watched: Callable[..., tuple[CurrentRules, Path]],
) -> None:
    rules, path = watched("sentiment: {threshold: 0.9}\nmax_age_hours: 1", sentiment_threshold=0.3)
    path.write_text("max_age_hours: 1")
    assert rules.refresh()
    assert rules.rules.threshold == 0.3


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("max_age_hours: 1\nsentiment: {threshold: 7}", "line 2: sentiment.threshold: '7' is"),
        ("patterns: {exclude: ['(a']}", "line 1: patterns.exclude.0: pattern '(a' is refused"),
        ("", "is empty"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_bad_file_is_refused_once_and_the_old_rules_stay(
    watched: Callable[..., tuple[CurrentRules, Path]],
    said: list[Any],
    content: str | None,
    problem: str,
) -> None:
    rules, path = watched("sentiment: {threshold: 0.9}")
    old, before = rules.rules, loaded("refused")
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert [rules.refresh() for _ in range(3)] == [False] * 3
    assert rules.rules is old
    assert loaded("refused") == before + 1
    errors = [line for line in said if line["log_level"] == "error"]
    assert len(errors) == 1
    assert errors[0]["problem"].startswith(str(path))
    assert problem in errors[0]["problem"]


def test_a_file_that_is_good_again_is_in_force_even_with_the_content_of_before(
    watched: Callable[..., tuple[CurrentRules, Path]],
) -> None:
    rules, path = watched("max_age_hours: 2")
    path.write_text("max_age_hours: x")
    assert not rules.refresh()
    path.write_text("max_age_hours: 2")
    assert rules.refresh()
    assert rules.rules.max_age.total_seconds() == 2 * 3600


def test_a_config_map_that_kubernetes_swaps_by_a_symlink_is_read_again(tmp_path: Path) -> None:
    # rules.yaml -> ..data/rules.yaml, ..data -> ..<time>; a change swaps ..data, atomically.
    def write(folder: str, content: str) -> None:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rules.yaml").write_text(content)
        (tmp_path / "..data_tmp").symlink_to(folder)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    write("..2026_1", "max_age_hours: 1")
    path = tmp_path / "rules.yaml"
    path.symlink_to("..data/rules.yaml")
    rules = current_rules(Settings(news_rules_file=path))
    assert rules.rules.max_age.total_seconds() == 3600
    write("..2026_2", "max_age_hours: 2")
    assert rules.refresh()
    assert rules.rules.max_age.total_seconds() == 2 * 3600
    write("..2026_3", "max_age_hours: x")
    assert not rules.refresh()
    write("..2026_4", "max_age_hours: 4")
    assert rules.refresh()


def test_at_the_start_a_bad_file_is_a_bad_setting(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("\nmax_age_hours: x")
    with pytest.raises(BadSettingError, match=r"NEWS_RULES_FILE=.*line 2: max_age_hours: 'x'"):
        current_rules(Settings(news_rules_file=path))
    path.unlink()
    with pytest.raises(BadSettingError, match=r"NEWS_RULES_FILE=.*cannot be read"):
        current_rules(Settings(news_rules_file=path))


async def test_the_file_is_watched_until_the_drain(
    watched: Callable[..., tuple[CurrentRules, Path]],
) -> None:
    rules, path = watched("max_age_hours: 1")
    drain = Drain()
    watching = asyncio.create_task(rules.watch(0.01, drain))
    path.write_text("max_age_hours: x")
    path.with_suffix(".new").write_text("max_age_hours: 3")
    path.with_suffix(".new").rename(path)
    async with asyncio.timeout(GUARD_SECONDS):
        while rules.rules.max_age.total_seconds() != 3 * 3600:
            await asyncio.sleep(0.01)
    drain.request()
    await asyncio.wait_for(watching, GUARD_SECONDS)
