"""What the exporter beside a Redis may see of it and of its Sentinel, and what it shows of both."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import hiredis
import pytest
import yaml

from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts.topics import TOPICS
from tests.charts.redis_sentinel_chart import CHART, one, password_of, render
from tests.charts.redis_sentinel_nodes import MASTER_NAME, Node, ask, make_nodes, wait_until

ASKED = (
    ("PING",),
    ("INFO", "all"),
    ("CLIENT", "SETNAME", "redis_exporter"),
    ("SENTINEL", "MASTERS"),
    ("SENTINEL", "CKQUORUM", MASTER_NAME),
    ("SENTINEL", "SENTINELS", MASTER_NAME),
    ("SENTINEL", "SLAVES", MASTER_NAME),
)
FORBIDDEN = (
    ("SENTINEL", "FAILOVER", MASTER_NAME),
    ("SENTINEL", "SET", MASTER_NAME, "quorum", "1"),
    ("SENTINEL", "RESET", "*"),
    ("SENTINEL", "CONFIG", "GET", "*"),
    ("ACL", "LIST"),
    ("SHUTDOWN",),
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The master of a whole set."""
    with make_nodes(tmp_path_factory.mktemp("nodes"), network="127.0.7") as nodes:
        nodes.start()
        nodes.wait_until_whole()
        yield nodes.master()


def as_exporter(node: Node, *words: str) -> object:
    answer: object = ask(node.address, node.sentinel_port, *words, user="exporter")
    return answer


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_the_exporter_may_look_at_a_sentinel(node: Node, words: tuple[str, ...]) -> None:
    assert as_exporter(node, *words)


@pytest.mark.parametrize("words", FORBIDDEN, ids=" ".join)
def test_the_exporter_may_change_nothing_of_a_sentinel(node: Node, words: tuple[str, ...]) -> None:
    with pytest.raises(hiredis.ReplyError, match="NOPERM"):
        as_exporter(node, *words)


def test_the_exporter_looks_at_every_stream_of_the_topics_and_at_no_other() -> None:
    expected = set()
    for topic in TOPICS:
        topic_keys = keys_of(topic)
        expected |= {*topic_keys.streams, *([topic_keys.dead] if topic.groups else [])}
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values["exporter"]["streams"]) == expected


def pods(values: dict[str, object]) -> dict[str, str]:
    """The annotations of the pods."""
    template = one(render(values=values), "StatefulSet", "desk-redis")["spec"]["template"]
    found: dict[str, str] = template["metadata"]["annotations"]
    return found


def test_a_pod_says_where_its_sentinel_is_scraped() -> None:
    name = "streamdesk.io/sentinel"
    tls = {"tls.enabled": True, "tls.existingSecret": "certificates"}
    assert pods({})[name] == "redis://127.0.0.1:26379"
    assert pods(tls)[name] == "rediss://127.0.0.1:26379"
    assert name not in pods({"exporter.enabled": False})


@pytest.fixture(scope="module")
def exporter(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a real exporter listens, started as the chart starts it."""
    names = ("redis_exporter", "prometheus-redis-exporter")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no redis_exporter on the PATH")
    spec = one(render(), "StatefulSet", "desk-redis")["spec"]["template"]["spec"]
    (container,) = (item for item in spec["containers"] if item["name"] == "exporter")
    server = f"redis://{node.address}:{node.redis_port}"
    arguments = [word.replace("redis://127.0.0.1:6379", server) for word in container["args"]]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = Path(tmp_path_factory.mktemp("exporter")) / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, f"--web.listen-address={address}", *arguments],
            env={"REDIS_PASSWORD": password_of("exporter")},
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: bool(read(f"http://{address}/health")), "start of the exporter")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


def read(url: str) -> str:
    with urlopen(url, timeout=60) as answer:  # noqa: S310 - the exporter's own address
        text: bytes = answer.read()
    return text.decode()


def test_the_exporter_shows_a_class_of_a_topic_and_its_group(node: Node, exporter: str) -> None:
    node.ask("XADD", "{trading:signals}:90", "*", "a", "b")
    node.ask("XGROUP", "CREATE", "{trading:signals}:90", "order-executors", "0")
    metrics = read(f"{exporter}/metrics")
    assert "redis_up 1" in metrics
    assert 'redis_stream_length{db="db0",stream="{trading:signals}:90"} 1' in metrics
    assert 'group="order-executors",stream="{trading:signals}:90"' in metrics
    assert "redis_aof_last_write_status 1" in metrics


def test_the_exporter_shows_the_sentinel_that_a_scrape_names(node: Node, exporter: str) -> None:
    metrics = read(f"{exporter}/scrape?target=redis://{node.address}:{node.sentinel_port}")
    assert "redis_up 1" in metrics
    assert f'redis_sentinel_master_ckquorum_status{{master_name="{MASTER_NAME}"' in metrics
    assert "redis_sentinel_tilt" in metrics
