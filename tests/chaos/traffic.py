"""The traffic during faults: three topics, and the outcome that each number must have."""

from streamdesk.bus import BusConfig, RetryPolicy
from streamdesk.contracts.base import Consumer, Event, Topic

GROUP = "chaos-workers"
KEEP = 200  # little, so that trimming is at work all the time
POISON_EVERY = 97
FAILING_EVERY = 41


class Job(Event):
    """Something to be done once its number is known to be on the server."""

    number: int
    account: str = ""
    note: str = ""


def _topic(name: str, **options: object) -> Topic[Job]:
    values: dict[str, object] = {
        "name": name,
        "key": f"chaos:{name}",
        "models": (Job,),
        "about": "Traffic to be broken.",
        "dead_key": f"chaos:{name}:dead",
        "key_field": "account",
        "keep": KEEP,
        "durable": True,  # where there are replicas; a bus says for how many it waits
        "consumers": (Consumer("chaos", GROUP),),
    }
    return Topic(**(values | options))  # type: ignore[arg-type] # the options are the fields'


SINGLES = _topic("singles")
FRAMES = _topic("frames", mode="frame")
ORDERED = _topic("ordered", shards=4)
TOPICS = (SINGLES, FRAMES, ORDERED)


def is_poison(topic: str, number: int) -> bool:
    """Whether the handler rejects it: it belongs to the dead letters."""
    return topic != ORDERED.name and number % POISON_EVERY == 0


def fails_at_first(topic: str, number: int) -> bool:
    """Whether its first attempt raises. A retry would break the order, so not where it counts."""
    return topic != ORDERED.name and number % FAILING_EVERY == 0


def bus_config(
    url: str, instance: str, *, lease_seconds: float, socket_timeout_seconds: float
) -> BusConfig:
    """The bus settings of every process of a round."""
    return BusConfig(
        url=url,
        service="chaos",
        instance=instance,
        retry=RetryPolicy(max_retries=1000, base_seconds=0.05, cap_seconds=0.2),
        lease_seconds=lease_seconds,
        # Consumers are killed repeatedly; their messages are not to blame.
        max_deliveries=1000,
        drain_seconds=5,
        socket_timeout_seconds=socket_timeout_seconds,
    )
