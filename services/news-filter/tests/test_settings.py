from pathlib import Path

import pytest
from pydantic import ValidationError

from streamdesk.news_filter.config import ScorerName, Settings
from streamdesk.news_filter.domain.matching import Text
from streamdesk.news_filter.domain.rules import SentimentMode
from streamdesk.news_filter.factory import rules_of, set_scorer, tickers_of
from streamdesk.runtime import WATCHLIST, BadSettingError


def test_the_defaults_are_the_rules_of_the_desk() -> None:
    rules = rules_of(Settings())
    assert rules.max_age.total_seconds() == 24 * 3600
    assert (rules.threshold, rules.mode) == (0.5, SentimentMode.POSITIVE)
    assert rules.tickers == frozenset(WATCHLIST)
    assert not rules.keywords
    assert not rules.blocked
    assert not rules.patterns
    assert not rules.blocked_patterns
    assert rules.provider_weight == 0.2


def test_rules_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWS_TICKERS", "aapl.us, 0700.hk")
    monkeypatch.setenv("NEWS_KEYWORDS", "guidance,price target")
    monkeypatch.setenv("NEWS_BLOCKED_KEYWORDS", "sponsored")
    monkeypatch.setenv("SENTIMENT_MODE", "absolute")
    monkeypatch.setenv("SENTIMENT_THRESHOLD", "0.7")
    monkeypatch.setenv("NEWS_MAX_AGE_HOURS", "6")
    rules = rules_of(Settings())
    assert rules.tickers == frozenset({"AAPL.US", "700.HK"})
    assert rules.keywords.found_in(Text("A Price Target", "")) == ("price target",)
    assert rules.blocked.found_in(Text("sponsored", "")) == ("sponsored",)
    assert (rules.threshold, rules.mode) == (0.7, SentimentMode.ABSOLUTE)
    assert rules.max_age.total_seconds() == 6 * 3600


def test_a_star_lets_any_ticker_through() -> None:
    assert tickers_of(Settings(news_tickers=("*",))) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NEWS_TICKERS", "AAPL"),
        ("NEWS_TICKERS", ","),
        ("NEWS_TICKERS", "*,AAPL.US"),
        ("SENTIMENT_THRESHOLD", "1"),
        ("SENTIMENT_THRESHOLD", "nan"),
        ("SENTIMENT_MODE", "bad"),
        ("SENTIMENT_SCORER", "gut"),
        ("SENTIMENT_PROVIDER_WEIGHT", "1.1"),
        ("SENTIMENT_CACHE_SECONDS", "-1"),
        ("NEWS_RULES_RELOAD_SECONDS", "0"),
        ("NEWS_MAX_AGE_HOURS", "0"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize(
    "text", ["- AAPL.US\n- 0005.HK\n", "tickers: [aapl.us, 0005.HK]\n", '["AAPL.US", "0005.HK"]']
)
def test_a_file_of_tickers_wins_over_the_list(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tickers.yaml"
    path.write_text(text)
    settings = Settings(news_tickers_file=path, news_tickers=("MSFT.US",))
    assert tickers_of(settings) == frozenset({"AAPL.US", "5.HK"})


@pytest.mark.parametrize(
    "text", [None, b"", b"tickers:\n", b"symbols: [AAPL.US]", b"- AAPL\n", b"[", b"\xff\xfe\xfa"]
)
def test_a_file_of_tickers_that_cannot_be_used_is_a_bad_setting(
    tmp_path: Path, text: bytes | None
) -> None:
    path = tmp_path / "tickers.yaml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(BadSettingError, match=r"NEWS_TICKERS_FILE=.*: expected a YAML list") as err:
        tickers_of(Settings(news_tickers_file=path))
    assert str(path) in str(err.value)


def test_a_keyword_that_cannot_be_looked_for_is_a_bad_setting() -> None:
    with pytest.raises(BadSettingError, match=r"NEWS_BLOCKED_KEYWORDS=.*has 201 characters"):
        rules_of(Settings(news_blocked_keywords=("x" * 201,)))


def test_without_a_model_finbert_is_a_bad_setting(tmp_path: Path) -> None:
    settings = Settings(sentiment_scorer=ScorerName.FINBERT, finbert_folder=tmp_path)
    with pytest.raises(BadSettingError, match=r"FINBERT_FOLDER=.*a FinBERT model"):
        set_scorer(settings)
    with pytest.raises(BadSettingError, match="FINBERT_FOLDER=None"):
        set_scorer(Settings(sentiment_scorer=ScorerName.FINBERT))
