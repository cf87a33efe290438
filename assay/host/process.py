"""Starts processes, and is the only module that does: each gets its arguments as a list, and no shell."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Completed:
    """How a process ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str

    def last_line(self) -> str:
        """Return the last line that is not empty: most programs put the reason there."""
        lines = [line for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"exit status {self.returncode}"


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: bytes | None = None,  # noqa: A002 - the standard library's own name for it
    timeout: float | None = None,
) -> Completed:
    """Run ``argv`` to its end and return its status and its output.

    ``env``, when given, is the whole environment. The status is 127 for a program that does not exist, 126 for one
    that may not be run, and 124 for one that outlasts ``timeout`` (seconds), as in shells and timeout(1).
    """
    try:
        done = subprocess.run(
            list(argv),
            env=env,
            cwd=cwd,
            capture_output=True,
            timeout=timeout,
            check=False,
            input=input or b"",
        )
    except FileNotFoundError:
        return Completed(127, "", f"{argv[0]}: not found")
    except PermissionError:
        return Completed(126, "", f"{argv[0]}: may not be run")
    except subprocess.TimeoutExpired:
        return Completed(124, "", f"{Path(argv[0]).name}: no end after {timeout:.0f} seconds")
    return Completed(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


_running: set[subprocess.Popen[str]] = set()


def end_all() -> None:
    """End every process that `stream` runs in any thread: for a command that is interrupted."""
    for running in list(_running):
        running.terminate()


def stream(argv: Sequence[str], on_line: Callable[[str], None], *, env: Mapping[str, str], cwd: Path) -> int:
    """Run ``argv``, call ``on_line`` with each line of its output (both streams) as it comes, and return its status.

    When the caller is interrupted, the process is ended too, so that no build goes on unseen.
    """
    with _terminated(
        subprocess.Popen(
            list(argv),
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            umask=0o022,  # what it makes may end up in an image
        )
    ) as process:
        assert process.stdout is not None  # noqa: S101 - asked for just above
        for line in process.stdout:
            on_line(line.rstrip("\n"))
        return process.wait()


@contextlib.contextmanager
def _terminated(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    _running.add(process)
    try:
        yield process
    finally:
        _running.discard(process)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()


def attached(argv: Sequence[str], *, env: Mapping[str, str]) -> int:
    """Run ``argv`` on this process's own terminal or pipes to its end; returns its status, as a shell gives it.

    Signals are its own to answer: Ctrl-C at a terminal reaches it from there, what else is sent to us is sent on.
    """
    running: list[subprocess.Popen[bytes]] = []
    at_terminal = os.isatty(0)

    def send_on(number: int, _frame: object) -> None:
        for process in running:
            if number != signal.SIGINT or not at_terminal:
                process.send_signal(number)

    before = {number: signal.signal(number, send_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        running.append(subprocess.Popen(list(argv), env=env))
        status = running[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def daemon(argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> int:
    """Start a process that outlives this one; return its id. A session of its own keeps every Ctrl-C from it.

    It gets none of this process's open files: a lock or a pipe that a shell handed to us would be held for as long as
    the daemon lives.
    """
    ours = [int(path.name) for path in Path("/proc/self/fd").iterdir() if int(path.name) > 2]
    return os.posix_spawn(
        argv[0],
        list(argv),
        dict(env),
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_CLOSE, number) for number in ours if _is_handed_on(number)),
        ],
    )


def _is_handed_on(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:
        return False  # the listing's own


def end(pid: int, patience: float = 30) -> None:
    """Ask a process to end, and kill it when it still runs after ``patience`` seconds; wait until it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not alive(pid):
                return
            time.sleep(0.05)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent does not."""
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# What a user's environment says of the way to the network, and of where there is room.
_WAYS = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "home", "tmpdir")


def plain_environment(**changes: str) -> dict[str, str]:
    """Return an environment without the habits of this process's user, for what makes files that must not vary.

    Of his own it has the proxies, the home and the folder for temporary files.
    """
    return {**{name: value for name, value in os.environ.items() if name.lower() in _WAYS}, **changes}


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with ``changes`` made to it."""
    return {**os.environ, **changes}
