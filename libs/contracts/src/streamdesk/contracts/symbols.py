"""How instruments are spelled.

Sources disagree: EODHD writes 0700.HK and BRK-B.US, exchanges and brokers 700.HK and BRK.B.US. Any
of them is accepted where a symbol comes in (events, settings, files, requests), and turned into
the one spelling that everything inside compares: upper case, Hong Kong codes without leading
zeros, classes of US shares after a point.
"""

import re
from functools import lru_cache

SHARE_PATTERN = r"^[A-Z0-9.\-]{1,16}\.(US|HK)$"
INSTRUMENT_PATTERN = (
    r"^(?:[A-Z0-9.\-]{1,16}\.(?:US|HK)|[A-Z0-9]{2,12}(?:USDT|USDC|BTC|ETH|EUR|USD))$"
)
LONGEST_SPELLING = 64
"""Characters; what is longer is no symbol and is left as it is, so that none fills the cache."""

_SHARE = re.compile(SHARE_PATTERN)
_INSTRUMENT = re.compile(INSTRUMENT_PATTERN)


def canonical_symbol(text: str) -> str:
    """The one spelling of an instrument: 0700.hk becomes 700.HK, brk-b.us becomes BRK.B.US.

    Text that is no symbol is returned with the same rules applied; whether it is one is for the
    contract's field to say.
    """
    return text if len(text) > LONGEST_SPELLING else _spelled(text)


# A process sees the same few thousand symbols over and over, millions of times a day.
@lru_cache(16_384)
def _spelled(text: str) -> str:
    # Upper case turns some letters of other scripts into Latin ones: those stay what they are.
    symbol = text.upper() if text.isascii() else text
    code, _, market = symbol.rpartition(".")
    if market == "HK" and code.isdecimal():
        return f"{code.lstrip('0') or '0'}.HK"
    if market == "US":
        return f"{code.replace('-', '.')}.US"
    return symbol


def is_share(symbol: str) -> bool:
    """Whether a canonical symbol names a share of a market that the desk trades in."""
    return _SHARE.match(symbol) is not None


def is_instrument(symbol: str) -> bool:
    """Whether a canonical symbol names anything that has a price: a share or a crypto pair."""
    return _INSTRUMENT.match(symbol) is not None
