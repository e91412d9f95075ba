"""Field types that several events share, with their units and bounds."""

from decimal import Decimal
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

from streamdesk.contracts.symbols import INSTRUMENT_PATTERN, SHARE_PATTERN, canonical_symbol


def _spelled(value: object) -> object:
    return canonical_symbol(value) if isinstance(value, str) else value


# Every event, setting and request that has a symbol has it in one spelling from here on.
_OneSpelling = BeforeValidator(_spelled)

Symbol = Annotated[
    str,
    Field(
        pattern=SHARE_PATTERN,
        description="Share with its market, as in AAPL.US or 700.HK; what the desk may trade.",
        examples=["AAPL.US"],
    ),
    _OneSpelling,
]
InstrumentSymbol = Annotated[
    str,
    Field(
        pattern=INSTRUMENT_PATTERN,
        description="What has a price: a symbol with its market, as in AAPL.US, or a "
        "crypto pair without one, as in BTCUSDT.",
        examples=["AAPL.US", "BTCUSDT"],
    ),
    _OneSpelling,
]
Price = Annotated[
    float, Field(gt=0, description="Price of one share or coin, in the currency of the market.")
]
Volume = Annotated[float, Field(ge=0, description="Shares or coins traded.")]
Score = Annotated[float, Field(ge=0, le=100, description="Score from 0 to 100.")]
Timestamp = Annotated[AwareDatetime, Field(description="Time with its zone, RFC 3339.")]
Money = Annotated[
    Decimal, Field(description="Money in the named currency; a decimal string in JSON.")
]
Quantity = Annotated[int, Field(gt=0, description="Whole shares.")]
