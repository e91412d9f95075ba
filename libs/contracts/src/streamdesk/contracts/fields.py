"""Field types that several events share, with their units and bounds."""

from decimal import Decimal
from typing import Annotated

from pydantic import AwareDatetime, Field

Symbol = Annotated[
    str,
    Field(
        pattern=r"^[A-Z0-9.\-]{1,16}\.(US|HK)$",
        description="Instrument with its market, as in AAPL.US or 700.HK.",
        examples=["AAPL.US"],
    ),
]
Price = Annotated[
    float, Field(gt=0, description="Price of one share, in the currency of the market.")
]
Volume = Annotated[float, Field(ge=0, description="Shares traded.")]
Score = Annotated[float, Field(ge=0, le=100, description="Score from 0 to 100.")]
Timestamp = Annotated[AwareDatetime, Field(description="Time with its zone, RFC 3339.")]
Money = Annotated[
    Decimal, Field(description="Money in the named currency; a decimal string in JSON.")
]
Quantity = Annotated[int, Field(gt=0, description="Whole shares.")]
