"""A short round of the desk part: whatever breaks, no order is doubled and no signal is lost."""

from pathlib import Path

from streamdesk.console.adapters.redis_server import find_server
from tests.chaos.trading_round import HASTY, is_right, trading_round

SECONDS = 12


async def test_executors_whose_surroundings_break_double_no_order_and_lose_no_signal(
    tmp_path: Path,
) -> None:
    figures = await trading_round(str(find_server(tmp_path)), tmp_path, SECONDS, 2, HASTY)
    assert is_right(figures), figures
    assert figures["orders"] > 0
    assert sum(figures["faults"].values()) > 1
