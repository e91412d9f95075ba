"""Starts real services, each from a few lines of source."""

import json
import os
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HEAD = """
import asyncio, logging
from contextlib import asynccontextmanager
from pathlib import Path
from pydantic import Field, SecretStr
from streamdesk.runtime import *

log = logger("tiny")

class Settings(ServiceSettings):
    api_key: SecretStr | None = Field(None, description="Key of the feed.")
    score_min: float = Field(30, ge=0, le=100, description="Least score, 0 to 100. More text.")

async def until_released():
    while not Path("release").exists():
        await asyncio.sleep(0.01)

async def wait(drain):
    await drain.requested.wait()
"""
TAIL = """
if __name__ == "__main__":
    run("tiny", Settings, build)
"""


@dataclass
class Tiny:
    """A service in a process of its own, in `folder`."""

    process: subprocess.Popen[str]
    folder: Path

    def line(self, event: str) -> dict[str, Any]:
        """Read the log until `event` is logged; return that line."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            line: dict[str, Any] = json.loads(text)
            if line["event"] == event:
                return line
        _, complaint = self.end()
        raise AssertionError(f"ended before it logged {event!r}: {complaint}")

    def release(self) -> None:
        """Let `until_released` return."""
        (self.folder / "release").touch()

    def text(self) -> tuple[str, str]:
        """Wait for the end; return the rest of standard output, and standard error."""
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        self.process.wait(60)
        return out, (self.folder / "stderr").read_text()

    def end(self) -> tuple[list[dict[str, Any]], str]:
        """Wait for the end; return the rest of the log, and standard error."""
        out, err = self.text()
        return [json.loads(line) for line in out.splitlines()], err


Start = Callable[..., Tiny]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(source, *arguments, **environment)`; the source defines `build`."""
    begun: list[subprocess.Popen[str]] = []

    def begin(source: str, *arguments: str, **environment: str) -> Tiny:
        body = textwrap.dedent(source).strip()
        (tmp_path / "tiny.py").write_text(f"{HEAD}\n{body}\n{TAIL}")
        with (tmp_path / "stderr").open("w") as complaints:
            process = subprocess.Popen(
                [sys.executable, "-m", "tiny", *arguments],
                cwd=tmp_path,
                env=os.environ | {"METRICS_PORT": "0", "METRICS_HOST": "127.0.0.1"} | environment,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
            )
        begun.append(process)
        return Tiny(process, tmp_path)

    yield begin
    for process in begun:
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


Get = Callable[[int, str], tuple[int, str]]


@pytest.fixture
def get() -> Get:
    """`get(port, path)` gives the status and the body."""

    def ask(port: int, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return ask
