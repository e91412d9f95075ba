"""A gauge for what this process only passes on: where a group on the server stands.

An ordinary gauge shows its last value for as long as the process lives. This one forgets a series
that has not been set for a while, so that a process that stopped consuming, or whose server is
unreachable, shows nothing instead of an old value.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

FADE_SECONDS = 30.0


class FadingGauge(Collector):
    """A gauge whose series vanish when they are not set again.

    Args:
        name: of the metric.
        documentation: its meaning, with the unit.
        labels: names of the labels.
        fade_seconds: a series that was not set for so long is not shown.
        registry: where it is shown.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        *,
        fade_seconds: float = FADE_SECONDS,
        registry: CollectorRegistry = REGISTRY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)
        self._fade_seconds = fade_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._series: dict[tuple[str, ...], tuple[float, float]] = {}
        registry.register(self)

    def set(self, value: float, *labels: str) -> None:
        """Show `value` for these labels, until it fades.

        Args:
            value: what was measured.
            labels: values of the labels, in their order.

        Raises:
            ValueError: not as many labels as the metric has.
        """
        if len(labels) != len(self._labels):
            raise ValueError(f"{self._name} has the labels {self._labels}, got {labels}")
        with self._lock:
            self._series[labels] = (value, self._clock())

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """What the registry needs to refuse a second metric of this name."""
        return [self._family()]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The series that are still fresh; the others are forgotten."""
        oldest = self._clock() - self._fade_seconds
        with self._lock:
            self._series = {
                labels: (value, at) for labels, (value, at) in self._series.items() if at > oldest
            }
            shown = [(labels, value) for labels, (value, _) in self._series.items()]
        family = self._family()
        for labels, value in shown:
            family.add_metric(labels, value)
        return [family]

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._documentation, labels=self._labels)
