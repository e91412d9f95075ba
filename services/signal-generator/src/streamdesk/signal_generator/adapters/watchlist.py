"""The watchlist: built in, or a YAML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streamdesk.contracts.base import summary
from streamdesk.contracts.fields import Price, Symbol
from streamdesk.contracts.symbols import canonical_symbol
from streamdesk.market.instruments import BUILT_IN, CURRENCIES, Instrument, market_of
from streamdesk.signal_generator.errors import WatchlistError


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    symbol: Symbol
    start_price: Price = 100.0
    lot_size: int | None = Field(default=None, gt=0)
    currency: str | None = None

    @model_validator(mode="after")
    def _fits_its_market(self) -> Self:
        market = market_of(self.symbol)
        if self.lot_size is None and market != "US":
            raise ValueError(f"lot_size is missing; every {market} instrument has its own")
        if self.currency not in {None, CURRENCIES[market]}:
            raise ValueError(f"currency of a {market} instrument is {CURRENCIES[market]}")
        return self

    def instrument(self) -> Instrument:
        currency = CURRENCIES[market_of(self.symbol)]
        return Instrument(self.symbol, self.start_price, self.lot_size or 1, currency)


def read_watchlist(path: Path) -> tuple[Instrument, ...]:
    """The instruments of a YAML file: a list, alone or under `instruments:`.

    An entry is a mapping with `symbol` and, optionally, `start_price`, `lot_size` (required
    for Hong Kong) and `currency`; or only a symbol, if it is one of the built-in list.

    Raises:
        WatchlistError: the file cannot be read, is empty, or an entry is invalid or occurs
            twice; the message names the entry.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise WatchlistError(f"watchlist {path} cannot be read: {error}") from error
    entries = content.get("instruments") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise WatchlistError(f"watchlist {path} must be a list of instruments, of one at least")
    instruments: dict[str, Instrument] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            instrument = _instrument(entry)
        except ValidationError as error:
            raise WatchlistError(
                f"watchlist {path}, entry {number} ({_name(entry)}): {summary(error)}"
            ) from error
        if instrument.symbol in instruments:
            raise WatchlistError(f"watchlist {path}, entry {number}: {instrument.symbol} twice")
        instruments[instrument.symbol] = instrument
    return tuple(instruments.values())


def select(instruments: Sequence[Instrument], symbols: Sequence[str]) -> tuple[Instrument, ...]:
    """The instruments with these symbols, in the watchlist's order; all, if none is named.

    Raises:
        WatchlistError: a symbol is not on the watchlist.
    """
    known = {instrument.symbol for instrument in instruments}
    unknown = [symbol for symbol in symbols if symbol not in known]
    if unknown:
        raise WatchlistError(
            f"{', '.join(unknown)} not on the watchlist ({', '.join(sorted(known))}); "
            "WATCHLIST_FILE names another"
        )
    return tuple(i for i in instruments if not symbols or i.symbol in symbols)


def _instrument(entry: object) -> Instrument:
    symbol = canonical_symbol(entry) if isinstance(entry, str) else None
    for instrument in BUILT_IN:
        if symbol == instrument.symbol:
            return instrument
    if isinstance(entry, dict) and isinstance(entry.get("symbol"), str):
        return _Entry.model_validate(entry).instrument()
    # A bare symbol that is not built in, or no symbol at all: the model names what is missing.
    return _Entry.model_validate(
        {"symbol": entry} if isinstance(entry, str) else entry
    ).instrument()


def _name(entry: object) -> str:
    return str(entry.get("symbol", entry) if isinstance(entry, dict) else entry)[:80]
