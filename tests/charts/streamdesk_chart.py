"""The chart of the whole desk, rendered."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.charts.redis_sentinel_chart import Object, one, render

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "streamdesk"
RELEASE = "desk"
SECTIONS = {
    "signal-generator": "signalGenerator",
    "order-executor": "orderExecutor",
    "news-fetcher": "newsFetcher",
    "news-filter": "newsFilter",
    "analysis": "analysis",
    "websocket-gateway": "websocketGateway",
    "operator": "operator",
}
EXTERNAL = {
    "redis.enabled": False,
    "externalRedis.existingSecret": "my-redis",
    "postgres.enabled": False,
    "externalPostgres.existingSecret": "my-postgres",
}


def desk(**values: Any) -> list[Object]:
    """All objects; of a value's name the dots are written as two underscores."""
    return render(CHART, {name.replace("__", "."): value for name, value in values.items()})


def external(**values: Any) -> list[Object]:
    """The same with external Redis and PostgreSQL: only the objects of this chart."""
    return render(CHART, EXTERNAL | {key.replace("__", "."): item for key, item in values.items()})


def deployment(objects: list[Object], service: str) -> Object:
    """A service's Deployment."""
    return one(objects, "Deployment", f"{RELEASE}-{service}")


def pod(objects: list[Object], service: str) -> Object:
    """The spec of its pods."""
    spec: Object = deployment(objects, service)["spec"]["template"]["spec"]
    return spec


def container(objects: list[Object], service: str) -> Object:
    """Their one container."""
    (found,) = pod(objects, service)["containers"]
    assert isinstance(found, dict)
    return found


def env(objects: list[Object], service: str) -> dict[str, Object]:
    """Its variables by name."""
    entries: list[Object] = container(objects, service)["env"]
    assert len({entry["name"] for entry in entries}) == len(entries), "a name stands twice"
    return {entry["name"]: entry for entry in entries}


def settings(objects: list[Object], service: str) -> Mapping[str, str]:
    """Its ConfigMap."""
    data: Mapping[str, str] = one(objects, "ConfigMap", f"{RELEASE}-{service}")["data"]
    return data


def policy(objects: list[Object], name: str) -> Object:
    """The spec of its NetworkPolicy."""
    spec: Object = one(objects, "NetworkPolicy", f"{RELEASE}-{name}")["spec"]
    return spec


def reached(objects: list[Object], name: str) -> set[tuple[str, int]]:
    """Allowed destinations, by component or `outside`, and their ports, without DNS."""
    found = set()
    for rule in policy(objects, name)["egress"]:
        for peer in rule.get("to", [{}]):
            labels = peer.get("podSelector", {}).get("matchLabels", {})
            whom = labels.get("app.kubernetes.io/component", "outside")
            found |= {(whom, port["port"]) for port in rule["ports"] if port["port"] != 53}
    return found
