"""An analysis in the cache: with the bytes that are sent, and an age by the monotonic clock."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from streamdesk.analysis.domain.hama import HamaAnalysis

Clock = Callable[[], datetime]
ETAG_BYTES = 8


@dataclass(frozen=True, slots=True)
class CachedAnalysis:
    """An analysis in the cache.

    Attributes:
        analysis: what was computed.
        body: the same as JSON, as it is in Redis and in answers.
        etag: weak entity tag; equal for analyses that differ in the time of computation alone.
        born_at: when it was computed, by this process's monotonic clock.
        shared: whether Redis has it.
    """

    analysis: HamaAnalysis
    body: bytes
    etag: bytes
    born_at: float
    shared: bool = False

    @classmethod
    def of(cls, analysis: HamaAnalysis) -> "CachedAnalysis":
        """The entry of an analysis that was just computed."""
        body = analysis.model_dump_json().encode()
        return cls(analysis, body, _etag(analysis), time.monotonic())

    @classmethod
    def read(cls, body: bytes, now: datetime) -> "CachedAnalysis":
        """The entry that another process wrote.

        Args:
            body: its JSON.
            now: the time of day, for its age; one from the future counts as just computed.

        Raises:
            ValueError: the body is not an analysis.
        """
        analysis = HamaAnalysis.model_validate_json(body)
        age_seconds = max(0.0, (now - analysis.computed_at).total_seconds())
        born_at = time.monotonic() - age_seconds
        return cls(analysis, body, _etag(analysis), born_at, shared=True)

    def age_seconds(self) -> float:
        """Seconds since it was computed."""
        return time.monotonic() - self.born_at


def weak_tag(content: bytes) -> bytes:
    """A weak entity tag (RFC 9110, 8.8.3): the same in every process for the same content."""
    digest = hashlib.blake2b(content, digest_size=ETAG_BYTES).hexdigest()
    return b'W/"%s"' % digest.encode()


def _etag(analysis: HamaAnalysis) -> bytes:
    return weak_tag(analysis.model_dump_json(exclude={"computed_at"}).encode())
