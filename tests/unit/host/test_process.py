from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from assay.host import process
from assay.host.process import Completed

HERE = Path("/")


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_both_streams_and_the_status() -> None:
    done = process.run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"))
    assert done == Completed(3, "out\n", "err\n")
    assert done.last_line() == "err"


@pytest.mark.parametrize(
    ("completed", "line"),
    [
        (Completed(1, "out\n", ""), "out"),
        (Completed(1, "out\n", "one\n two \n \n"), "two"),
        (Completed(-9, "", ""), "exit status -9"),
    ],
)
def test_the_last_line(completed: Completed, line: str) -> None:
    assert completed.last_line() == line


def test_a_program_that_does_not_exist_is_127() -> None:
    assert process.run(["assay-no-such-program"]) == Completed(127, "", "assay-no-such-program: not found")


def test_a_program_that_may_not_be_run_is_126(tmp_path: Path) -> None:
    (tmp_path / "plain").touch(mode=0o644)
    assert process.run([str(tmp_path / "plain")]).returncode == 126


def test_a_program_that_does_not_end_is_124() -> None:
    done = process.run(python("import time; time.sleep(600)"), timeout=0.2)
    assert done.returncode == 124
    assert "no end after" in done.stderr


def test_what_is_given_is_all_that_it_gets() -> None:
    script = "import os, sys; print(dict(os.environ).get('ASSAY_X'), 'HOME' in os.environ, sys.stdin.read())"
    assert process.run(python(script), env={"ASSAY_X": "1"}, input=b"in").stdout == "1 False in\n"
    assert process.run(python("import sys; print(repr(sys.stdin.read()))")).stdout == "''\n"


def test_output_that_is_no_text() -> None:
    assert process.run(python(r"import os; os.write(1, b'\xff\n')")).stdout == "\ufffd\n"


def test_a_stream_hands_over_each_line_of_both() -> None:
    lines: list[str] = []
    script = r"import os; os.write(1, b'one\n'); os.write(2, b'two\n'); os.write(1, b'\xffthree'); os._exit(4)"
    status = process.stream(python(script), lines.append, env=process.environment(), cwd=HERE)
    assert (status, lines) == (4, ["one", "two", "\ufffdthree"])


def test_lines_come_while_it_still_runs(tmp_path: Path) -> None:
    fifo = tmp_path / "go"
    os.mkfifo(fifo)

    def answer(line: str) -> None:
        if line == "ready":  # it ends only if this line came before the end
            fifo.write_text("x")

    script = f"print('ready', flush=True); open({str(fifo)!r}).read()"
    assert process.stream(python(script), answer, env=process.environment(), cwd=HERE) == 0


@pytest.mark.parametrize("stubborn", [False, True])
def test_an_interrupted_stream_ends_its_process(stubborn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if stubborn else ""
    if stubborn:  # the ten seconds of patience, shortened
        real = process.subprocess.Popen.wait
        monkeypatch.setattr(
            process.subprocess.Popen, "wait", lambda self, timeout=None: real(self, timeout and timeout / 50)
        )
    script = f"import os, signal, time; {ignore} print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt):
        process.stream(python(script), interrupt, env=process.environment(), cwd=HERE)
    assert gone(pids[0])


def test_end_all_ends_streams_in_other_threads() -> None:
    began = threading.Barrier(3, timeout=60)
    statuses: list[int] = []

    def run() -> None:
        script = "import time; print('ready', flush=True); time.sleep(600)"
        statuses.append(
            process.stream(python(script), lambda _: began.wait() and None, env=process.environment(), cwd=HERE)
        )

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    began.wait()
    process.end_all()
    for thread in threads:
        thread.join(timeout=60)
    assert statuses == [-signal.SIGTERM, -signal.SIGTERM]
    process.end_all()  # none is no error


def test_a_daemon_has_its_own_session_and_writes_behind_what_is_there(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    script = "import os, sys; print(os.getsid(0) == os.getpid()); print('err', file=sys.stderr)"
    pid = process.daemon(python(script), env={}, log=log)
    os.waitpid(pid, 0)
    lines = log.read_text().splitlines()
    assert lines[0] == "before"
    assert sorted(lines[1:]) == ["True", "err"]


def test_a_process_that_will_not_end_is_killed() -> None:
    script = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        process.end(running.pid, patience=0.2)
        assert not process.alive(running.pid)
        running.returncode = -signal.SIGKILL  # it was waited for there


def test_the_environment_is_changed_in_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_X", "old")
    assert process.environment(ASSAY_X="new")["ASSAY_X"] == "new"
    assert os.environ["ASSAY_X"] == "old"


def test_a_daemon_holds_no_lock_that_was_handed_to_this_process(tmp_path: Path) -> None:
    """As `flock FILE assay build` hands its own over: it would be held until the daemon ends."""
    with (tmp_path / "lock").open("w") as handle:
        os.set_inheritable(handle.fileno(), True)
        fcntl.flock(handle, fcntl.LOCK_EX)
        pid = process.daemon(python("import time; time.sleep(60)"), env={}, log=tmp_path / "log")
    try:
        with (tmp_path / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
