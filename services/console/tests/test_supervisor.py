import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from streamdesk.console.adapters.processes.guard import Guard
from streamdesk.console.adapters.processes.supervisor import Program, Supervisor

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]
Shell = Callable[[str, str], Program]
Alive = Callable[[int], bool]

STUBBORN = "trap '' TERM; echo deaf; while :; do sleep 0.05; done"


def said(program: Program) -> str:
    return program.log.read_text() if program.log.exists() else ""


async def test_a_program_runs_under_the_process_id_that_is_reported(
    supervisor: Supervisor, shell: Shell, eventually: Eventually
) -> None:
    child = await supervisor.start(shell("echo", "echo $$; exec sleep 60"))
    await eventually(lambda: said(child.program).endswith("\n"))
    assert int(said(child.program)) == child.pid


async def test_a_program_has_a_session_of_its_own_so_that_the_terminal_cannot_interrupt_it(
    supervisor: Supervisor, shell: Shell
) -> None:
    child = await supervisor.start(shell("sleeper", "exec sleep 60"))
    assert child.pid is not None
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


async def test_a_program_that_dies_is_started_again_and_each_death_is_counted(
    supervisor: Supervisor, shell: Shell, eventually: Eventually
) -> None:
    child = await supervisor.start(shell("mortal", "echo born; exit 3"))
    await eventually(lambda: child.restarts >= 2)
    assert child.exits[:2] == [3, 3]
    assert supervisor.unexpected_exits >= 2


async def test_a_killed_program_is_started_again_under_a_new_process_id(
    supervisor: Supervisor, shell: Shell, eventually: Eventually
) -> None:
    child = await supervisor.start(shell("victim", "exec sleep 60"))
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: child.restarts == 1 and child.state == "running")
    assert child.pid not in (None, first)
    assert child.exits == [-signal.SIGKILL]


async def test_stopping_is_no_unexpected_exit(supervisor: Supervisor, shell: Shell) -> None:
    child = await supervisor.start(shell("obedient", "exec sleep 60"))
    assert await supervisor.stop([child.name], deadline_seconds=60) == []
    assert (child.state, child.pid, supervisor.unexpected_exits) == ("stopped", None, 0)


async def test_a_program_that_ignores_sigterm_is_killed_after_the_deadline(
    supervisor: Supervisor, shell: Shell, eventually: Eventually, alive: Alive
) -> None:
    deaf = await supervisor.start(shell("deaf", STUBBORN))
    polite = await supervisor.start(shell("polite", "exec sleep 60"))
    pid = deaf.pid
    assert pid is not None
    await eventually(lambda: "deaf" in said(deaf.program))
    assert await supervisor.stop(["deaf", "polite"], deadline_seconds=0.2) == ["deaf"]
    assert not alive(pid)
    assert polite.state == "stopped"


async def test_a_suspended_program_ends_within_the_deadline_too(
    supervisor: Supervisor, shell: Shell
) -> None:
    child = await supervisor.start(shell("frozen", "exec sleep 60"))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    assert await supervisor.stop([child.name], deadline_seconds=60) == []


async def test_stopping_a_program_that_waits_for_its_restart_starts_nothing(
    guard: Guard, shell: Shell, eventually: Eventually
) -> None:
    supervisor = Supervisor(guard)
    child = await supervisor.start(shell("mortal", "exit 1"))
    await eventually(lambda: child.state == "waiting")
    await supervisor.stop([child.name], deadline_seconds=60)
    assert (child.restarts, child.state) == (0, "stopped")


async def test_children_of_a_dead_program_end_with_it(
    supervisor: Supervisor, shell: Shell, eventually: Eventually, alive: Alive
) -> None:
    child = await supervisor.start(shell("parent", "sleep 60 & echo $!; wait"))
    await eventually(lambda: said(child.program).endswith("\n"))
    grandchild = int(said(child.program))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await eventually(lambda: not alive(grandchild))


async def test_every_change_of_state_is_reported(guard: Guard, shell: Shell) -> None:
    seen: list[str] = []

    async def note(child: object) -> None:
        seen.append(str(getattr(child, "state", "")))

    supervisor = Supervisor(guard, changed=note)
    child = await supervisor.start(shell("obedient", "exec sleep 60"))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    while len(seen) < 2:
        await asyncio.sleep(0.01)
    await supervisor.stop([child.name], 60)
    assert seen[:2] == ["running", "waiting"]


async def test_a_watchdog_that_dies_is_replaced_and_knows_every_group_again(
    guard: Guard, supervisor: Supervisor, shell: Shell, eventually: Eventually, alive: Alive
) -> None:
    child = await supervisor.start(shell("sleeper", "exec sleep 60"))
    first, pid = guard.pid, child.pid
    assert first is not None
    assert pid is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: guard.pid != first)
    await guard.close()  # the pipe ends as it does when the supervisor dies
    assert not alive(pid)


UP = """
import asyncio, sys
from pathlib import Path
from streamdesk.console.adapters.processes.guard import Guard
from streamdesk.console.adapters.processes.supervisor import Program, Supervisor

async def main() -> None:
    guard = Guard()
    await guard.start()
    supervisor = Supervisor(guard)
    folder = Path(sys.argv[1])
    for name, line in (("polite", "exec sleep 600"), ("deaf", "trap '' TERM; sleep 600; :")):
        await supervisor.start(Program(name, ("/bin/sh", "-c", line), folder / name))
    print(*(child.pid for child in supervisor.children.values()), guard.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_is_left_when_the_supervisor_itself_is_killed(
    number: signal.Signals, tmp_path: Path, eventually: Eventually, alive: Alive
) -> None:
    up = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", UP, str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert up.stdout is not None
    pids = [int(word) for word in (await up.stdout.readline()).split()]
    assert all(alive(pid) for pid in pids)
    up.send_signal(number)
    await up.wait()
    await eventually(lambda: not any(alive(pid) for pid in pids))
