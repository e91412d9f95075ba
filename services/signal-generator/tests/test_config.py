import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from streamdesk.contracts.events import ExitOptions, Side, SignalType
from streamdesk.runtime import BadSettingError, ServiceSettings
from streamdesk.signal_generator.config import Settings
from streamdesk.signal_generator.factory import recorded_feed, simulated_market, topics

README = Path(__file__).parents[1] / "README.md"


def settings(**values: Any) -> Settings:
    return Settings(**values)


def test_symbols_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMBOLS", "aapl.us, 700.HK")
    assert settings().symbols == ("AAPL.US", "700.HK")


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"symbols": ("AAPL",)}, "symbols like AAPL.US or 700.HK"),
        ({"score_min": 60}, "SCORE_MIN, SCORE_BUY_MIN.*must ascend"),
        ({"score_sell_min": 10}, "SCORE_SELL_MIN.*from 30, the minimum"),
        ({"feed": "recorded"}, "FEED=recorded needs FEED_FILE"),
        ({"feed": "live"}, "simulated"),
        ({"signal_queue_max_size": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        settings(**wrong)


def test_the_thresholds_are_settings() -> None:
    rules = settings(score_min=10, score_buy_min=20, score_strong_buy_min=40).rules()
    assert rules.thresholds.type_of(Side.BUY, 45) is SignalType.STRONG_BUY
    assert rules.thresholds.type_of(Side.BUY, 15) is SignalType.WEAK_BUY


def test_the_exits_and_the_cooldown_are_settings() -> None:
    rules = settings(atr_stop_loss=1, atr_take_profit=3, signal_cooldown_bars=0).rules()
    assert (rules.exits.stop_loss, rules.exits.take_profit, rules.cooldown_bars) == (1, 3, 0)


def test_a_buy_has_further_ways_out_only_where_settings_give_them() -> None:
    assert settings().rules().exit_options is None
    rules = settings(exit_trail_atr=3, exit_hold_seconds=86_400).rules()
    assert rules.exit_options == ExitOptions(trail_atr=3, hold_seconds=86_400)
    assert rules.parameters()["exit_trail_atr"] == 3


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        ({}, False),
        ({"signal_queue_wait": "always"}, True),
        ({"feed": "recorded", "feed_file": "x.csv"}, True),
        ({"feed": "recorded", "feed_file": "x.csv", "feed_speed": 5}, False),
        ({"feed": "recorded", "feed_file": "x.csv", "signal_queue_wait": "never"}, False),
    ],
)
def test_a_recording_at_full_speed_waits_for_room_unless_set_otherwise(
    given: dict[str, Any], waits: bool
) -> None:
    assert settings(**given).waits_for_room is waits


def test_keys_and_limit_of_the_queue_are_settings() -> None:
    set_up = topics(settings(signal_queue_key="mine", signal_queue_max_size=7, bars_key="b"))
    assert (set_up.signals.key, set_up.signals.max_backlog) == ("mine", 7)
    assert set_up.signals.dead_key == "mine:dead"
    assert set_up.bars.key == "b"


def test_symbols_may_be_spelled_in_any_way() -> None:
    assert settings(symbols=("0700.hk", "00700.HK", "brk-b.us")).symbols == ("700.HK", "BRK.B.US")


def test_the_simulated_feed_takes_the_chosen_symbols() -> None:
    [chosen] = simulated_market(settings(symbols=("700.HK",))).instruments
    assert chosen.symbol == "700.HK"


def test_a_symbol_that_is_not_watched_stops_the_process_at_once() -> None:
    with pytest.raises(BadSettingError, match=r"SYMBOLS=XYZ\.US: .*not on the watchlist"):
        simulated_market(settings(symbols=("XYZ.US",)))


def test_a_watchlist_that_cannot_be_used_stops_the_process_at_once(tmp_path: Path) -> None:
    bad = tmp_path / "watchlist.yaml"
    bad.write_text("- symbol: IBM.US\n  start_price: 0\n")
    with pytest.raises(BadSettingError, match=r"WATCHLIST_FILE=.*entry 1 \(IBM\.US\)"):
        simulated_market(settings(watchlist_file=bad))


def test_a_recording_that_cannot_be_used_stops_the_process_at_once(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    with pytest.raises(BadSettingError, match=r"FEED_FILE=.*there is no file"):
        recorded_feed(settings(feed="recorded", feed_file=path), path)


def test_the_readme_names_every_setting_of_its_own() -> None:
    own = Settings.model_fields.keys() - ServiceSettings.model_fields.keys()
    listed = set(re.findall(r"^\| `([A-Z_]+)`", README.read_text(), re.MULTILINE))
    assert listed == {name.upper() for name in own}
