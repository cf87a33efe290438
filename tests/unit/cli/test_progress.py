"""What is shown of a build; in a log, by the recording of a real cold one, replayed second by second."""

from __future__ import annotations

import io
import itertools
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from assay.catalog import Built
from assay.cli.progress import BuildView
from assay.errors import BuildFailed, UsageError

RECORDING = Path(__file__).parents[1] / "data" / "view" / "cold.jsonl"
EVENTS: list[dict[str, Any]] = [json.loads(line) for line in RECORDING.read_text().splitlines()]
NEVER = 60  # seconds without a line


BUILT = Built("k", None, "sha256:1", "sha256:2", (), (), 1_234_000_000, 4 * 10**9, 61.4, "now")


class Log(io.StringIO):
    """A log, and a clock that only `pass_until` moves; each line is kept with its second."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.lines: list[tuple[float, str]] = []
        self.view = BuildView(Console(file=self, width=240, soft_wrap=True, highlight=False), lambda: self.now)

    def write(self, text: str) -> int:
        self.lines += [(self.now, line) for line in text.splitlines() if line.strip()]
        return len(text)

    def pass_until(self, second: float) -> None:
        while self.now + 1 <= second:
            self.now += 1
            self.view.beat()
        self.now = second

    @property
    def longest_gap(self) -> float:
        at = [0.0, *(second for second, _ in self.lines), self.now]
        return max(later - earlier for earlier, later in itertools.pairwise(at))


def built(event: dict[str, Any]) -> Built:
    return Built("k", None, "sha256:1", "sha256:2", (), (), 1, 2, event["seconds"], "now")


def replayed(events: list[dict[str, Any]]) -> Log:
    log = Log()
    for event in events:
        log.pass_until(event["at"])
        name = event.get("name", "")
        if event["call"] == "start":
            log.view.start(name)
        elif event["call"] == "phase":
            log.view.phase(name, event["text"])
        elif event["call"] == "done":
            log.view.done(name, built(event), event["fresh"])
        elif event["call"] == "failed":
            log.view.failed(name, BuildFailed(event["what"], "") if event["what"] else None)
    return log


@pytest.fixture(scope="module")
def log() -> Log:
    return replayed(EVENTS)


def test_the_first_line_comes_within_five_seconds_and_none_is_waited_for_a_minute(log: Log) -> None:
    assert log.lines[0][0] <= 5
    assert log.longest_gap <= NEVER


def test_the_recording_has_silences_that_only_the_view_breaks() -> None:
    spoken = [event["at"] for event in EVENTS]
    assert max(later - earlier for earlier, later in itertools.pairwise(spoken)) > NEVER


def test_each_image_has_its_phases_with_their_seconds(log: Log) -> None:
    lines = [line for _, line in log.lines]
    images = [event["name"] for event in EVENTS if event["call"] == "done" and event["fresh"]]
    assert len(images) >= 3
    for name in images:
        timed = {found[1] for line in lines if (found := re.fullmatch(rf"{name}: (\w+) took \d+ s", line))}
        assert {"installing", "compressing", "unpacking"} <= timed, name
        assert f"{name}: building" in lines
    assert [line for line in lines if re.fullmatch(r"base/\w+: bootstrapping took \d+ s", line)]


def test_the_engine_is_said_too(log: Log) -> None:
    lines = [line for _, line in log.lines]
    assert lines[0].startswith("engine: fetching")
    assert [line for line in lines if re.fullmatch(r"engine: starting took \d+ s", line)]


def test_what_takes_long_is_said_again_and_again() -> None:
    events = [
        {"at": 0, "call": "start", "name": "pytorch"},
        {"at": 0, "call": "phase", "name": "pytorch", "text": "compressing"},
        {"at": 10, "call": "phase", "name": "mxnet", "text": "waiting for pytorch (in /x, process 7)"},
        {"at": 125, "call": "phase", "name": "pytorch", "text": ""},
        {"at": 125, "call": "end"},
    ]
    log = replayed(events)
    mine = [line for _, line in log.lines if line.startswith("pytorch")]
    assert mine[2:] == [f"pytorch: compressing, {30 * n} s" for n in (1, 2, 3, 4)] + [
        "pytorch: compressing took 125 s"
    ]
    assert "mxnet: waiting for pytorch (in /x, process 7), 90 s" in [line for _, line in log.lines]


def test_what_has_ended_is_not_said_again() -> None:
    events = [
        {"at": 0, "call": "start", "name": "a"},
        {"at": 0, "call": "phase", "name": "a", "text": "installing"},
        {"at": 5, "call": "failed", "name": "a", "what": "a broke"},
        {"at": 6, "call": "failed", "name": "b", "what": None},
        {"at": 7, "call": "phase", "name": "this build", "text": "x"},
        {"at": 8, "call": "phase", "name": "this build", "text": ""},
        {"at": 300, "call": "end"},
    ]
    assert replayed(events).lines[-1] == (8, "this build: x took 1 s")


def test_it_beats_by_itself_and_ends() -> None:
    target = io.StringIO()
    ticks = itertools.count(0, 40)
    with BuildView(Console(file=target, width=240), lambda: float(next(ticks))) as watch:
        watch.phase("a", "compressing")
        while "compressing, " not in target.getvalue():
            pass
    said = target.getvalue()
    assert not [one for one in threading.enumerate() if one.name == "beat"]
    assert target.getvalue() == said


def shown(terminal: bool = False) -> str:
    """What a build of three images looks like."""
    target = io.StringIO()
    console = Console(file=target, force_terminal=terminal, width=100, soft_wrap=True, highlight=False)
    with BuildView(console) as watch:
        watch.phase("this build", "waiting for another build (in /x, process 7)")
        watch.phase("this build", "")
        watch.start("base/trixie")
        watch.phase("base/trixie", "bootstrapping")
        watch.step("base/trixie", "Unpacking  libc6\n[bold]")
        watch.done("base/trixie", BUILT, fresh=True)
        watch.done("cuda/1.0", BUILT, fresh=False)
        watch.failed("torchy", BuildFailed("torchy was not built: [red]E", "Mend it."))
        watch.failed("child", None)
    return target.getvalue()


def test_a_build_in_a_log_is_a_plain_line_per_event() -> None:
    assert shown().splitlines() == [
        "this build: waiting for another build (in /x, process 7)",
        "this build: waiting for another build (in /x, process 7) took 0 s",
        "base/trixie: building",
        "base/trixie: bootstrapping",
        "base/trixie: bootstrapping took 0 s",
        "base/trixie: built in 61 s, 1.23 GB compressed, 4.00 GB on disk",
        "cuda/1.0: up to date, 1.23 GB compressed, 4.00 GB on disk",
        "torchy: torchy was not built: [red]E",
        "child: not built: its parent was not",
    ]


def test_a_build_in_a_terminal_is_a_table() -> None:
    text = shown(terminal=True)
    assert "\x1b[" in text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "base/trixie: building" not in plain
    for name in ("base/trixie", "cuda/1.0", "torchy", "child"):
        assert name in plain
    assert text.rstrip().endswith("\x1b[?25h")  # the cursor is back


def test_the_cursor_comes_back_after_a_failure() -> None:
    target = io.StringIO()

    def fail() -> None:
        with BuildView(Console(file=target, force_terminal=True, width=80)) as watch:
            watch.start("x")
            raise UsageError("a", "b")

    with pytest.raises(UsageError):
        fail()
    assert target.getvalue().rstrip().endswith("\x1b[?25h")
