"""A PostgreSQL server of our own on loopback, to be stopped, killed, frozen and restarted."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.servers import LONGEST_WAIT_SECONDS, LOOPBACK, free_port

USER = "streamdesk"
# What a test writes need not survive the machine, only the server's own death.
OPTIONS = (
    "fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=100",
    "listen_addresses=" + LOOPBACK, "unix_socket_directories=", "autovacuum=off",
    "max_wal_size=256MB", "log_min_messages=fatal",
)  # fmt: skip


def find_programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest that Debian installed; None without any."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    return found[-1].parent if found else None


def _version(program: Path) -> int:
    return int(program.parts[-3])


def as_ordinary_user() -> list[str]:
    """What goes before a command of PostgreSQL's: it refuses to be run by root."""
    if os.geteuid() != 0:
        return []
    owner = _ordinary_user()
    return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]


def _ordinary_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


class PostgresServer:
    """One server and its data, gone with `remove`."""

    def __init__(self, programs: Path) -> None:
        """Make it and wait until it answers.

        Args:
            programs: folder of PostgreSQL's programs.
        """
        self._programs = programs
        # Not below pytest's own folder, which only the user who runs the tests may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="streamdesk-postgres-"))
        if os.geteuid() == 0:
            owner = _ordinary_user()
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        self._numbers = itertools.count(1)
        self.port = free_port()
        self._run(
            "initdb", "--pgdata", str(self._folder / "data"), "--username", USER, "--no-sync",
            "--auth", "trust", "--encoding", "UTF8", "--locale", "C",
        )  # fmt: skip
        self.start()

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [*as_ordinary_user(), str(self._programs / program), *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"
        return done.stdout.strip()

    def start(self) -> None:
        """Start on the same port and data, and wait until it answers."""
        options = [word for option in OPTIONS for word in ("-c", option)]
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data")]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*as_ordinary_user(), *command, "-p", str(self.port), *options],
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.02)

    def _answers(self) -> bool:
        ready = [str(self._programs / "pg_isready"), "-h", LOOPBACK, "-p", str(self.port), "-q"]
        return subprocess.run(ready, check=False).returncode == 0

    def url(self, database: str) -> str:
        """Of one of its databases."""
        return f"postgresql://{USER}@{LOOPBACK}:{self.port}/{database}"

    def ask(self, database: str, sql: str) -> str:
        """One statement, on a connection of its own; rows as lines, columns parted by `|`."""
        return self._run(
            "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
            "--set", "ON_ERROR_STOP=1", "--dbname", self.url(database), "--command", sql,
        )  # fmt: skip

    def create_database(self) -> str:
        """A new, empty database; returns its name."""
        name = f"test_{next(self._numbers)}"
        self.ask("postgres", f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.ask("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        """End it in order: sessions are cut off, all that was committed is kept."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End it as the death of its process would: the next start has to recover."""
        self._end(signal.SIGQUIT)

    def _end(self, number: signal.Signals) -> None:
        self.thaw()
        if self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait(LONGEST_WAIT_SECONDS)

    def freeze(self) -> None:
        """Freeze it: connections stay open, new ones are not answered."""
        os.kill(self._process.pid, signal.SIGSTOP)  # first, so that it forks no more
        for pid in self._sessions():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it."""
        for pid in (*self._sessions(), self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _sessions(self) -> list[int]:
        # Each is in a process group of its own, so that a signal to the server's group misses it.
        pid = self._process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(child) for child in children.split()]

    def remove(self) -> None:
        """End it and delete its data."""
        self.crash()
        shutil.rmtree(self._folder)
