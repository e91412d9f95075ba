"""Settings of the service, and its name."""

from streamdesk.order_executor.config.settings import ACCOUNT_CURRENCY, NAME, Settings

__all__ = ["ACCOUNT_CURRENCY", "NAME", "Settings"]
