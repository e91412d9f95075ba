"""The state of a schedule that all replicas share: two small values in Redis."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ValidationError

from streamdesk.analysis.domain.slots import SlotState
from streamdesk.analysis.errors import UnreadableScheduleError
from streamdesk.bus import Keys

LEASE_SECONDS = 30.0


class Switch(BaseModel):
    """Whether the schedule was started or stopped last, and when."""

    running: bool
    since: AwareDatetime


@dataclass(frozen=True, slots=True)
class Reading:
    """Both values at one moment.

    Args:
        text: the state as bytes: what a write expects to find.
        state: the same, parsed; None before the first look of any process.
        running: whether slots are to be fired.
        since: when the schedule was started or stopped last; None if never.
    """

    text: bytes | None
    state: SlotState | None
    running: bool
    since: datetime | None


class ScheduleRecord:
    """Reads and writes the record of one schedule.

    The switch has a key of its own: any replica may write it, the leader alone writes the state.

    Args:
        name: of the schedule; its keys are `analysis:scheduler:<name>:lease`, `:state` and
            `:switch`.
        keys: Redis.
        auto_start: whether the schedule runs before it is started or stopped for the first time.
        lease_seconds: how long nothing is fired after a leader was killed, at most.
    """

    def __init__(
        self, name: str, keys: Keys, *, auto_start: bool, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self.name = name
        self.auto_start = auto_start
        self.lease = keys.lease(f"analysis:scheduler:{name}:lease", lease_seconds)
        self._state_key = f"analysis:scheduler:{name}:state"
        self._switch_key = f"analysis:scheduler:{name}:switch"
        self._keys = keys

    async def read(self) -> Reading:
        """Read both values.

        Raises:
            BusUnavailableError: the server is unavailable.
            UnreadableScheduleError: another program or a later version wrote them.
        """
        text, switch_text = await self._keys.get(self._state_key, self._switch_key)
        try:
            state = None if text is None else SlotState.model_validate_json(text)
            switch = None if switch_text is None else Switch.model_validate_json(switch_text)
        except ValidationError as error:
            raise UnreadableScheduleError(self._state_key, self._switch_key) from error
        if switch is None:
            return Reading(text, state, running=self.auto_start, since=None)
        return Reading(text, state, running=switch.running, since=switch.since)

    async def switch(self, *, running: bool, now: datetime) -> None:
        """Start or stop the schedule.

        Raises:
            BusUnavailableError: the server is unavailable; the switch may be written or not.
        """
        value = Switch(running=running, since=now).model_dump_json()
        await self._keys.put({self._switch_key: value.encode()})

    async def write(self, state: SlotState, over: Reading) -> bool:
        """Write the state if this process holds the lease, and the state is still that of `over`.

        Returns:
            Whether it was written.

        Raises:
            BusUnavailableError: the server is unavailable; the state may be written or not.
        """
        value = state.model_dump_json().encode()
        return await self.lease.put(self._state_key, value, expected=over.text)
