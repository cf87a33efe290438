"""Loads libraries, each in a process of its own, and makes each of its version calls.

    python -m smoke.installed.loading SECONDS < request.json

The request is {"load": [path, ...], "shared": {name: path}}; each outcome is a line of JSON on stdout. A library may
abort, hang or print as it likes: that is its own outcome. Standard library only; loads no framework.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from smoke import SUITE
from smoke.installed.facts import Outcome
from smoke.installed.versions import Refused, start, versions

SECONDS = 60
MOST_HELPED = 64
NOT_FOUND = re.compile(r"^([^:\s]+): cannot open shared object file")


def load_all(paths: Sequence[Path], shared: Mapping[str, Path], seconds: int = SECONDS) -> list[Outcome]:
    """Loads each of the libraries. Raises OSError or RuntimeError if the helper process itself does not work."""
    request = {"load": [str(path) for path in paths], "shared": {name: str(path) for name, path in shared.items()}}
    helper = subprocess.run(
        [sys.executable, "-m", "smoke.installed.loading", str(seconds)],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SUITE.parent)},
    )
    if helper.returncode:
        errors = helper.stderr.decode("utf-8", "replace")[-500:]
        raise RuntimeError(f"the process that loads libraries ended with {helper.returncode}: {errors}")
    return [Outcome(**json.loads(line)) for line in helper.stdout.splitlines()]


def main(arguments: Sequence[str]) -> int:
    """The helper: forks once for each library, as many at a time as there are cores."""
    request = json.loads(sys.stdin.read())
    left, running = list(request["load"]), {}
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        while left or running:
            while left and len(running) < cores:
                path = left.pop(0)
                out = f"{scratch}/{len(left)}"
                pid = os.fork()
                if pid == 0:
                    _child(path, request["shared"], out, int(arguments[0]))
                running[pid] = (path, out)
            pid, status = os.wait()
            print(json.dumps(_outcome(*running.pop(pid), status)._asdict()), flush=True)
    return 0


def _child(path: str, shared: Mapping[str, str], out: str, seconds: int) -> None:
    """Loads one library and ends; never returns. What it prints is kept as the explanation of an abort."""
    printed = os.open(out + ".printed", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    signal.alarm(seconds)

    def note(outcome: Outcome) -> None:
        Path(out).write_text(json.dumps(outcome._asdict()), encoding="utf-8")

    note(load(path, shared, note))
    os._exit(0)  # without the libraries' destructors: they are not what is checked


def _outcome(path: str, out: str, status: int) -> Outcome:
    noted = Path(out).read_text(encoding="utf-8") if Path(out).exists() else ""
    if status == 0:
        return Outcome(**json.loads(noted))
    text = Path(out + ".printed").read_text(encoding="utf-8", errors="replace")
    printed = text[-300:].strip().replace("\n", " ")
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number == signal.SIGALRM:
        return Outcome(path, False, "loading it came to no end")
    how = f"signal {number} ({signal.Signals(number).name})" if number else f"exit code {os.WEXITSTATUS(status)}"
    if noted:  # it had loaded, and the last note names the call that was under way
        asked = Outcome(**json.loads(noted))
        return asked._replace(crashed=f"{asked.crashed}() ended the process with {how}: {printed}".rstrip(": "))
    return Outcome(path, False, f"loading it ended the process with {how}: {printed}".rstrip(": "))


def load(path: str, shared: Mapping[str, str], note: Callable[[Outcome], None] = lambda _: None) -> Outcome:
    """Loads a library into this process with all its functions resolved, and makes its version calls.

    ``note`` is handed, before each call, what is to be said if that call ends the process.
    """
    helped = 0
    while True:
        try:
            library = ctypes.CDLL(path, mode=os.RTLD_NOW)
            break
        except OSError as why:
            lacking = NOT_FOUND.match(str(why))
            name = lacking.group(1) if lacking else ""
            if name not in shared or helped == MOST_HELPED or not _help(shared[name], shared):
                return Outcome(path, False, str(why), lacks=name, helped=helped)
            helped += 1
    name = Path(path).name

    def asking(symbol: str) -> None:
        note(Outcome(path, True, helped=helped, crashed=symbol))

    try:
        version, cuda = versions(name, library, asking)
        other = start(name, library, asking)
    except Refused as why:
        return Outcome(path, False, str(why), helped=helped)
    return Outcome(path, True, version=version or other, cuda=cuda, helped=helped)


def _help(path: str, shared: Mapping[str, str], depth: int = 0) -> bool:
    """Loads what another needs and cannot find by itself, as the framework's import does before it."""
    try:
        ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_GLOBAL)
    except OSError as why:
        lacking = NOT_FOUND.match(str(why))
        if lacking is None or lacking.group(1) not in shared or depth > 16:
            return False
        return _help(shared[lacking.group(1)], shared, depth + 1) and _help(path, shared, depth + 1)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
