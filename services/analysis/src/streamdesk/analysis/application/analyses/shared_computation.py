"""One computation a symbol: concurrent requests for the same symbol share it.

In a process, a later request waits for the computation of the first. Across processes, a claim in
Redis decides which one computes; the others poll for the result every few milliseconds. The claim
of a process that died expires. Without Redis each process computes for itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from streamdesk.analysis.adapters.cache.analysis_cache import AnalysisCache
from streamdesk.analysis.adapters.cache.cached_analysis import CachedAnalysis
from streamdesk.analysis.application.analyses.outcomes import AnalysisOutcome
from streamdesk.analysis.errors import CacheUnavailableError

FIRST_LOOK_SECONDS = 0.004
LONGEST_LOOK_SECONDS = 0.1

Compute = Callable[[Sequence[str]], Awaitable[Mapping[str, AnalysisOutcome]]]
"""Computes and caches analyses; returns an outcome for each name."""


class SharedComputation:
    """The pending outcomes of some names.

    Args:
        names: of the analyses, in the cache.
        cache: where they are kept.
        compute: computes what is missing.
        renew: whether an analysis that is already cached is not enough.
    """

    def __init__(
        self, names: Iterable[str], cache: AnalysisCache, compute: Compute, *, renew: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        self.futures: dict[str, asyncio.Future[AnalysisOutcome]] = {
            name: loop.create_future() for name in names
        }
        self._cache = cache
        self._compute = compute
        self._renew = renew
        self._before: dict[str, CachedAnalysis] = {}

    async def run(self) -> None:
        """Settle every future: with an outcome, an error, or by cancelling it."""
        try:
            try:
                await self._together()
            except CacheUnavailableError:
                # Without Redis there is nothing to share: what is left is computed here.
                await self._make(self._open)
        except Exception as error:
            self._settle({name: AnalysisOutcome(error=error) for name in self._open})
            raise
        finally:
            for future in self.futures.values():
                future.cancel()  # does nothing to settled ones; others are left if the process ends

    @property
    def _open(self) -> list[str]:
        return [name for name, future in self.futures.items() if not future.done()]

    def _settle(self, outcomes: Mapping[str, AnalysisOutcome]) -> None:
        for name, outcome in outcomes.items():
            if not self.futures[name].done():
                self.futures[name].set_result(outcome)

    async def _together(self) -> None:
        """Share the computation with the other processes.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        found = await self._cache.load(self._open)
        if self._renew:
            # Any other body that appears from now on is a newer analysis, of whichever process.
            self._before = found
        else:
            self._take(found, waited=False)
        pause_seconds = FIRST_LOOK_SECONDS
        while self._open:
            await self._claimed(await self._cache.claim(self._open))
            if self._open:
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_LOOK_SECONDS)
                self._take(await self._cache.load(self._open), waited=True)

    async def _claimed(self, mine: Sequence[str]) -> None:
        """Compute the claimed names, except those that came between the look and the claim."""
        if not mine:
            return
        try:
            self._take(await self._cache.load(mine), waited=True)
            await self._make([name for name in mine if not self.futures[name].done()])
        finally:
            await self._cache.release(mine)

    async def _make(self, names: Sequence[str]) -> None:
        if names:
            self._settle(await self._compute(names))

    def _take(self, found: Mapping[str, CachedAnalysis], *, waited: bool) -> None:
        self._settle(
            {
                name: AnalysisOutcome(entry, cached=not waited)
                for name, entry in found.items()
                if name not in self._before or self._before[name].body != entry.body
            }
        )
