"""Settings of the service, and its name."""

from streamdesk.order_executor.config.settings import NAME, Settings

__all__ = ["NAME", "Settings"]
