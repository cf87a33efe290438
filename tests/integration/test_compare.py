"""Measuring in a real, certified image: what a program meets there, and what is left of one that was ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay import engine
from tests.integration.conftest import ASSAY, Newcomer, assay

pytestmark = pytest.mark.engine

QUESTION = """
TITLE = "What does a program meet?"
CLAIM = "Little."
KIND = "facts"
CELLS = {"room": "What it may use", "end": "A crash"}
"""
RUN = """
import json, os, sys

def line(cell, values):
    print(json.dumps({"schema": 1, "question": sys.argv[1], "framework": sys.argv[2], "cell": cell, "outcome": "done",
                      "values": values, "seconds": 0.0}), flush=True)

def refused(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.errno
    return 0

print("chatter", file=sys.stderr)
line("room", {
    "cpus": sorted(os.sched_getaffinity(0)),
    "network": sorted(os.listdir("/sys/class/net")),
    "uid": os.getuid(),
    "compare": refused("/compare/run.py"),
    "root": refused("/opt/env/x"),
    "arguments": sys.argv[1:],
})
if os.path.exists("/compare/sleeps"):
    import time
    time.sleep(600)
os.abort()
"""


@pytest.fixture
def asked(certified: Newcomer) -> Iterator[Path]:
    """The checkout of the certified newcomer, with one question."""
    top = certified.checkout / "compare"
    (top / "room").mkdir(parents=True)
    (top / "run.py").write_text(RUN)
    (top / "room/question.py").write_text(QUESTION)
    (top / "room/newcomer.py").write_text("")
    yield certified.checkout
    subprocess.run(["rm", "-r", str(top)], check=True)


def kept(checkout: Path) -> dict[str, dict[str, Any]]:
    lines = (checkout / "compare/results/room.jsonl").read_text().splitlines()
    return {line["cell"]: line for line in map(json.loads, lines)}


def test_a_program_meets_little_and_a_crash_is_an_answer(asked: Path, running: engine.Engine) -> None:
    last = max(os.sched_getaffinity(0))
    done = assay(asked, "compare", "newcomer", "--cpus", str(last), "--memory", "512m")
    assert done.returncode == 0, done.stderr
    found = kept(asked)
    assert found["room"]["values"] == {
        "cpus": [last],
        "network": ["lo"],
        "uid": 12345,
        "compare": 30,
        "root": 30,
        "arguments": ["room", "newcomer", "--threads", "1"],
    }
    assert found["end"]["outcome"] == "failed"
    assert found["end"]["because"] == "the program ended: exit code 134"
    assert "chatter" in found["end"]["text"]
    assert found["room"]["digest"] == running.digest("assay/newcomer:latest")
    again = assay(asked, "compare", "newcomer", "--cpus", str(last), "--memory", "512m")
    assert "all of it stands" in again.stderr
    assert again.stdout == done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_ended_leaves_nothing_behind(number: signal.Signals, asked: Path, running: engine.Engine) -> None:
    (asked / "compare/sleeps").touch()
    before = running.running()
    command = subprocess.Popen([ASSAY, "compare", "newcomer"], cwd=asked, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while running.running() == before:
        assert time.monotonic() < until, "no container was started"
        time.sleep(0.2)
    command.send_signal(number)
    said = command.communicate(timeout=60)[1]
    assert command.returncode == 130, said
    assert "Traceback" not in said
    assert running.running() == before
    assert not (asked / "compare/results").exists()
