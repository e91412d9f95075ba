"""What the event bus tells its callers, on top of what `streamdesk.bus` does.

EventBusError
└── InvalidEventError   the data make no event; the message names each field that is wrong
"""


class EventBusError(Exception):
    """Base of what this library raises: it was called in a way that cannot work."""


class InvalidEventError(EventBusError, ValueError):
    """The data make no event; nothing was sent.

    Args:
        event: name of the event that was to be made.
        problems: what is wrong, by field; the field `event` stands for a rule over several.
    """

    def __init__(self, event: str, problems: dict[str, str]) -> None:
        said = "; ".join(f"{field}: {problem}" for field, problem in problems.items())
        super().__init__(f"no {event} can be made of these data: {said}")
        self.event = event
        self.problems = problems
