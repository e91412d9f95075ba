"""A bar store as a recording: stored bars can be replayed."""

from pathlib import Path

from streamdesk.market.errors import BarFileError, StoreError
from streamdesk.market.instruments import CRYPTO
from streamdesk.market.recordings.recording import BarRecording, FileFormat
from streamdesk.market.store.bar_store import BarStore
from streamdesk.market.store.layout import partitions

ALL_BARS = 1_000_000_000


def read_stored(
    folder: Path, form: FileFormat, symbols: frozenset[str] | None = None
) -> BarRecording:
    """All bars of a store, in the order of their times.

    Where a market has bars of several lengths, those of the shortest: the longer ones repeat them.

    Args:
        folder: the store's.
        form: whether crypto pairs are included.
        symbols: the instruments that are watched; None for any.

    Raises:
        BarFileError: a file of the store cannot be read, or there is no bar to replay.
    """
    # One length for each market: two lengths of one instrument would collide in a replay.
    shortest: dict[str, int] = {}
    for partition in partitions(folder / "bars"):
        if partition.market != CRYPTO or form.with_crypto:
            length = shortest.get(partition.market, partition.interval_seconds)
            shortest[partition.market] = min(length, partition.interval_seconds)
    store, recording = BarStore(folder, cache_bytes=0), BarRecording()
    for market, interval_seconds in shortest.items():
        try:
            found = store.read_market(market, interval_seconds, ALL_BARS)
        except StoreError as error:
            raise BarFileError(str(error)) from error
        for symbol, series in found.items():
            if symbols is None or symbol in symbols:
                recording.bars += series.bars()
    if not recording.bars:
        raise BarFileError(f"{folder} is a bar store and holds no bar of what is asked for")
    recording.bars.sort(key=lambda bar: bar.timestamp)
    return recording
