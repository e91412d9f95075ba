"""One client's socket: a reader, a writer with its bounded queue, and an orderly end."""

import asyncio
import contextlib
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from streamdesk.websocket_gateway.domain.access import ChannelAccess
from streamdesk.websocket_gateway.domain.closing import CloseCode
from streamdesk.websocket_gateway.domain.frames import EventFrame
from streamdesk.websocket_gateway.domain.outbox import ClientOutbox, Offer

_ABNORMAL = 1006  # RFC 6455: the connection ended without a close frame
_OURS = min(CloseCode)


class ClientConnection:
    """A connected client; the hub's Recipient.

    Args:
        socket: the accepted socket.
        connection_id: unique id of the connection.
        access: the channels the client may see.
        outbox: its bounded queue of texts.
        now: monotonic seconds.
        stall_seconds: how long the peer has to receive the close frame.
    """

    def __init__(
        self,
        socket: WebSocket,
        connection_id: str,
        access: ChannelAccess,
        outbox: ClientOutbox,
        *,
        now: Callable[[], float],
        stall_seconds: float,
    ) -> None:
        self._socket = socket
        self._id = connection_id
        self._access = access
        self._now = now
        self._stall_seconds = stall_seconds
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._reason = ""
        self.outbox = outbox
        self.last_heard = now()
        """When the client last sent something, monotonic seconds."""
        self.sent = 0
        """Texts written so far."""
        self.close_code: int | None = None
        """Why the socket ended or is ending; None while it is open."""

    @property
    def id(self) -> str:
        """Unique id of the connection."""
        return self._id

    @property
    def access(self) -> ChannelAccess:
        """The channels it may see."""
        return self._access

    def offer(self, frame: EventFrame) -> None:
        """Queue an event; a reader too slow for it is closed."""
        if self.close_code is None:
            self._queued(
                self.outbox.put(frame.live, frame.size, frame.conflate_key, is_state=frame.is_state)
            )

    def replay(self, frames: list[EventFrame]) -> None:
        """Queue events of the history."""
        if self.close_code is None:
            self._queued(self.outbox.put_replay(frames))

    def send(self, text: str) -> None:
        """Queue a message that is not an event."""
        if self.close_code is None:
            self._queued(self.outbox.put(text, len(text.encode())))

    def close(self, code: CloseCode, reason: str) -> None:
        """End the connection; the first code wins. Returns at once."""
        if self.close_code is not None:
            return
        self.close_code = code
        self._reason = reason
        self.outbox.clear()
        if self._writer is not None:
            self._writer.cancel()

    async def run(self, on_message: Callable[[str | bytes], None]) -> int:
        """Serve the socket until it ends; returns the close code.

        Args:
            on_message: called with everything the client sends.
        """
        # A connection may be closed before it is served, when the gateway shuts down meanwhile.
        if self.close_code is None:
            self._writer = asyncio.create_task(self._write())
            await _first_of(self._writer, asyncio.create_task(self._read(on_message)))
        if self.close_code is None:
            self.close_code = _ABNORMAL
        # Codes below ours came from the peer, which has closed the socket already.
        elif self.close_code >= _OURS:
            await self._send_close()
        return self.close_code

    async def _read(self, on_message: Callable[[str | bytes], None]) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                self.close_code = self.close_code or message["code"]
                return
            self.last_heard = self._now()
            text: str | None = message.get("text")
            on_message(message["bytes"] if text is None else text)

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                text = self.outbox.pop()
                if text is None:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._socket.send_text(text)
                self.sent += 1

    async def _send_close(self) -> None:
        # A peer that reads nothing never receives the frame; the listener's TCP_USER_TIMEOUT ends
        # its socket.
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(self._stall_seconds):
                await self._socket.close(self.close_code or _OURS, self._reason)

    def _queued(self, offer: Offer) -> None:
        if offer is Offer.OVERFLOW:
            self.close(CloseCode.SLOW_CONSUMER, "the client reads too slowly")
        else:
            self._wake.set()


async def _first_of(*tasks: asyncio.Task[None]) -> None:
    """Run until one task ends, end the others, and raise what went wrong."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
