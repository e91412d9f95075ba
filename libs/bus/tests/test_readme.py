"""The README's example works as it stands."""

import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_example_packs_the_urgent_order_first(valkey_url: str) -> None:
    code = README.read_text().partition("```python\n")[2].partition("```")[0]
    code = code.replace("redis://localhost:6379/0", valkey_url)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert sorted(done.stdout.split("\n")) == ["", "packing 1", "packing 2"]
    assert done.stdout.startswith("packing 2")
