"""A gauge that says nothing until it has been set.

All metrics are made where they are named, in every process. An ordinary gauge without labels begins
at 0, so each service would claim that the gateway's bus is down and that no operator acts.
"""

from collections.abc import Callable, Iterable

import prometheus_client
from prometheus_client.samples import Sample


class Gauge(prometheus_client.Gauge):
    """An ordinary gauge, but for the first moment: no value rather than 0."""

    _known = False

    def set(self, value: float) -> None:
        """Set it, and show it from now on."""
        self._known = True
        super().set(value)

    def inc(self, amount: float = 1) -> None:
        """Add to it, and show it from now on."""
        self._known = True
        super().inc(amount)

    def dec(self, amount: float = 1) -> None:
        """Take from it, and show it from now on."""
        self._known = True
        super().dec(amount)

    def set_function(self, f: Callable[[], float]) -> None:
        """Ask `f` whenever it is shown, from now on."""
        self._known = True
        super().set_function(f)

    def _child_samples(self) -> Iterable[Sample]:
        return super()._child_samples() if self._known else ()
