"""One bounded process that behaves badly."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from smoke.runner import process


@pytest.fixture
def out(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("")
    return path


def bounded(code, out, seconds=60.0, stop=None):
    argv = [sys.executable, "-c", code]
    return process.bounded(argv, out.parent, out, seconds, stop or threading.Event())


def test_a_process_imports_the_byte_code_that_is_there(out, monkeypatch):
    """Elsewhere than beside the sources none would be found: what people run would not be what is certified."""
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    assert bounded(f"import sys; open({str(out)!r}, 'w').write(str(sys.pycache_prefix))", out) == process.Exit()
    assert out.read_text() == "None"


def test_a_process_that_ends_well(out):
    assert bounded("print('fine')", out) == process.Exit()


def test_a_process_that_hangs_is_ended_with_its_children(out, tmp_path, monkeypatch):
    child = tmp_path / "child"
    # The runner's clock stands still until the child is there: then each look at it is past every bound.
    jumps = itertools.count(1e9, 1e9)
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: next(jumps) if child.exists() else 0.0))
    code = (
        "import os, subprocess, sys, time\n"
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(child)!r} + '.part', 'w').write(str(one.pid))\n"
        f"os.rename({str(child)!r} + '.part', {str(child)!r})\n"
        "time.sleep(600)\n"
    )
    ending = bounded(code, out, seconds=60)
    assert "within 60 s" in ending.reason
    assert ending.remedy
    pid = int(child.read_text())
    while not _is_gone(pid):  # it is killed; the kernel takes a moment to carry it out
        time.sleep(0.05)


def _is_gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # killed, and waiting for whoever inherited it


def test_a_process_that_writes_on_is_not_late(out, monkeypatch):
    # By the runner's clock each line takes 20 s, and all of them far longer than the bound.
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: out.stat().st_size * 10.0))
    code = f"import time\nfor _ in range(8):\n    open({str(out)!r}, 'a').write('x\\n')\n    time.sleep(0.2)\n"
    assert bounded(code, out, seconds=60.0) == process.Exit()


def test_a_flood_is_read_and_only_its_end_kept(out):
    code = "import sys\nfor _ in range(300):\n    sys.stdout.write('x' * 100000)\nsys.exit('the end')"
    ending = bounded(code, out)
    assert ending.reason == "the process ended with exit code 1"
    assert len(ending.output) == process.KEPT_OUTPUT
    assert ending.output.endswith("the end\n")


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGKILL, "memory ran out"), (signal.SIGBUS, "/dev/shm"), (signal.SIGSEGV, "signal 11 (SIGSEGV)")],
)
def test_a_process_that_is_killed_says_by_what(out, number, said):
    ending = bounded(f"import os; os.kill(os.getpid(), {int(number)})", out)
    assert said in ending.reason


def test_a_run_that_is_told_to_stop_ends_its_process(out):
    stop = threading.Event()
    stop.set()
    assert bounded("import time; time.sleep(600)", out, seconds=600.0, stop=stop).reason
