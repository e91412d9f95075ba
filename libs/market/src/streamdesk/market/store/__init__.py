"""The bar store: Parquet files by market, length of bar, and day."""

from streamdesk.market.store.bar_store import BarStore

__all__ = ["BarStore"]
