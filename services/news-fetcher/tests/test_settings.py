from pathlib import Path

import pytest

from streamdesk.bus import Bus, BusConfig
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.config import Settings, SourceName
from streamdesk.news_fetcher.factory import recording_of, source_of, tickers_of
from streamdesk.runtime import WATCHLIST, BadSettingError
from streamdesk.runtime.settings_report import load

KEY = "0123456789abcdef.87654321"  # a placeholder in the shape of a key


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EODHD_API_KEY", "NEWS_SOURCE", "NEWS_TICKERS", "NEWS_RECORDING"):
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_cost_nothing_and_ask_no_outside_source() -> None:
    settings = Settings()
    assert settings.news_source is SourceName.SIMULATED
    assert settings.interval_seconds == 3
    assert settings.jitter_seconds == pytest.approx(0.3)
    assert tickers_of(settings) == WATCHLIST


def test_eodhd_is_asked_every_ten_minutes_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEWS_SOURCE", "eodhd")
    monkeypatch.setenv("EODHD_API_KEY", KEY)
    settings = load(Settings)
    assert (settings.interval_seconds, settings.jitter_seconds) == (600, 60)
    monkeypatch.setenv("NEWS_INTERVAL_SECONDS", "300")
    monkeypatch.setenv("NEWS_JITTER_SECONDS", "0")
    settings = load(Settings)
    assert (settings.interval_seconds, settings.jitter_seconds) == (300, 0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"NEWS_SOURCE": "eodhd"}, "EODHD_API_KEY is not set"),
        ({"NEWS_SOURCE": "eodhd", "EODHD_API_KEY": ""}, "EODHD_API_KEY is not set"),
        (
            {"NEWS_SOURCE": "eodhd", "EODHD_API_KEY": KEY, "NEWS_INTERVAL_SECONDS": "30"},
            "NEWS_INTERVAL_SECONDS=30 is too short",
        ),
        ({"NEWS_SOURCE": "reuters"}, "NEWS_SOURCE=reuters"),
        ({"NEWS_TICKERS": "AAPL"}, "NEWS_TICKERS=AAPL"),
        ({"NEWS_TICKERS": ","}, "NEWS_TICKERS"),
        ({"NEWS_LOOKBACK_HOURS": "145"}, "NEWS_LOOKBACK_HOURS=145"),
        ({"NEWS_RECORDING_SPEED": "0"}, "NEWS_RECORDING_SPEED=0"),
        ({"EODHD_URL": "eodhd.com"}, "EODHD_URL=eodhd.com"),
        ({"EODHD_URL": "https://eodhd.com/?api_token=x"}, "EODHD_URL="),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], why: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSettingError) as caught:
        load(Settings)
    assert why in str(caught.value)
    assert KEY not in str(caught.value)


def test_the_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EODHD_API_KEY", f" {KEY}\n")
    settings = load(Settings)
    assert KEY not in repr(settings)
    assert settings.eodhd_api_key is not None
    assert settings.eodhd_api_key.get_secret_value() == KEY


def test_a_file_of_tickers_wins_over_the_list(tmp_path: Path) -> None:
    path = tmp_path / "tickers.yaml"
    path.write_text("tickers: [aapl.us, 0700.HK, 700.HK]\n")
    settings = Settings(news_tickers_file=path, news_tickers=("MSFT.US",))
    assert tickers_of(settings) == ("AAPL.US", "700.HK")


@pytest.mark.parametrize("text", [None, "[]", "tickers:\n", "- AAPL\n"])
def test_a_file_of_tickers_that_cannot_be_used_is_a_bad_setting(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "tickers.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadSettingError, match=r"NEWS_TICKERS_FILE=.*: expected") as caught:
        tickers_of(Settings(news_tickers_file=path))
    assert str(path) in str(caught.value)


def test_a_recording_is_a_path_or_the_sample(tmp_path: Path) -> None:
    assert recording_of(Settings()) == recording_of(Settings(news_recording="sample"))
    with pytest.raises(BadSettingError, match=r"NEWS_RECORDING=.*: expected `sample`, or"):
        recording_of(Settings(news_recording=str(tmp_path / "none.jsonl")))


@pytest.mark.parametrize("name", list(SourceName))
async def test_each_source_fits_the_interface_and_is_called_as_it_is_set(name: SourceName) -> None:
    settings = Settings.model_validate({"news_source": name, "eodhd_api_key": KEY})
    async with Bus.connect(BusConfig(url="memory://sources")) as bus:
        source = source_of(settings, StateKeeper(bus.keys, name, 60))
        assert source.name == name
        assert source.by_ticker is (source.quota is not None)
        assert not source.circuit_open
        await source.close()
