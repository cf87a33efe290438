"""One process, bounded in time and in output. Standard library only."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Optional

KEPT_OUTPUT = 4096
TICK = 0.05


@dataclass(frozen=True)
class Exit:
    """How a process ended: ``reason`` is empty if well, ``output`` is the last of what it said."""

    reason: str = ""
    remedy: str = ""
    output: str = ""

    def evidence(self) -> str:
        """The process's last words, to stand under the reason."""
        return "\nlast output: " + self.output.strip()[-KEPT_OUTPUT:] if self.output.strip() else ""


def bounded(
    argv: Sequence[str],
    scratch: Path,
    out: Path,
    seconds: float,
    stop: threading.Event,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Exit:
    """Runs ``argv`` in a process group of its own until it ends, or ``stop`` is set.

    It is ended, too, if it writes nothing to ``out`` for ``seconds``. ``variables`` are added to its environment.
    """
    child = subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=str(scratch),
        env={**os.environ, **variables},
        start_new_session=True,
    )
    tail = _Tail(child.stdout)
    late = not _wait(child.pid, out, seconds, stop)
    # The leader is not reaped yet, so its number is still that of its group: no other process can be hit.
    os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    output = tail.end()
    if late:
        return Exit(
            f"no check came to its end within {seconds} s; the process was ended",
            "Raise seconds_per_check if the machine is slow; otherwise the check hangs.",
            output,
        )
    return Exit(*_reason(code), output=output) if code else Exit()


def _wait(pid: int, out: Path, seconds: float, stop: threading.Event) -> bool:
    """Waits for the end without reaping. False if no family began or ended, nor any result came, in time."""
    size, since = 0, time.monotonic()
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and not stop.is_set():
        written, now = out.stat().st_size, time.monotonic()
        if written != size:
            size, since = written, now
        if now - since > seconds:
            return False
        stop.wait(TICK)
    return True


def _reason(code: int) -> tuple[str, str]:
    if code == -signal.SIGKILL:
        return (
            "the process was killed (signal 9), most likely by the kernel because memory ran out",
            "Give the container more memory.",
        )
    if code == -signal.SIGBUS:
        return "the process was killed (signal 7, bus error), likely no room in /dev/shm", "Raise --shm-size."
    if code < 0:
        return f"the process was killed by signal {-code} ({signal.Signals(-code).name})", ""
    return f"the process ended with exit code {code}", ""


class _Tail:
    """Reads a pipe to its end in a thread and keeps only the last bytes, however much comes."""

    def __init__(self, pipe: Optional[IO[bytes]]) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._kept = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            block = os.read(self._pipe.fileno(), 65536)
            if not block:
                return
            self._kept = (self._kept + block)[-KEPT_OUTPUT:]

    def end(self) -> str:
        """What was kept. A process that left the group may hold the pipe open: it is not waited for."""
        self._thread.join(timeout=2)
        if not self._thread.is_alive():
            self._pipe.close()
        return self._kept.decode("utf-8", "replace")
