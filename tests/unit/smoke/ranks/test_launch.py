"""The launcher, with rank programs that do well, die, hang, answer twice, or leave something behind."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from smoke.ranks import _launch
from smoke.ranks._launch import Limits

QUICK = Limits(whole=1.5, still=0.4)
TELL = """
import json, os, signal, subprocess, sys, time
out = open(sys.argv[1], "a")
def tell(**line):
    out.write(json.dumps(line) + "\\n"); out.flush()
def at(what, slow=False):
    tell(at=what, slow=slow)
def done():
    at("leave"); tell(answer="leave")
at("join", slow=True)
"""
WELL = "at('step 1'); tell(answer='train', losses=[1.5]); done()"
HANGS = "at('step 1'); time.sleep(60)"
WAITS = "at('step 1'); at('step 2'); time.sleep(60)"


def launched(folder, *programs, limits=QUICK, **variables):
    commands = [
        [sys.executable, "-S", "-c", TELL + program, str(_launch.out_of(folder, rank))]
        for rank, program in enumerate(programs)
    ]
    return _launch.launch(commands, folder, variables, limits)


def test_what_each_rank_answered(tmp_path):
    found = launched(tmp_path, WELL, "tell(answer='seen', it=os.environ['MORE']); done()", MORE="7")
    assert (found.reason, found.blamed, found.left) == ("", None, 0)
    assert found.answers[0]["train"] == {"losses": [1.5]}
    assert found.answers[1]["seen"] == {"it": "7"}


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("at('step 3'); os.kill(os.getpid(), signal.SIGKILL)", "rank 1 was killed by signal 9 (SIGKILL) at step 3"),
        ("at('step 3'); os.abort()", "rank 1 was killed by signal 6 (SIGABRT) at step 3"),
        ("at('step 3'); print('no such store'); sys.exit(7)", "rank 1 ended with 7 at step 3"),
        ("os.kill(os.getpid(), 40)", "rank 1 was killed by signal 40 (a real-time signal) at join"),
        ("raise SystemExit(0)", "rank 1 ended at join, before it was done"),
        ("tell(answer='train'); tell(answer='train'); done()", "rank 1 answered train twice"),
        ('out.write(\'{"answer": "le\'); out.flush()', "rank 1 ended at join, before it was done"),
        ("out.write('[1]\\n7\\n'); out.flush()", "rank 1 ended at join, before it was done"),
    ],
)
def test_the_rank_that_ends_badly_is_named(tmp_path, program, said):
    start = time.monotonic()
    found = launched(tmp_path, WELL if "twice" in said else WAITS, program, limits=Limits(whole=30, still=20))
    assert (found.reason, found.blamed, found.left) == (said, 1, 0)
    assert time.monotonic() - start < 10
    assert "no such store" in found.output or "7" not in said


def test_a_signal_comes_before_the_failures_that_follow_it(tmp_path):
    """The others fail over the one that was killed, maybe before anybody looks."""
    meet = "at('x')\nwhile not os.path.exists('go'): time.sleep(0.001)\n"
    ends = ("sys.exit(1)", "os.kill(os.getpid(), signal.SIGKILL)", "os._exit(1)")
    go = "import threading; threading.Timer(0.3, lambda: open('go', 'w')).start()\n"
    found = launched(tmp_path, *(f"{go if rank == 0 else ''}{meet}{end}" for rank, end in enumerate(ends)))
    assert found.blamed in {1, 2}
    assert found.left == 0


def test_the_rank_that_hangs_is_the_one_that_the_others_wait_for(tmp_path):
    start = time.monotonic()
    found = launched(tmp_path, WAITS, HANGS, WAITS)
    assert time.monotonic() - start < 5
    assert found.blamed == 1
    assert found.reason.startswith("rank 1 hangs: no rank got on for 0 s (rank 0 is at step 2, rank 1 is at step 1, ")
    assert 0.4 <= found.seconds < 5


def test_nobody_is_blamed_where_none_is_behind(tmp_path):
    found = launched(tmp_path, HANGS, HANGS)
    assert found.blamed is None
    assert found.reason.startswith("no rank got on for 0 s, and none is behind the others")


def test_a_rank_that_compiles_has_its_time(tmp_path):
    slow = "at('step 0', slow=True); time.sleep(0.8); done()"
    assert launched(tmp_path, slow, "at('step 0'); done()").reason == ""
    (tmp_path / "again").mkdir()
    assert launched(tmp_path / "again", slow.replace("True", "False"), HANGS).reason != ""


def test_who_is_done_takes_no_time_for_compiling(tmp_path):
    """Neither a rank that has ended, nor one that has said its last word, holds up the end of one that hangs."""
    for name, done in (("ended", "done()"), ("leaving", "done(); time.sleep(60)")):
        (tmp_path / name).mkdir()
        found = launched(tmp_path / name, done, HANGS, limits=Limits(whole=30, still=0.4))
        assert found.blamed == 1
        assert found.reason.startswith("rank 1 hangs: no rank got on for 0 s (")


def test_what_a_rank_started_is_ended_too(tmp_path):
    """A server, say; also one that no longer has a parent."""
    helper = "subprocess.Popen(['sh', '-c', 'sleep 60 & echo $! > helper; exit']).wait()"
    found = launched(tmp_path, f"{helper}; done()", WELL)
    assert (found.reason, found.left) == ("", 0)
    assert not _runs(int((tmp_path / "helper").read_text()))


def test_nothing_is_left_where_a_rank_cannot_be_started(tmp_path):
    good = [sys.executable, "-S", "-c", TELL + HANGS, str(_launch.out_of(tmp_path, 0))]
    with pytest.raises(FileNotFoundError):
        _launch.launch([good, ["/no/such/program"]], tmp_path, {}, QUICK)
    started = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in path.read_bytes()]
    assert started == []


def _runs(pid):
    """Whether a process is there; one that has ended, and that nobody asked for its end, is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_ports_are_free_and_different():
    ports = _launch.free_ports(8)
    assert len(set(ports)) == 8
    assert json.loads(json.dumps(ports)) == ports
