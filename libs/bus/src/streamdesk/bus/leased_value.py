"""What the replicas of a service agree on: which of them acts, and how far it is.

The value is written in one step with the checks that the lease is still ours and that the value is
the one we know. A replica that was frozen, or cut off, while another took over finds its writes
refused: it cannot take back what the other has written.
"""

from collections.abc import Awaitable, Callable

from streamdesk.bus.backends.records import HeldChange
from streamdesk.bus.errors import BusUnavailableError, LeaseLostError
from streamdesk.bus.keys import Keys


class LeasedValue:
    """A value that one of several replicas may change, and the lease that says which.

    Args:
        keys: where it is.
        name: its key; the lease is `<name>:lease`.
        lease_seconds: life of the lease without a renewal.

    Attributes:
        name: its key.
        value: as last read or written; None for none.
    """

    def __init__(self, keys: Keys, name: str, lease_seconds: float) -> None:
        self.name = name
        self.value: bytes | None = None
        self._keys = keys
        self._lease = keys.lease(f"{name}:lease", lease_seconds)
        self._tenure = 0

    @property
    def tenure(self) -> int:
        """Number of our tenure; greater with each new one, over all replicas."""
        return self._lease.fence

    @property
    def leading(self) -> bool:
        """Whether this replica certainly holds the lease, and knows the value."""
        return self._lease.held and self._tenure == self._lease.fence

    async def lead(self) -> bool:
        """Acquire the lease, or renew it; False where another replica has it, or without a server.

        With a new tenure the value is read anew: another replica may have written it.
        """
        if not await self._lease.acquire():
            return self.leading  # for what is left of the lease, while the server is unreachable
        if self._tenure != self._lease.fence:
            fence = self._lease.fence
            try:
                await self.read()
            except BusUnavailableError:
                return False
            self._tenure = fence
        return self.leading

    async def read(self) -> bytes | None:
        """What is written now.

        Raises:
            BusUnavailableError: the server is unreachable.
        """
        (self.value,) = await self._keys.get(self.name)
        return self.value

    async def write(self, value: bytes) -> None:
        """Replace the value.

        Raises:
            LeaseLostError: another replica leads now; nothing was written.
            BusUnavailableError: the server is unreachable; whether it was written is not known.
        """
        await self.change(value, lambda: self._lease.put(self.name, value, expected=self.value))

    async def change(self, value: bytes, put: Callable[[], Awaitable[object]]) -> None:
        """Replace the value by what writes it with more, as `Bus.publish_held` does.

        Args:
            value: the new one.
            put: writes it in one step with the checks; answers something false where it was
                refused.

        Raises:
            LeaseLostError: as `write`.
            BusUnavailableError: as `write`.
        """
        if not self.leading:
            raise LeaseLostError(self.name)
        # Should this be cancelled, what is written is not known: it is read before the next write.
        tenure, self._tenure = self._tenure, 0
        try:
            written = await put()
        except BusUnavailableError:
            (found,) = await self._keys.get(self.name)  # raises again while it is unreachable
            if found != value:
                raise
            written = True
        if not written:
            self._tenure = 0
            raise LeaseLostError(self.name)
        self.value, self._tenure = value, tenure

    def changed_to(self, value: bytes) -> HeldChange:
        """The change from the value that is known to another, for `Bus.publish_held`."""
        return self._lease.change(self.name, value, expected=self.value)

    async def leave(self) -> None:
        """Release the lease, so that another replica may lead at once."""
        self._tenure = 0
        await self._lease.release()
