"""One connection to a server: requests go out as they come, answers come back in their order.

Many callers share a connection. None waits for another's answer, a caller that is cancelled
leaves the order intact, and the oldest request that stays unanswered too long ends the connection:
a frozen server looks like any other that is gone. Time in which our own loop stood still says
nothing about a server: it does not count.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

import hiredis

from streamdesk.bus.errors import BusUnavailableError

Argument = str | bytes | int | float
Words = Sequence[Argument]
Reply = Any
"""What hiredis makes of an answer: bytes, int, None, a list of those, or a ReplyError."""

T = TypeVar("T")

STOOD_STILL_SECONDS = 0.1
"""A timer that is so late was held up by our own process: by a computation, or a frozen machine."""

_MORE: Final = object()


async def in_time(work: Coroutine[Any, Any, T], timeout_seconds: float) -> T:
    """What `work` returns; like `asyncio.timeout`, but for the time in which the loop stood still.

    Raises:
        TimeoutError: it took longer.
    """
    task, left = asyncio.create_task(work), timeout_seconds
    try:
        while left > 0 and not task.done():
            turn = min(left, STOOD_STILL_SECONDS)
            await asyncio.wait({task}, timeout=turn)
            left -= turn
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        raise TimeoutError
    return task.result()


def pack(words: Words) -> bytes:
    """A command as the server reads it."""
    whole: Any = words if isinstance(words, tuple) else tuple(words)
    packed: bytes = hiredis.pack_command(whole)
    return packed


@dataclass(slots=True)
class _Request:
    """A request on its way; `patience_seconds` is how long it may wait anew."""

    answers_due: int
    patience_seconds: float
    deadline: float
    future: "asyncio.Future[list[Reply]]"
    answers: list[Reply] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """A pipelined connection; made by `Server`."""

    def __init__(self, name: str) -> None:
        """Not connected yet.

        Args:
            name: whom it leads to, for messages.
        """
        self.name = name
        self.pushed: asyncio.Queue[Reply] | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._requests: deque[_Request] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._looks_at = 0.0
        """When the watch fires; uvloop's own handles do not always say."""
        self._why = "the connection was closed"
        self.closed = False
        self.client_id: Argument = 0
        """What the server calls this connection, once it was asked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        if self.closed:  # no caller waits for it any more
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Called by the loop: pass each answer to the oldest request."""
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not _MORE:
                self._answered(answer)
        except hiredis.ProtocolError as error:
            self.abort(f"unreadable answer: {error}")

    def _answered(self, answer: Reply) -> None:
        if self.pushed is not None:
            self.pushed.put_nowait(answer)
            return
        if not self._requests:  # a server that refuses the connection says so unasked
            self.abort(f"said unasked: {answer}")
            return
        request = self._requests[0]
        request.answers.append(answer)
        if len(request.answers) == request.answers_due:
            self._requests.popleft()
            if not request.future.done():  # its caller was cancelled otherwise
                request.future.set_result(request.answers)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: requests that still wait fail, as no answer will come."""
        self.closed = True
        if self._watch is not None:
            self._watch.cancel()
        why = str(exc) if exc else self._why
        while self._requests:
            request = self._requests.popleft()
            if not request.future.done():
                request.future.set_exception(BusUnavailableError(f"{self.name}: {why}"))
        if self.pushed is not None:
            self.pushed.put_nowait(None)

    def send(
        self, payload: bytes, answers_due: int, timeout_seconds: float
    ) -> "asyncio.Future[list[Reply]]":
        """Write packed commands; the future has their answers, errors among them as values.

        Raises:
            BusUnavailableError: on the future: the connection ended before the last answer.
        """
        future: asyncio.Future[list[Reply]] = self._loop.create_future()
        if self.closed or self._transport is None:
            future.set_exception(BusUnavailableError(f"{self.name}: {self._why}"))
            return future
        deadline = self._loop.time() + timeout_seconds
        self._requests.append(_Request(answers_due, timeout_seconds, deadline, future))
        if self._watch is not None and deadline < self._looks_at:
            self._watch.cancel()  # it was set for a request that might take longer
            self._watch = None
        if self._watch is None:
            self._look_at(deadline)
        self._transport.write(payload)
        return future

    def subscribe(self, *patterns: str) -> "asyncio.Queue[Reply]":
        """Turn the connection over to what is published; the queue ends with None."""
        self.pushed = asyncio.Queue()
        if self.closed or self._transport is None:
            self.pushed.put_nowait(None)
        else:
            self._transport.write(pack(("PSUBSCRIBE", *patterns)))
        return self.pushed

    def _check(self) -> None:
        """End the connection when the oldest request is overdue; look again when it will be."""
        now = self._loop.time()
        stood_still = now > self._looks_at + STOOD_STILL_SECONDS
        self._watch = None
        if not self._requests:
            return
        if stood_still:  # the server may have answered meanwhile: each waits anew, once
            for request in self._requests:
                request.deadline = max(request.deadline, now + request.patience_seconds)
                request.patience_seconds = 0.0
        deadline = self._requests[0].deadline
        if deadline <= now:
            self.abort("no answer in time")
            return
        self._look_at(deadline)

    def _look_at(self, deadline: float) -> None:
        self._looks_at = deadline
        self._watch = self._loop.call_at(deadline, self._check)

    def abort(self, why: str) -> None:
        """End it now; requests without an answer fail with this reason."""
        if self.closed:
            return
        self.closed = True
        self._why = why
        if self._transport is not None:
            self._transport.abort()
