"""Settings as text for a person: the table of `--help`, and the one line about a bad value."""

import os
import textwrap
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined
from pydantic_settings import SettingsError

from streamdesk.runtime.errors import BadSettingError
from streamdesk.runtime.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)
HIDDEN = "(hidden)"
FOLLOWS = "default_factory_not_called"  # only says that another value is wrong
WIDTH = 96
TYPE_NAMES = {
    str: "text",
    int: "integer",
    float: "number",
    Decimal: "number",
    bool: "true|false",
    Path: "path",
    SecretStr: "secret",
}
CONTAINERS = {tuple: "comma-separated", dict: "JSON", list: "JSON"}


def load(settings_type: type[S]) -> S:
    """Read the settings from the environment.

    Raises:
        BadSettingError: a value cannot be used; the error names all that are wrong, on one line.
    """
    try:
        return settings_type()
    except ValidationError as error:
        details = [detail for detail in error.errors() if detail["type"] != FOLLOWS]
        lines = [_explained(settings_type, detail) for detail in details]
        raise _OneLineError("; ".join(lines)) from None
    except SettingsError as error:
        name = str(error).partition('"')[2].partition('"')[0]
        raise BadSettingError(
            name.upper(), os.environ.get(name.upper(), HIDDEN), "a value in JSON"
        ) from None


class _OneLineError(BadSettingError):
    """Several bad settings, already explained."""

    def __init__(self, line: str) -> None:
        ValueError.__init__(self, " ".join(line.split()))


def _explained(settings_type: type[ServiceSettings], detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message  # a rule over several settings names them itself
    name = str(detail["loc"][0])
    field = settings_type.model_fields.get(name)
    if field is None:
        return f"{name.upper()}: {message}"
    expected = message.removeprefix("Input should be ").partition(", unable")[0]
    if detail["type"] == "missing":
        return f"{variable(name, field)} is not set: expected {meaning(field)}"
    shown = HIDDEN if is_secret(field) else f"{detail['input']!s:.200}"
    why = "" if detail["type"] == "value_error" else f" ({meaning(field)})"
    inside = "".join(f".{part}" for part in detail["loc"][1:])  # of a value that is JSON
    return f"{variable(name, field)}{inside}={shown}: expected {expected}{why}"


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable that sets a field."""
    alias = field.validation_alias
    return (alias if isinstance(alias, str) else name).upper()


def meaning(field: FieldInfo) -> str:
    """First sentence of a field's description."""
    return (field.description or "").partition(". ")[0].rstrip(".") or "a value"


def is_secret(field: FieldInfo) -> bool:
    """Whether a field's value must never be shown."""
    return _holds_secret(field.annotation)


def _holds_secret(kind: object) -> bool:
    return kind is SecretStr or any(_holds_secret(part) for part in get_args(kind))


def type_name(kind: Any) -> str:  # noqa: ANN401 - an annotation can be anything
    """A type in words: `number`, `comma-separated`, `json|console`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return "|".join(str(value) for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(type_name(part) for part in arguments if part is not NoneType)
    if origin in CONTAINERS:
        return CONTAINERS[origin]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return TYPE_NAMES.get(kind) or str(getattr(kind, "__name__", kind))


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "computed"
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ("", ()):
        return "not set"
    if is_secret(field):
        return _without_password(value)
    if isinstance(value, tuple):
        return ",".join(str(word) for word in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without_password(value: object) -> str:
    """A secret default, shown only where it is the address of something without a password."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return text if "://" in text and urlsplit(text).password is None else HIDDEN


def help_text(service: str, settings_type: type[ServiceSettings]) -> str:
    """What `--help` prints: every setting with its type, default and meaning."""
    module = service.replace("-", "_")
    rows = [
        (variable(name, field), type_name(field.annotation), _default(field), field)
        for name, field in _own_first(settings_type)
    ]
    left = max(len(row[0]) for row in rows)
    middle = max(len(row[1]) for row in rows)
    lines = [
        f"{service}: python -m streamdesk.{module}",
        "",
        "Settings are environment variables: name, type, [default], meaning.",
        "",
    ]
    for name, kind, default, field in rows:
        lines.append(f"  {name:<{left}}  {kind:<{middle}}  [{default}]")
        lines += textwrap.wrap(
            " ".join((field.description or "").split()),
            WIDTH,
            initial_indent=" " * 6,
            subsequent_indent=" " * 6,
        )
    return "\n".join(lines)


def _own_first(settings_type: type[ServiceSettings]) -> list[tuple[str, FieldInfo]]:
    """A service's own settings, then those that every service has."""
    fields = settings_type.model_fields.items()
    shared = ServiceSettings.model_fields
    return sorted(fields, key=lambda item: item[0] in shared)
