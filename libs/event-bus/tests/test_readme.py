"""The README's example runs unchanged."""

import re
import subprocess
import sys
from pathlib import Path

from streamdesk.event_bus import EventBus, EventType

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_example_alerts_once_and_counts_it(valkey_url: str) -> None:
    code = README.partition("```python\n")[2].partition("```")[0]
    code = code.replace("redis://localhost:6379/0", valkey_url)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "warning 4 of 5 positions are open",
        "Statistics(published=1, consumed=1, failed=0, dead=0)",
    ]


def test_the_table_has_every_type_with_its_event_and_topic() -> None:
    row = re.compile(r"^\| `([A-Z_]+)` \| `(\w+)\(.*\)` \| (\w+), `(\w+)` \|$", re.MULTILINE)
    rows = row.findall(README)
    assert [name for name, *_ in rows] == [kind.name for kind in EventType]
    for name, method, event, topic in rows:
        assert hasattr(EventBus, method)
        assert EventType[name].topic.name == topic
        first, *others = EventType[name].topic.models
        assert first.type_name() == event
        assert all(issubclass(other, first) for other in others)  # a handler may get them
