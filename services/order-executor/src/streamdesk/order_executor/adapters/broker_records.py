"""The port of the audit to the broker: its records in pages, whole or by name."""

from collections.abc import Sequence
from typing import Protocol

from streamdesk.trading.orders import BrokerReport


class BrokerRecords(Protocol):
    """What a broker can say about all orders that it ever had."""

    async def order_ids_after(self, position: int) -> tuple[list[str], int]:
        """Client order ids in the order in which the broker got them, one page.

        Args:
            position: 0 for the beginning; what the call before returned to resume.

        Returns:
            The ids, none at the end, and where reading resumes.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: no answer.
        """

    async def reports_of(self, client_order_ids: Sequence[str]) -> list[BrokerReport]:
        """What has become of these orders; those that the broker never had are left out.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: no answer.
        """
