"""Where news comes from, with which key, by which rules and which model."""

import base64
from typing import Any

import pytest
import yaml

from tests.charts.redis_sentinel_chart import Object, one, refusal
from tests.charts.streamdesk_chart import (
    CHART,
    EXTERNAL,
    SECTIONS,
    container,
    deployment,
    desk,
    env,
    external,
    pod,
    policy,
    reached,
    settings,
)

FETCHER, FILTER = "news-fetcher", "news-filter"
KEY = "not-a-key"
EODHD = {"newsFetcher__source": "eodhd", "newsFetcher__eodhd": {"existingSecret": "my-eodhd"}}
MADE = {"newsFetcher__source": "eodhd", "newsFetcher__eodhd": {"apiKey": KEY}}
REDIS = {("outside", 6379), ("outside", 26379)}


def secret_of(objects: list[Object]) -> Object:
    found: Object = env(objects, FETCHER)["EODHD_API_KEY"]["valueFrom"]["secretKeyRef"]
    return found


def annotations(objects: list[Object], service: str) -> dict[str, str]:
    found: dict[str, str] = deployment(objects, service)["spec"]["template"]["metadata"][
        "annotations"
    ]
    return found


def mounted(objects: list[Object], service: str, path: str) -> Object:
    """The volume at a path, with how it is mounted."""
    mounts = container(objects, service)["volumeMounts"]
    (mount,) = (item for item in mounts if item["mountPath"] == path)
    (volume,) = (item for item in pod(objects, service)["volumes"] if item["name"] == mount["name"])
    return {**volume, "mount": mount}


def rules(**values: Any) -> str:
    text: str = one(external(**values), "ConfigMap", "desk-news-filter-rules")["data"]["rules.yaml"]
    return text


def test_by_default_news_is_simulated_and_needs_no_key_and_no_way_out() -> None:
    objects = external()
    assert settings(objects, FETCHER)["NEWS_SOURCE"] == "simulated"
    assert "EODHD_API_KEY" not in env(objects, FETCHER)
    assert reached(objects, FETCHER) == REDIS
    assert not [item for item in objects if "eodhd" in item["metadata"]["name"]]


def test_eodhd_without_a_key_is_refused_with_what_to_set() -> None:
    said = refusal(CHART, EXTERNAL | {"newsFetcher.source": "eodhd"})
    assert "newsFetcher.eodhd.existingSecret" in said
    assert "newsFetcher.eodhd.apiKey" in said


def test_rounds_of_eodhd_that_come_faster_than_the_service_allows_are_refused() -> None:
    eodhd = {"newsFetcher.source": "eodhd", "newsFetcher.eodhd.existingSecret": "my-eodhd"}
    said = refusal(CHART, EXTERNAL | eodhd | {"newsFetcher.intervalSeconds": 5})
    assert "newsFetcher.intervalSeconds is 5" in said
    assert settings(external(newsFetcher__intervalSeconds=5), FETCHER)


def test_two_keys_are_refused() -> None:
    eodhd = {"existingSecret": "my-eodhd", "apiKey": KEY}
    values = {"newsFetcher.source": "eodhd", "newsFetcher.eodhd": eodhd}
    assert "both set" in refusal(CHART, EXTERNAL | values)


def test_a_fetcher_that_is_off_needs_no_key() -> None:
    objects = external(newsFetcher__source="eodhd", newsFetcher__enabled=False)
    assert not [item for item in objects if "fetcher" in item["metadata"]["name"]]


def test_a_key_in_an_existing_secret_is_read_from_there() -> None:
    eodhd = {"existingSecret": "my-eodhd", "secretKey": "token"}
    objects = external(newsFetcher__source="eodhd", newsFetcher__eodhd=eodhd)
    assert secret_of(objects) == {"name": "my-eodhd", "key": "token"}
    assert not [i for i in objects if i["kind"] == "Secret" and "jwt" not in i["metadata"]["name"]]


def test_a_key_among_the_values_becomes_a_secret_and_stands_nowhere_else() -> None:
    objects = external(**MADE)
    secret = one(objects, "Secret", "desk-news-fetcher-eodhd")
    assert secret_of(objects) == {"name": "desk-news-fetcher-eodhd", "key": "api-key"}
    assert secret["data"] == {"api-key": base64.b64encode(KEY.encode()).decode()}
    assert [item for item in objects if KEY in yaml.safe_dump(item)] == []


def test_a_key_cannot_stand_in_the_configmap() -> None:
    values = {"newsFetcher.settings.EODHD_API_KEY": KEY}
    assert "EODHD_API_KEY" in refusal(CHART, EXTERNAL | values)


def test_a_changed_key_starts_new_pods_of_the_fetcher_alone() -> None:
    other = {**MADE, "newsFetcher__eodhd": {"apiKey": f"{KEY}-2"}}
    before, after = external(**MADE), external(**other)
    changed = {name for name in SECTIONS if annotations(before, name) != annotations(after, name)}
    assert changed == {FETCHER}


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("https://eodhd.com", 443),
        ("http://mirror.example.com", 80),
        ("https://mirror.example.com:8443/eodhd", 8443),
    ],
)
def test_the_fetcher_alone_reaches_the_outside_and_only_the_port_of_the_address(
    url: str, port: int
) -> None:
    eodhd = {"existingSecret": "my-eodhd", "url": url}
    objects = desk(newsFetcher__source="eodhd", newsFetcher__eodhd=eodhd)
    assert settings(objects, FETCHER)["EODHD_URL"] == url
    redis = {("redis", 6379), ("redis", 26379)}
    assert reached(objects, FETCHER) == redis | {("outside", port)}
    assert reached(objects, FILTER) == redis


def test_the_outside_is_no_private_network_and_can_be_narrowed() -> None:
    (rule,) = (one for one in policy(external(**EODHD), FETCHER)["egress"] if "443" in str(one))
    blocks = {peer["ipBlock"]["cidr"]: set(peer["ipBlock"]["except"]) for peer in rule["to"]}
    assert set(blocks) == {"0.0.0.0/0"}
    private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"}
    assert private < blocks["0.0.0.0/0"]
    peers = [{"podSelector": {"matchLabels": {"app": "proxy"}}}]
    eodhd = {"existingSecret": "my-eodhd", "to": peers}
    narrowed = policy(external(newsFetcher__source="eodhd", newsFetcher__eodhd=eodhd), FETCHER)
    assert peers in [rule.get("to") for rule in narrowed["egress"]]


def test_fetchers_stand_by_for_one_another_so_a_new_one_starts_before_the_old_one_goes() -> None:
    assert deployment(external(), FETCHER)["spec"]["strategy"]["type"] == "RollingUpdate"


def test_fetched_tickers_pass_the_filter_unless_it_is_configured_otherwise() -> None:
    tickers = ["AAPL.US", "700.HK"]
    objects = external(newsFetcher__tickers=tickers, newsFetcher__intervalSeconds=300)
    assert settings(objects, FETCHER)["NEWS_TICKERS"] == "AAPL.US,700.HK"
    assert settings(objects, FETCHER)["NEWS_INTERVAL_SECONDS"] == "300"
    assert settings(objects, FILTER)["NEWS_TICKERS"] == "AAPL.US,700.HK"
    other = external(newsFetcher__tickers=tickers, newsFilter__settings={"NEWS_TICKERS": "*"})
    assert settings(other, FILTER)["NEWS_TICKERS"] == "*"
    plain = external()
    assert "NEWS_TICKERS" not in {*settings(plain, FETCHER), *settings(plain, FILTER)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("newsFetcher.source", "rss"),
        ("newsFetcher.tickers", ["Apple"]),
        ("newsFetcher.eodhd.url", "https://eodhd.com/?page=1"),
        ("newsFetcher.settings.NEWS_SOURCE", "eodhd"),
        ("newsFetcher.settings.EODHD_URL", "https://example.com"),
        ("newsFilter.settings.NEWS_RULES_FILE", "/elsewhere"),
        ("newsFilter.rules", {"ticker": ["AAPL.US"]}),
        ("newsFilter.rules", {"keywords": {"exclude": "opinion"}}),
        ("newsFilter.rules", {"sentiment": {"threshold": 2}}),
    ],
)
def test_what_has_a_value_of_its_own_is_checked_and_set_there_alone(
    name: str, value: object
) -> None:
    assert name.rpartition(".")[2] in refusal(CHART, EXTERNAL | {name: value})


def test_a_recording_comes_from_the_image_a_volume_or_a_configmap() -> None:
    objects = external(newsFetcher__source="recorded")
    assert settings(objects, FETCHER)["NEWS_RECORDING"] == "sample"
    objects = external(
        newsFetcher__source="recorded",
        newsFetcher__recording={"path": "/mine/news.jsonl"},
        newsFetcher__volumes=[{"name": "mine", "emptyDir": {}}],
        newsFetcher__volumeMounts=[{"name": "mine", "mountPath": "/mine"}],
    )
    assert settings(objects, FETCHER)["NEWS_RECORDING"] == "/mine/news.jsonl"
    objects = external(newsFetcher__source="recorded", newsFetcher__recording={"configMap": "news"})
    folder = settings(objects, FETCHER)["NEWS_RECORDING"]
    assert mounted(objects, FETCHER, folder)["configMap"] == {"name": "news"}


def test_rules_are_a_file_that_changes_without_a_new_pod() -> None:
    strict = {"sentiment": {"threshold": 0.8}, "keywords": {"exclude": ["opinion"]}}
    objects = external(newsFilter__rules=strict)
    assert yaml.safe_load(rules(newsFilter__rules=strict)) == strict
    path = settings(objects, FILTER)["NEWS_RULES_FILE"]
    assert path == "/rules/rules.yaml"
    volume = mounted(objects, FILTER, "/rules")
    assert volume["configMap"] == {"name": "desk-news-filter-rules"}
    assert "subPath" not in volume["mount"], "a file that is mounted by itself never changes"
    assert deployment(objects, FILTER) == deployment(external(), FILTER)


def test_without_rules_the_file_is_there_and_names_none() -> None:
    assert yaml.safe_load(rules()) == {}


def test_finbert_is_another_image_with_a_model_from_a_claim_and_room_for_it() -> None:
    finbert = {"enabled": True, "existingClaim": "models", "subPath": "finbert"}
    objects = external(newsFilter__finbert=finbert, image__tag="1.2.3")
    assert container(objects, FILTER)["image"] == "streamdesk/news-filter-finbert:1.2.3"
    data = settings(objects, FILTER)
    assert (data["SENTIMENT_SCORER"], data["FINBERT_FOLDER"]) == ("finbert", "/finbert")
    volume = mounted(objects, FILTER, "/finbert")
    assert volume["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    assert (volume["mount"]["subPath"], volume["mount"]["readOnly"]) == ("finbert", True)
    assert container(objects, FILTER)["resources"]["limits"]["memory"] == "2Gi"


def test_finbert_by_another_name_or_digest() -> None:
    finbert = {"enabled": True, "existingClaim": "models", "image": "example.com/judge"}
    digest = "sha256:" + "0" * 64
    objects = external(newsFilter__finbert=finbert, newsFilter__image={"digest": digest})
    assert container(objects, FILTER)["image"] == f"example.com/judge@{digest}"


def test_finbert_without_a_model_is_refused_with_what_to_set() -> None:
    values = {"newsFilter.finbert.enabled": True}
    assert "newsFilter.finbert.existingClaim" in refusal(CHART, EXTERNAL | values)


def test_without_finbert_the_filter_is_the_plain_image_and_mounts_no_model() -> None:
    objects = external()
    assert container(objects, FILTER)["image"].startswith("streamdesk/news-filter:")
    assert "SENTIMENT_SCORER" not in settings(objects, FILTER)
    assert {item["name"] for item in pod(objects, FILTER)["volumes"]} == {"tmp", "rules"}
