"""`helm test`: an event is published and read back, with the permissions of the gateway."""

import asyncio
import os
import sys
import uuid
from datetime import UTC, datetime

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import Severity, SystemEvent
from streamdesk.contracts.topics import SYSTEM_EVENTS


async def main() -> None:
    """Publish a system event and wait until it is read."""
    topic = SYSTEM_EVENTS.configured(key=os.environ.get("SYSTEM_KEY") or None)
    event = SystemEvent(
        service="websocket-gateway",
        kind="tested",
        severity=Severity.INFO,
        message="helm test: bus round trip",
        timestamp=datetime.now(UTC),
    )
    event_id = str(uuid.uuid4())
    config = BusConfig(url=os.environ["REDIS_URL"], service="helm-test")
    async with Bus.connect(config) as bus:
        entry = await bus.publish(topic, event, event_id=event_id)
        before = int(entry.partition("-")[0]) - 1
        async for message in bus.tail(topic, since=f"{before}-0"):
            if message.id == event_id:
                sys.stdout.write(f"event {event_id} came back as entry {entry}\n")
                return


if __name__ == "__main__":
    asyncio.run(main())
