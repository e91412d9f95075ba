"""What a recording is: bars in the order of their times, and what could not be read."""

from dataclasses import dataclass, field

from streamdesk.contracts.events import BarClosed
from streamdesk.market.errors import BarError


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What a file does not contain.

    Args:
        symbol: of all rows, where there is no column for it; empty: the file's name is the symbol.
        time_format: as for `strptime`; empty for ISO 8601.
        with_crypto: take pairs such as BTCUSDT as well as shares.
    """

    symbol: str = ""
    time_format: str = ""
    with_crypto: bool = False


@dataclass(slots=True)
class BarRecording:
    """Bars in the order of their time, and an error for each row that was refused."""

    bars: list[BarClosed] = field(default_factory=list)
    refused: list[BarError] = field(default_factory=list)
