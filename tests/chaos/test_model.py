"""Random histories of the bus against its model; `make chaos` tries more of them."""

from collections.abc import Callable

from tests.chaos.model import check_model
from tests.servers import StreamServer

EXAMPLES = 15


def test_every_history_ends_with_each_message_handled_once_or_dead_as_the_model_says(
    start_server: Callable[..., StreamServer],
) -> None:
    check_model(start_server(), EXAMPLES)
