"""What can be wrong with a message.

    ContractError
    ├── UnknownEventError     no model of this name travels on the topic
    ├── UnknownVersionError   the model exists, this version of it cannot be read
    └── InvalidBodyError      the body is not JSON, or a field is missing or out of bounds

None of them gets better by waiting: a message that raises one belongs to the dead letters.
"""


class ContractError(ValueError):
    """The message does not keep its contract; retrying it cannot help."""

    reason = "contract"


class UnknownEventError(ContractError):
    """No model of this name travels on the topic."""

    reason = "unknown-event"

    def __init__(self, type_name: str, topic: str, known: list[str]) -> None:
        super().__init__(
            f"event type {type_name!r} is not known on topic {topic!r}; known: {', '.join(known)}"
        )


class UnknownVersionError(ContractError):
    """The model exists, but neither this version nor an upcaster from it."""

    reason = "unknown-version"

    def __init__(self, type_name: str, version: object, current: int) -> None:
        super().__init__(
            f"{type_name} version {version!r} cannot be read here; current version: {current}. "
            "Upgrade this service, or add an upcaster"
        )


class InvalidBodyError(ContractError):
    """The body is not JSON, or does not fit the model."""

    reason = "invalid-body"

    def __init__(self, type_name: str, detail: str) -> None:
        super().__init__(f"{type_name} has an invalid body: {detail}")
