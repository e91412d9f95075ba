"""The API over HTTP: envelopes, refusals that help, and headers for caches."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from streamdesk.market import UNIVERSE
from tests.analysis_replicas import LOOPBACK, PREFIX, Replica

SYMBOLS = [instrument.symbol for instrument in UNIVERSE]


@pytest.fixture(scope="module")
def replica() -> Iterator[Replica]:
    # Not started: a slot that begins meanwhile would fill the cache.
    replica = Replica(
        REDIS_ENABLED="false", HAMA_SCHEDULER_ENABLED="true", HAMA_SCHEDULER_AUTO_START="false"
    )
    yield replica
    replica.stop()


def url(replica: Replica, path: str) -> str:
    return f"http://{LOOPBACK}:{replica.port}{PREFIX}/{path}"


def sent(replica: Replica, path: str, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(url(replica, path), content=body, headers=headers, timeout=60)


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    envelope = answer.json()
    assert (envelope["code"], envelope["data"]) == (0, None)
    for word in words:
        assert word in envelope["msg"], envelope["msg"]


def test_an_analysis_comes_in_the_envelope_with_state_score_and_numbers(replica: Replica) -> None:
    answer = replica.post("analyze-symbol", symbol="btcusdt")
    envelope = answer.json()
    assert (answer.status_code, envelope["code"], envelope["msg"]) == (200, 1, "success")
    data = envelope["data"]
    assert (data["symbol"], data["preset"], data["interval_seconds"]) == ("BTCUSDT", "nsdt", 60)
    assert data["state"] in ("bullish", "bearish", "neutral")
    assert 0 <= data["score"] <= 100
    assert data["indicators"]["atr"] > 0
    assert datetime.fromisoformat(data["as_of"]) <= datetime.fromisoformat(data["computed_at"])
    assert data["source"] == "simulated"


def test_the_second_answer_is_cached_and_another_preset_or_interval_is_another_analysis(
    replica: Replica,
) -> None:
    questions: list[dict[str, Any]] = [
        {"symbol": "ETHUSDT"},
        {"symbol": "ETHUSDT", "preset": "quantdinger"},
        {"symbol": "ETHUSDT", "interval_seconds": 3600},
    ]
    for question in questions:
        assert not replica.post("analyze-symbol", **question).json()["data"]["cached"]
    for question in questions:
        data = replica.post("analyze-symbol", **question).json()["data"]
        assert data["cached"]
        assert question.items() <= data.items()


def test_any_spelling_of_an_instrument_is_one_analysis(replica: Replica) -> None:
    assert replica.post("analyze-symbol", symbol="700.HK").json()["data"]["symbol"] == "700.HK"
    for spelled in ("0700.HK", "00700.hk"):
        data = replica.post("analyze-symbol", symbol=spelled).json()["data"]
        assert (data["symbol"], data["cached"]) == ("700.HK", True)


def test_a_forced_refresh_is_computed_anew(replica: Replica) -> None:
    first = replica.post("analyze-symbol", symbol="SOLUSDT").json()["data"]
    second = replica.post("analyze-symbol", symbol="SOLUSDT", force_refresh=True).json()["data"]
    assert second["computed_at"] > first["computed_at"]
    assert not second["cached"]


def test_an_unknown_symbol_is_404_and_the_message_shows_how_one_is_written(
    replica: Replica,
) -> None:
    refused(replica.post("analyze-symbol", symbol="APPL.US"), 404, "'APPL.US'", "AAPL.US")
    refused(replica.post("analyze-batch", symbols=["APPL.US"]), 404, "'APPL.US'")


def test_a_batch_answers_what_it_can_in_the_order_asked_and_names_the_rest(
    replica: Replica,
) -> None:
    asked = ["TSLA.US", "NOPE.US", "5.HK", "TSLA.US"]
    data = replica.post("analyze-batch", symbols=asked).json()["data"]
    assert [result["symbol"] for result in data["results"]] == ["TSLA.US", "5.HK"]
    assert (data["total"], data["succeeded"], data["failed"]) == (3, 2, 1)
    assert "NOPE.US" in data["errors"]["NOPE.US"]


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b'{"symbols": []}', 422, "symbols: name at least one"),
        (b"{}", 422, "symbols: Field required"),
        (b'{"symbols": "BTCUSDT"}', 422, "symbols: "),
        (b'{"symbols": [5]}', 422, "symbols.0: Input should be a valid string"),
        (b'{"symbols": ["a b"]}', 422, "symbols.0: "),
        (b'{"symbols": ["BTCUSDT"], "preset": "best"}', 422, "'nsdt' or 'quantdinger'"),
        (b'{"symbols": ["BTCUSDT"], "interval_seconds": 61}', 422, "interval_seconds: "),
        (b'{"symbols": ["BTCUSDT"], "force_refresh": "yes"}', 422, "force_refresh: "),
        (b'{"symbols": ["BTCUSDT"], "forcerefresh": true}', 422, "forcerefresh: "),
        (b"[1, 2]", 422, "expected as in"),
        (b'{"symbols": ["BTCUSDT"', 400, "not JSON"),
        (b"", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
    ],
)
def test_a_question_that_is_none_is_refused_with_the_field_and_an_example(
    replica: Replica, body: bytes, status: int, word: str
) -> None:
    refused(sent(replica, "analyze-batch", body), status, word, 'expected as in {"symbols": [')


def test_ten_thousand_symbols_are_refused_with_the_number_that_is_allowed(
    replica: Replica,
) -> None:
    many = [f"X{number}.US" for number in range(10_000)]
    for path in ("analyze-batch", "preload"):
        refused(replica.post(path, symbols=many), 422, "10,000", "500", "split")


def test_a_body_of_more_than_a_mebibyte_is_413(replica: Replica) -> None:
    for path in ("analyze-batch", "scheduler/fire"):
        refused(sent(replica, path, b" " * (1 << 20) + b"{}"), 413, "1,048,576", "split")


def test_unknown_paths_and_methods_are_refused_in_the_envelope(replica: Replica) -> None:
    refused(replica.get("nothing"), 404, "openapi.json")
    refused(replica.get("analyze-symbol"), 405, "GET")
    refused(replica.get("scheduler/preview?count=0"), 422, "count")


def test_what_the_client_has_is_not_sent_again(replica: Replica) -> None:
    first = replica.post("analyze-symbol", symbol="AAPL.US")
    tag = first.headers["etag"]
    control = first.headers["cache-control"]
    assert control == "max-age=240, stale-while-revalidate=60"
    assert int(first.headers["age"]) < 240
    body = b'{"symbol": "AAPL.US"}'
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = sent(replica, "analyze-symbol", body, **{"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert sent(replica, "analyze-symbol", body, **{"if-none-match": '"x"'}).status_code == 200
    assert replica.get("analyses/aapl.us", **{"if-none-match": tag}).status_code == 304
    assert replica.get("analyses/aapl.us").json()["data"]["symbol"] == "AAPL.US"


def test_a_batch_has_a_tag_of_its_own(replica: Replica) -> None:
    body = json.dumps({"symbols": ["AAPL.US", "NVDA.US"]}).encode()
    first = sent(replica, "analyze-batch", body)
    tag = {"if-none-match": first.headers["etag"]}
    assert sent(replica, "analyze-batch", body, **tag).status_code == 304
    other = json.dumps({"symbols": ["AAPL.US", "MSFT.US"]}).encode()
    assert sent(replica, "analyze-batch", other, **tag).status_code == 200


def test_preload_computes_all_78_or_those_that_are_named(replica: Replica) -> None:
    everything = sent(replica, "preload", b"").json()["data"]
    assert (everything["symbols_count"], everything["refreshed"]) == (78, 78)
    some = replica.post("preload", symbols=["BTCUSDT", "NOPE.US"]).json()["data"]
    assert (some["symbols_count"], some["refreshed"]) == (2, 1)
    assert list(some["failed"]) == ["NOPE.US"]


def test_cache_stats_and_the_schedules_status_have_the_documented_fields(
    replica: Replica,
) -> None:
    sent(replica, "preload", b"")
    stats = replica.stats()
    assert (stats["cache_type"], stats["memory_cache_fallback"]) == ("memory", False)
    assert (stats["cached_symbols"], stats["cache_duration_minutes"]) == (78, 5)
    assert stats["symbols"] == sorted(SYMBOLS)
    status = replica.get("scheduler/status").json()["data"]
    assert (status["running"], status["symbols_count"], status["interval_minutes"]) == (
        False,
        78,
        5,
    )
    cache = {"available": False, "cached_symbols": 78, "cache_ttl_seconds": 300}
    assert status["cache_stats"] == cache


def test_the_schedule_is_started_stopped_previewed_and_fired(replica: Replica) -> None:
    verbs = (("stop", False), ("start", True), ("start", True), ("stop", False))
    for verb, running in verbs:
        data = sent(replica, f"scheduler/{verb}", b"").json()["data"]
        assert (data["running"], data["next_slot"] is not None) == (running, running)
    slots = replica.get("scheduler/preview?count=3").json()["data"]["slots"]
    first, second, third = map(datetime.fromisoformat, slots)
    assert (first.minute % 5, second - first, third - second) == (0, *[timedelta(minutes=5)] * 2)
    fired = sent(replica, "scheduler/fire", b"").json()["data"]
    assert (fired["symbols_count"], fired["refreshed"]) == (78, 78)


def test_without_a_bar_store_the_job_is_refused_with_the_setting(replica: Replica) -> None:
    refused(replica.get("jobs/indicators"), 404, "BAR_STORE_FOLDER")
    refused(sent(replica, "jobs/indicators", b""), 404, "BAR_STORE_FOLDER")


def test_every_request_of_the_description_has_an_example(replica: Replica) -> None:
    description = replica.get("openapi.json").json()
    bodies = [
        operation["requestBody"]["content"]["application/json"]
        for path in description["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    ]
    assert len(bodies) == 3
    assert all(body["examples"] for body in bodies)
    batch = description["paths"][f"{PREFIX}/analyze-batch"]["post"]["requestBody"]
    schema = batch["content"]["application/json"]["schema"]
    assert schema["properties"]["symbols"]["maxItems"] == 500
