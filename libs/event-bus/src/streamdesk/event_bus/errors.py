"""The errors of the event bus, besides those of `streamdesk.bus`.

EventBusError
└── InvalidEventError   the data do not form an event; the message names each field that is wrong
"""


class EventBusError(Exception):
    """Base of what this library raises: it was called with what it cannot use."""


class InvalidEventError(EventBusError, ValueError):
    """The data do not form an event; nothing was sent.

    Args:
        event: name of the event that was to be made.
        problems: what is wrong, by field; the field `event` stands for a rule over several.
    """

    def __init__(self, event: str, problems: dict[str, str]) -> None:
        listed = "; ".join(f"{field}: {problem}" for field, problem in problems.items())
        super().__init__(f"no {event} can be made of these data: {listed}")
        self.event = event
        self.problems = problems
