"""The names that consumers have on the server go with them, and take nothing along."""

from typing import Any

import pytest

from streamdesk.bus.topic_keys import keys_of

GROUP = "workers"


async def taken(desk: Any, topic: Any, consumer: str, count: int) -> list[Any]:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    entries: list[Any] = (await backend.take(topic_keys, GROUP, consumer, count)).entries
    assert len(entries) == count
    return entries


async def names(desk: Any, topic: Any) -> list[str]:
    return [consumer.name for consumer in await desk.bus.consumers(topic, GROUP)]


async def test_a_name_goes_when_it_holds_nothing_and_was_not_seen_for_long(
    desk: Any, topic: Any, ping: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(3)])
    finished = await taken(desk, topic, "dead", 2)
    await taken(desk, topic, "holder", 1)
    await backend.settle(topic_keys, GROUP, "dead", [entry.held for entry in finished], [])
    await backend.trim(topic_keys, topic.keep)
    assert await names(desk, topic) == ["dead", "holder"]
    for backend_module in ("memory", "redis"):
        monkeypatch.setattr(f"streamdesk.bus.backends.{backend_module}.inspection.GONE_MS", 0)
    await backend.trim(topic_keys, topic.keep)
    assert await names(desk, topic) == ["holder"]


async def test_what_a_deleted_name_held_is_taken_back_while_its_lease_holds(
    server_desk: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), server_desk.bus._backend
    await server_desk.bus.publish(topic, ping(text="held"))
    (entry,) = await taken(server_desk, topic, "owner", 1)
    await server_desk.command("XGROUP", "DELCONSUMER", topic.key, GROUP, "owner")
    assert await backend.renew(topic_keys, GROUP, "owner", {entry.held: 0}) == [entry.held]
    assert await backend.renew(topic_keys, GROUP, "owner", {entry.held: 7}) == []
    (again,) = await backend.reclaim(topic_keys, GROUP, "other", 0, 1)
    assert (again.id, again.deliveries) == (entry.id, 8), "a fence never goes back"
    assert await backend.renew(topic_keys, GROUP, "owner", {entry.held: 7}) == [entry.held]


@pytest.mark.parametrize("loss", ["group", "stream"])
async def test_what_a_lost_group_held_is_not_taken_back_since_it_comes_anew(
    server_desk: Any, topic: Any, ping: Any, loss: str
) -> None:
    topic_keys, backend = keys_of(topic), server_desk.bus._backend
    await server_desk.bus.publish(topic, ping(text="held"))
    (entry,) = await taken(server_desk, topic, "owner", 1)
    await (server_desk.lose_group if loss == "group" else server_desk.lose_streams)(topic)
    assert await backend.renew(topic_keys, GROUP, "owner", {entry.held: 1}) == [entry.held]
    await backend.ensure_group(topic_keys, GROUP)
    assert await backend.renew(topic_keys, GROUP, "owner", {entry.held: 1}) == [entry.held]
    assert (await server_desk.lag(topic)).pending == 0
