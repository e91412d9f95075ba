"""Commands and scripts on a Redis (>= 7.0) or Valkey (>= 8) server.

Commands go out without redis-py's own retries: a blind resend could write twice, and it redials an
address that may be dead. The caller decides what a lost answer means (`connection/link.py`).
"""

import asyncio
import copy
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Self

import hiredis

from streamdesk.bus.config import BusConfig, Wait
from streamdesk.bus.connection.server import Server
from streamdesk.bus.connection.wire import Argument, Reply, Words
from streamdesk.bus.errors import BusUnavailableError, NotDurableError

_MARK = "streamdesk:durable"
"""Written before each WAIT."""


def is_unknown(answer: Reply) -> bool:
    """Whether the server does not know the script, and so has not run it."""
    return isinstance(answer, hiredis.ReplyError) and str(answer).startswith("NOSCRIPT")


class Script:
    """A Lua script: its source, and its name on the server."""

    def __init__(self, name: str) -> None:
        """Read `lua/<name>.lua`."""
        folder = files("streamdesk.bus.backends") / "lua"
        common = (folder / "common.lua").read_text()
        own = (folder / f"{name}.lua").read_text()
        # What a script asks of the server stands in its first line, wherever it comes from.
        flags, _, body = own.partition("\n") if own.startswith("#!") else ("", "", own)
        self.source = (f"{flags}\n" if flags else "") + common + body
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class RedisCommands:
    """How a command or a script reaches the server, and how its answer comes back."""

    def __init__(self, config: BusConfig) -> None:
        """Set up, without connecting yet."""
        self._server = Server(config)
        self._durable: Wait | None = None
        names = (
            "publish", "find", "take", "settle", "reclaim", "renew", "release", "forget", "lag",
            "trim", "peek", "redrive", "own", "disown", "join", "schedule", "ensure", "adopt",
            "put_held", "give_back", "append_held",
        )  # fmt: skip
        self._scripts = {name: Script(name) for name in names}

    async def close(self) -> None:
        """Close all connections."""
        await self._server.close()

    def on_move(self, moved: Callable[[], None]) -> None:
        """Have `moved` called when the Sentinels announce another master."""
        self._server.on_move = moved

    async def drop_idle(self) -> None:
        """Close what is kept for later."""
        self._server.drop_idle()

    def waiting_for(self, durable: Wait | None) -> Self:
        """The same server and connections, with WAIT after each call."""
        if durable is None:
            return self
        same = copy.copy(self)
        same._durable = durable  # noqa: SLF001 - our own copy
        return same

    async def ping(self) -> None:
        """Return when the server answers."""
        await self._command("PING")

    async def now_ms(self) -> int:
        """The server's clock."""
        seconds, micros = await self._command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def _command(self, *words: Argument) -> Any:  # noqa: ANN401 - what the server answers
        (answer,) = await self._send([words])
        return self._server.checked(answer)

    async def _send(self, commands: Sequence[Words]) -> list[Reply]:
        """Commands in one round trip; error answers are among the answers.

        Raises:
            NotDurableError: too few replicas have in time what was written, now or before.
        """
        if self._durable is None:
            return await self._server.send(commands)
        replicas, timeout_ms = self._durable.replicas, self._durable.timeout_ms
        # WAIT counts replicas that have what this connection wrote: on a new one that is nothing
        # unless it writes. The mark comes after all that this server has, seen or written.
        mark = ("SET", _MARK, 1, "PX", timeout_ms)
        sure = [*commands, mark, ("WAIT", replicas, timeout_ms)]
        *answers, marked, confirmed = await self._server.send(
            sure, lane="durable", extra_seconds=timeout_ms / 1000
        )
        for answer in answers:
            if not is_unknown(answer):
                self._server.checked(answer)
        is_marked = not isinstance(marked, hiredis.ReplyError)  # a full server may refuse just this
        if self._server.checked(confirmed) < replicas or not is_marked:
            raise NotDurableError(replicas, confirmed if is_marked else 0, timeout_ms)
        if self._server.is_failing_over:
            raise BusUnavailableError("a failover is under way: the write is looked for after it")
        return answers

    async def _many(self, commands: Sequence[Words]) -> list[Any]:
        """Commands in one round trip, in order, but not as a transaction."""
        answers = await self._send(commands)
        return [self._server.checked(answer) for answer in answers]

    async def _blocking(
        self,
        block_ms: int,
        verb: Words,
        streams: Sequence[str],
        stopped: asyncio.Future[Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what the server answers
        """XREAD or XREADGROUP of `streams`: their keys, then where to read each from."""
        command = (*verb, "BLOCK", max(1, block_ms), "STREAMS", *streams)
        answer = await self._server.send_blocking(command, block_ms / 1000, stopped)
        return self._server.checked(answer)

    async def _run(self, name: str, keys: Sequence[str], *arguments: Argument) -> Any:  # noqa: ANN401 - what the server answers
        """Run a script."""
        (answer,) = await self._run_many(name, [(keys, arguments)])
        return self._server.checked(answer)

    async def _run_many(
        self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]
    ) -> list[Any]:
        """Run a script several times in one round trip; error answers are among the answers.

        A server that does not know the script has not run it: it is loaded and sent again.
        """
        script = self._scripts[name]
        commands = [("EVALSHA", script.sha, len(keys), *keys, *rest) for keys, rest in calls]
        answers = await self._send(commands)
        unknown = [at for at, answer in enumerate(answers) if is_unknown(answer)]
        if unknown:
            again = [("SCRIPT", "LOAD", script.source), *(commands[at] for at in unknown)]
            loaded, *fresh = await self._send(again)
            self._server.checked(loaded)
            for at, answer in zip(unknown, fresh, strict=True):
                answers[at] = answer
        return answers
