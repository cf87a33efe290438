"""A process that answers cells and may die of one."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from typing import Any, Iterator

TAIL = 40  # lines of standard error that are kept for a cell that crashes


class Process:
    """A process that answers cells; the first that it did not answer is the one that it died of."""

    def __init__(self, command: list[str], environment: dict[str, str], cells: list[str], limit: float) -> None:
        self.command = [*command, *(word for cell in cells for word in ("--cell", cell))]
        self.environment, self.cells, self.limit = environment, cells, limit
        self.ending = ""
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.start = time.perf_counter()

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines that it prints, until it ends."""
        process = subprocess.Popen(
            self.command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            start_new_session=True,
        )
        reader = threading.Thread(target=self._pass_on, args=(process.stderr,), daemon=True)
        reader.start()
        late = threading.Event()
        for _ in self.cells:
            timer = threading.Timer(self.limit, _end, (process, late))
            timer.start()
            line = process.stdout.readline()
            timer.cancel()
            if not line.endswith(b"\n"):
                break
            self.start = time.perf_counter()
            yield json.loads(line)
        hanging = threading.Timer(30, _end, (process, threading.Event()))  # all is said, and it may go
        hanging.start()
        code = process.wait()
        hanging.cancel()
        reader.join(timeout=5)
        self.ending = f"no answer within {self.limit:g} seconds" if late.is_set() else _ending(code)

    def _pass_on(self, stream: Any) -> None:
        for line in io.TextIOWrapper(stream, encoding="utf-8", errors="replace"):
            self.tail.append(line.rstrip("\n"))
            sys.stderr.write(line)
            sys.stderr.flush()


def _end(process: Any, late: threading.Event) -> None:
    late.set()
    os.killpg(process.pid, signal.SIGKILL)


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
