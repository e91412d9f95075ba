"""The bodies of requests, and the errors of those that are not valid."""

from functools import lru_cache
from typing import Annotated, Literal, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from streamdesk.analysis.errors import RequestError
from streamdesk.contracts.events.analysis import HamaPreset
from streamdesk.contracts.symbols import canonical_symbol

LONGEST_SYMBOL = 20
SHOWN_PROBLEMS = 3
REMEMBERED_BYTES = 256

R = TypeVar("R", bound="Question")

SymbolName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.\-]*$",
        max_length=LONGEST_SYMBOL,
        description="Instrument, as in AAPL.US, 700.HK or BTCUSDT; in any spelling, as 0700.hk.",
        examples=["BTCUSDT"],
    ),
    AfterValidator(canonical_symbol),
]
Interval = Literal[60, 300, 900, 1_800, 3_600, 14_400, 86_400]


class Question(BaseModel):
    """Base of all bodies: unknown fields are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SymbolQuestion(Question):
    """Which analysis is wanted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"symbol": "BTCUSDT"},
                {"symbol": "AAPL.US", "preset": "quantdinger", "interval_seconds": 3600},
            ]
        }
    )

    symbol: SymbolName
    preset: HamaPreset | None = Field(
        None, description="Edition of HAMA; the service's own (HAMA_PRESET) unless named."
    )
    interval_seconds: Interval | None = Field(
        None,
        description="Length of the bars, seconds; the service's own (HAMA_INTERVAL_SECONDS) "
        "unless named.",
    )
    force_refresh: bool = Field(
        default=False, description="Have it computed now, whatever the cache has."
    )


class BatchQuestion(Question):
    """Which analyses are wanted."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"symbols": ["BTCUSDT", "AAPL.US", "700.HK"]}]}
    )

    symbols: tuple[SymbolName, ...] = Field(
        min_length=1,
        description="Instruments; one that is named twice is answered once. "
        "At most ANALYSIS_MAX_BATCH.",
    )
    preset: HamaPreset | None = Field(None, description="As for one symbol.")
    interval_seconds: Interval | None = Field(None, description="As for one symbol.")
    force_refresh: bool = Field(default=False, description="As for one symbol.")


class PreloadQuestion(Question):
    """Which analyses to compute in advance."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"symbols": ["BTCUSDT"]}, {}]})

    symbols: tuple[SymbolName, ...] | None = Field(
        None,
        min_length=1,
        description="Instruments; those of the schedule unless named. At most ANALYSIS_MAX_BATCH.",
    )


def read(kind: type[R], body: bytes) -> R:
    """Parse a body; the results of short ones are cached, for requests repeat."""
    if len(body) > REMEMBERED_BYTES:
        return parse(kind, body)
    return cast("R", _remembered(kind, body))


@lru_cache(4_096)
def _remembered(kind: type[Question], body: bytes) -> Question:
    return parse(kind, body)


def parse(kind: type[R], body: bytes) -> R:
    """Parse a body.

    Raises:
        RequestError: 400 if the body is not JSON, 422 if it does not match; the message names the
            field, what is wrong with it, and a valid example.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        examples = kind.model_json_schema()["examples"]
        if problems[0]["type"] == "json_invalid":
            detail = problems[0]["msg"].removeprefix("Invalid JSON: ")
            raise RequestError(
                400, f"the body is not JSON: {detail}; expected as in {_json(examples[0])}"
            ) from None
        words = [f"{_place(each['loc'])}{_said(each)}" for each in problems[:SHOWN_PROBLEMS]]
        more = len(problems) - len(words)
        also = f" (and {more} more)" if more > 0 else ""
        raise RequestError(
            422, f"{'; '.join(words)}{also}; expected as in {_json(examples[0])}"
        ) from None


def check_size(symbols: tuple[str, ...], most: int) -> None:
    """Refuse a batch that is too large.

    Raises:
        RequestError: 422, with the limit.
    """
    if len(symbols) > most:
        raise RequestError(
            422,
            f"symbols: {len(symbols):,} are too many for one request, which may name {most:,} "
            "(ANALYSIS_MAX_BATCH): split them over several",
        )


def _said(problem: ErrorDetails) -> str:
    return "name at least one" if problem["type"] == "too_short" else problem["msg"]


def _place(location: tuple[int | str, ...]) -> str:
    return f"{'.'.join(str(part) for part in location)}: " if location else ""


def _json(example: object) -> str:
    return str(example).replace("'", '"')
