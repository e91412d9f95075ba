"""The bar store as a source of bars."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from streamdesk.market.errors import StoreError, UnknownInstrumentError
from streamdesk.market.instruments import market_of
from streamdesk.market.sources.port import Answers
from streamdesk.market.store.bar_store import BarStore


class StoredBarSource:
    """The bar store as a source.

    Args:
        store: the store.
    """

    name = "store"

    def __init__(self, store: BarStore) -> None:
        self._store = store

    async def latest(self, symbols: Sequence[str], interval_seconds: int, count: int) -> Answers:
        """As `BarSource.latest`; an instrument without a recent bar is an unknown one."""
        return await asyncio.to_thread(self._read, symbols, interval_seconds, count)

    def _read(self, symbols: Sequence[str], interval_seconds: int, count: int) -> Answers:
        markets: dict[str, list[str]] = defaultdict(list)
        for symbol in symbols:
            markets[market_of(symbol)].append(symbol)
        answers: Answers = {}
        for market, members in markets.items():
            try:
                found = self._store.read_market(market, interval_seconds, count, members)
            except StoreError as error:
                answers.update(dict.fromkeys(members, error))
                continue
            for symbol in members:
                answers[symbol] = found.get(symbol) or UnknownInstrumentError(
                    symbol, f"no bars of {interval_seconds} s are stored for it"
                )
        return {symbol: answers[symbol] for symbol in symbols}

    async def close(self) -> None:
        """Nothing is open between reads."""
