"""News in the cluster: a recording with two fetchers, changing rules, and a failing source."""

import collections
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.desk import CHART, FILES, RELEASE, Desk
from tests.e2e.kube import Object, wait_until
from tests.e2e.news import (
    FETCHER,
    FILTER,
    KEY,
    KEY_SECRET,
    RECORDING,
    SOURCE_LABELS,
    Meter,
    eodhd,
    keep,
    listening,
    meter,
    recording,
    script,
)

Tell = Callable[[str], None]
SECONDS = 20  # of the recording: the takeover falls into it
SOME = 4
BLOCKED = "dividend"
RECORDED = {"newsFetcher__source": "recorded", "newsFetcher__recording": {"configMap": RECORDING}}
RULES = {"keywords": {"exclude": [BLOCKED]}}
TICKERS = ["AAPL.US", "MSFT.US", "NVDA.US"]
GENERATED = 60
EVERY = 3


@pytest.fixture(scope="module", autouse=True)
def as_before(desk: Desk) -> Iterator[None]:
    """Leaves the desk as it was installed."""
    yield
    desk.kube.run("scale", "deployment", f"{RELEASE}-{FETCHER}", "--replicas=1")
    desk.kube.helm("upgrade", RELEASE, CHART, *FILES)


def set_arguments(**values: object) -> list[str]:
    """Arguments of Helm that set values; two underscores in a name stand for a dot."""
    words = []
    for name, value in values.items():
        words += ["--set-json", f"{name.replace('__', '.')}={json.dumps(value)}"]
    return words


def wait_for_one(meters: dict[str, Meter]) -> list[str]:
    """The pod that fetches, once it is just one: between two leases there may be none."""
    found: list[str] = []

    def one() -> bool:
        found[:] = [pod for pod, each in meters.items() if each.sum("news_fetcher_active")]
        return len(found) == 1

    wait_until(one, "one active fetcher", lambda: f"of {[*meters]} are active {found}")
    return found


def test_with_two_fetchers_the_active_one_is_killed_and_no_article_is_lost_or_doubled(
    whole: Desk, tell: Tell
) -> None:
    prefix = uuid.uuid4().hex
    keep(whole, "ConfigMap", RECORDING, {"news.jsonl": recording(prefix, SECONDS)})
    whole.kube.run("scale", "deployment", f"{RELEASE}-{FETCHER}", "--replicas=2")
    links = [f"https://news.example/{prefix}-good-{number}" for number in range(SECONDS)]
    with listening(whole) as news, ExitStack() as stack:
        whole.upgrade(*set_arguments(**RECORDED))
        whole.kube.wait_ready(FETCHER, 2)
        pods = whole.kube.ready_pods(FETCHER)
        meters = {pod: stack.enter_context(meter(whole, pod)) for pod in pods}
        news.wait_for({*links[:SOME]})
        (active,) = wait_for_one(meters)
        (other,) = {*pods} - {active}
        whole.kube.kill(active)
        seconds = wait_until(
            lambda: meters[other].sum("news_fetcher_active"),
            f"{other} fetching",
            whole.kube.pod_states,
        )
        news.wait_for({*links})
        raw = whole.run_in(whole.stand_in(FILTER), "raw_links.py", prefix).split()
        count = collections.Counter(article["link"] for article in news.about(prefix))
    whole.kube.run("scale", "deployment", f"{RELEASE}-{FETCHER}", "--replicas=1")
    assert count == collections.Counter(links), "each good one once, and no dull one"
    assert len(raw) == len({*raw}) == 2 * SECONDS
    (first, *_) = news.about(prefix)
    assert first["sentiment"] > 0
    assert first["reason"].startswith("sentiment")
    tell(f"active fetcher killed: another after {seconds:.0f} s; {len(raw)} articles, each once")


def test_changed_rules_are_in_force_in_the_pod_that_runs(whole: Desk) -> None:
    def of_the_pod() -> Object:
        (pod,) = whole.kube.pods(FILTER)
        (status,) = pod["status"]["containerStatuses"]
        return {"uid": pod["metadata"]["uid"], "restarts": status["restartCount"]}

    before = of_the_pod()
    (pod,) = whole.kube.ready_pods(FILTER)
    prefix = uuid.uuid4().hex
    with meter(whole, pod) as counts, listening(whole) as news:
        loaded = counts.sum("news_rules_loaded_total", outcome="loaded")
        whole.upgrade(*set_arguments(**RECORDED, newsFilter__rules=RULES))
        # The kubelet looks at a pod's files when the pod changes, and else about once a minute.
        whole.kube.run("annotate", "pod", pod, f"e2e/looked-at={prefix}")
        wait_until(
            lambda: counts.sum("news_rules_loaded_total", outcome="loaded") > loaded,
            "the new rules read",
            lambda: whole.kube.run("logs", pod, "--tail=20"),
        )
        blocked = counts.sum("news_filter_processed_total", outcome="keyword-blocked")
        whole.run_in(whole.stand_in(FETCHER), "articles.py", prefix)
        news.wait_for({f"https://news.example/{prefix}-fine"})
        wait_until(
            lambda: counts.sum("news_filter_processed_total", outcome="keyword-blocked") > blocked,
            f"an article with {BLOCKED!r} dropped",
        )
    assert [one["link"] for one in news.about(prefix)] == [f"https://news.example/{prefix}-fine"]
    assert of_the_pod() == before


def test_failures_of_eodhd_are_counted_and_its_news_arrives_nevertheless(
    whole: Desk, tell: Tell
) -> None:
    keep(whole, "Secret", KEY_SECRET, {"api-key": KEY})
    with eodhd(whole, "--tickers", ",".join(TICKERS), "--generate", str(GENERATED)) as url:
        script(whole, always={"status": 500, "every": EVERY})
        peers = [{"podSelector": {"matchLabels": SOURCE_LABELS}}]
        source = {"existingSecret": KEY_SECRET, "url": url, "to": peers}
        whole.upgrade(
            *set_arguments(
                newsFetcher__source="eodhd",
                newsFetcher__tickers=TICKERS,
                newsFetcher__intervalSeconds=60,
                newsFetcher__eodhd=source,
            )
        )
        with ExitStack() as stack:
            pods = whole.kube.ready_pods(FETCHER)
            meters = [stack.enter_context(meter(whole, pod)) for pod in pods]

            def count(name: str, **labels: str) -> float:
                return sum(one.sum(name, source="eodhd", **labels) for one in meters)

            def failed() -> float:
                return count("news_fetch_failure_total", reason="unavailable")

            wait_until(
                lambda: failed() and count("news_fetch_success_total"),
                "requests that failed and requests that did not",
                lambda: "".join(whole.kube.run("logs", pod, "--tail=20") for pod in pods),
            )
            wait_until(lambda: count("news_fetched_total") >= GENERATED, "all its articles")
            tell(f"{failed():.0f} failed, {count('news_fetch_success_total'):.0f} answered")
            logs = "".join(whole.kube.run("logs", pod) for pod in pods)
        reached = {
            name: whole.run_in(f"deploy/{RELEASE}-{name}", "reach.py", url)
            for name in (FETCHER, FILTER)
        }
    assert KEY not in logs
    assert reached == {FETCHER: "reached", FILTER: "refused"}
