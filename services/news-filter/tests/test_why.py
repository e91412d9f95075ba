"""`why`: the verdict on one article, without a server."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from streamdesk.news_filter.entrypoints import cli
from streamdesk.news_filter.factory import rules_and_scorer

GOOD = "Apple beats estimates and raises guidance"


def main(arguments: Sequence[str]) -> int:
    return cli.main(arguments, rules_and_scorer)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(printed(capsys, *arguments, "--json"))
    return answer


def test_it_shows_each_rule_and_the_words_that_decided(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(capsys, GOOD, "--ticker", "aapl.us").splitlines()
    assert lines[0].startswith("passed: sentiment 0.79 > 0.50: beats estimates")
    assert lines[0].endswith("; about AAPL.US")
    assert [line[:18].strip() for line in lines[2:9]] == [
        "age", "ticker", "blocked keywords", "blocked patterns", "keywords", "patterns",
        "sentiment",
    ]  # fmt: skip
    assert lines[3].split() == ["ticker", "passed", "about", "AAPL.US"]
    assert lines[-1].startswith("words: beats estimates +")


def test_it_names_the_rule_that_stopped_an_article_and_asks_the_others_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = as_json(capsys, GOOD, "--ticker", "LKFD.US", "--age-hours", "30")
    assert (answer["passed"], answer["outcome"]) == (False, "too-old")
    failed = {row["rule"]: row["outcome"] for row in answer["rules"] if not row["passed"]}
    assert failed == {"age": "too-old", "ticker": "ticker-not-listed"}
    assert answer["sentiment"] > 0.5
    text = printed(capsys, GOOD, "--age-hours", "30")
    assert text.startswith("dropped, too-old: published 30.0 h ago, not less than 24.0 h\n")


def test_without_a_ticker_that_rule_is_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    answer = as_json(capsys, GOOD)
    assert answer["passed"]
    ticker = next(row for row in answer["rules"] if row["rule"] == "ticker")
    assert (ticker["asked"], ticker["because"]) == (False, "not asked")


def test_the_rules_are_those_of_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("patterns:\n  exclude: ['(?i)guid\\w+']\nsentiment: {mode: negative}")
    monkeypatch.setenv("NEWS_RULES_FILE", str(path))
    monkeypatch.setenv("NEWS_KEYWORDS", "estimates")
    answer = as_json(capsys, GOOD)
    assert answer["outcome"] == "pattern-blocked"
    assert answer["reason"] == r'"guidance" matches blocked pattern "(?i)guid\w+"'
    assert [row["asked"] for row in answer["rules"]] == [
        True, False, False, True, True, False, True,
    ]  # fmt: skip
    path.write_text("sentiment: {threshold: x}")
    assert main([GOOD]) == 2
    assert "line 1: sentiment.threshold" in capsys.readouterr().err


def test_content_and_the_polarity_of_the_source_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    title = "Apple reports results"
    assert as_json(capsys, title)["sentiment"] == 0
    assert as_json(capsys, title, "--content", "It beats estimates.")["sentiment"] > 0
    answer = as_json(capsys, title, "--polarity", "-1")
    assert answer["sentiment"] == pytest.approx(-0.2)
    assert "the source's own is -1.00" in answer["reason"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([""], "title: String should have at least 1 character"),
        (["x" * 1_001], "title: String should have at most 1000 characters"),
        ([GOOD, "--polarity", "2"], "polarity: Input should be less than or equal to 1"),
        ([GOOD, "--polarity", "nan"], "polarity: Input should be a finite number"),
    ],
)
def test_an_article_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert main(arguments) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], [GOOD, "--ticker", "AAPL"], [GOOD, "--age-hours", "nan"], [GOOD, "--age-hours", "1e9"]],
)
def test_an_argument_that_cannot_be_used_ends_with_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert capsys.readouterr().err
