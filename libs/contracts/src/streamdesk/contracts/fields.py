"""Field types that several events share, with their units and bounds."""

from decimal import Decimal
from typing import Annotated

from pydantic import AwareDatetime, Field

Symbol = Annotated[
    str,
    Field(
        pattern=r"^[A-Z0-9.\-]{1,16}\.(US|HK)$",
        description="Share with its market, as in AAPL.US or 700.HK; what the desk may trade.",
        examples=["AAPL.US"],
    ),
]
InstrumentSymbol = Annotated[
    str,
    Field(
        pattern=r"^(?:[A-Z0-9.\-]{1,16}\.(?:US|HK)|[A-Z0-9]{2,12}(?:USDT|USDC|BTC|ETH|EUR|USD))$",
        description="What has a price: a symbol with its market, as in AAPL.US, or a "
        "crypto pair without one, as in BTCUSDT.",
        examples=["AAPL.US", "BTCUSDT"],
    ),
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
