"""Whether processes and threads can be started."""

from __future__ import annotations

import errno
import os
import subprocess
import threading

import pytest

from smoke.preflight import processes
from smoke.preflight.finding import FAIL, OK, WARN
from smoke.preflight.processes import PROCESSES, THREADS, Limits, Started

ALL = Started(PROCESSES, THREADS)
AGAIN = os.strerror(errno.EAGAIN)


def test_this_machine_starts_them_and_nothing_is_left():
    before = threading.active_count()
    assert processes.attempt() == ALL
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("started", "known", "said", "remedy"),
    [
        (Started(4, 2, "can't start new thread"), Limits(8, 2), "(pids.max)", "--pids-limit"),
        (Started(1, 0, AGAIN), Limits(8, 7), "1 of 4 processes", "--pids-limit"),
        (Started(4, 0, "can't start new thread"), Limits(None, clone3="EPERM"), "seccomp", "--security-opt seccomp="),
        (Started(4, 9, "can't start new thread"), Limits(None, 0, 20, "ENOSYS"), "20 processes", "--ulimit nproc="),
        (Started(1, 0, os.strerror(errno.EMFILE)), Limits(), "open files", "--ulimit nofile="),
        (Started(4, 9, "out of memory"), Limits(10**6, 3), "out of memory", "--memory"),
    ],
)
def test_what_cannot_be_started_says_why(started, known, said, remedy):
    found = processes.judge_processes(started, known, cores=2)
    assert found.state == FAIL
    assert said in found.message
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("known", "cores", "state"),
    [
        (Limits(), 256, OK),
        (Limits(None, 0, 1000, "EPERM"), 256, OK),
        (Limits(100, 2), 2, OK),
        (Limits(100, 90), 2, WARN),
        (Limits(512, 2), 192, WARN),
    ],
)
def test_a_limit_that_is_too_low_for_the_cores_is_a_warning(known, cores, state):
    found = processes.judge_processes(ALL, known, cores)
    assert (found.state, "--pids-limit=" in found.remedy) == (state, state == WARN)


@pytest.mark.parametrize("error", [BlockingIOError(errno.EAGAIN, AGAIN), MemoryError()])
def test_a_process_that_cannot_be_started_is_told(monkeypatch, error):
    def refuse(*_arguments, **_options):
        raise error

    monkeypatch.setattr(subprocess, "Popen", refuse)
    started = processes.attempt()
    assert (started.processes, started.threads) == (0, 0)
    assert started.error


def test_a_thread_that_cannot_be_started_is_told(monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert processes.attempt() == Started(PROCESSES, 0, "can't start new thread")


@pytest.mark.parametrize(
    ("line", "folder"),
    [("0::/\n", "."), ("0::/pod/box\n", "pod"), ("8:pids:/docker/abc\n", "pids/docker/abc"), ("", "pids")],
)
def test_the_tightest_limit_of_the_control_groups_counts(machine, line, folder):
    (machine.proc / "self/cgroup").write_text(line)
    for name, most in ((folder, "50"), (".", "max" if folder == "." else "1000")):
        (machine.cgroup / name).mkdir(parents=True, exist_ok=True)
        if most != "max":
            (machine.cgroup / name / "pids.max").write_text(most + "\n")
            (machine.cgroup / name / "pids.current").write_text("7\n")
    known = processes.limits(machine)
    assert (known.pids, known.used, known.room) == (50, 7, 43)


@pytest.mark.parametrize("text", ["max\n", "", "nonsense\n", "-1\n"])
def test_no_limit(machine, text):
    (machine.cgroup / "pids.max").write_text(text)
    assert processes.limits(machine).room is None


def test_a_clone3_without_arguments_starts_nothing():
    assert processes.clone3() in ("EINVAL", "ENOSYS", "EPERM")
