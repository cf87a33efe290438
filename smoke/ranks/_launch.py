"""Starts the ranks of one computation, and ends all of them as soon as one cannot go on. Standard library only.

A rank that is killed leaves the others waiting for it, and so does one that hangs: each framework waits for minutes,
or for ever, and few say for whom. Whoever started them knows.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Optional

from smoke.ranks import HOST

TICK = 0.02
KEPT_OUTPUT = 2048
LONGEST_MARK = 256  # bytes of a line that says what a rank begins
GONE_SECONDS = 5.0  # in which what was killed is to be gone


@dataclass(frozen=True)
class Limits:
    """Seconds for all that the ranks do; and in which one at least must get on, while none starts or compiles."""

    whole: float = 240.0
    still: float = 20.0


@dataclass(frozen=True)
class Launched:
    """How the ranks ended. ``reason`` is empty if all did what they had to; else it names ``blamed``, if it is one.

    ``answers`` has for each rank its answers by task. ``seconds`` went by from the last sign of the blamed rank until
    all were ended; ``left`` counts processes that were still there then.
    """

    answers: tuple[Mapping[str, Mapping[str, Any]], ...]
    reason: str = ""
    blamed: Optional[int] = None
    output: str = ""
    seconds: float = 0.0
    left: int = 0


@dataclass
class _Child:
    """A rank's process, and the file in which it writes down how far it has come."""

    rank: int
    process: subprocess.Popen[bytes]
    out: Path
    log: Path
    ended: Optional[int] = field(default=None)
    early: bool = field(default=False)  # it ended with 0, and had not done all

    def lines(self) -> list[dict[str, Any]]:
        """What it has written; of a process that was killed, the last line may be broken off."""
        found = []
        for text in self.out.read_text(encoding="utf-8").split("\n"):
            with contextlib.suppress(ValueError):
                found.append(json.loads(text))
        return [one for one in found if isinstance(one, dict)]

    def where(self) -> str:
        """What it began last."""
        return next((str(one["at"]) for one in reversed(self.lines()) if "at" in one), "its start")

    def has_left(self) -> bool:
        """Whether it has done all that it had to."""
        return any(one.get("answer") == "leave" for one in self.lines())

    def is_slow(self) -> bool:
        """Whether it is at what may take long: it starts, compiles, or takes up something new."""
        if self.ended is not None:
            return False
        with self.out.open("rb") as file:
            file.seek(max(0, self.out.stat().st_size - LONGEST_MARK))
            last = file.read().rstrip().rpartition(b"\n")[2]
        try:
            line = json.loads(last)
        except ValueError:  # nothing yet, or a long answer
            return True
        return bool(line.get("slow", line.get("answer") != "leave"))


class _Blame(NamedTuple):
    reason: str
    rank: Optional[int]


def launch(
    commands: Sequence[Sequence[str]], folder: Path, variables: Mapping[str, str], limits: Optional[Limits] = None
) -> Launched:
    """Runs one command a rank until all have ended well, or one cannot go on; then none is left.

    Rank r writes to ``folder``/rank-r.jsonl. ``variables`` are added to the environment.
    """
    children: list[_Child] = []
    try:
        for rank, command in enumerate(commands):
            children.append(_started(rank, command, folder, variables))
        blame = _watched(children, limits or Limits())
    finally:
        left = _end(children)
    now = time.time()
    answers, wrong = _answers(children)
    blame = blame or wrong
    if blame is None:
        return Launched(answers, left=left)
    told = children if blame.rank is None else [children[blame.rank]]
    since = min(one.out.stat().st_mtime for one in told)
    output = "\n".join(text for text in map(_tail, told) if text)
    return Launched(answers, blame.reason, blame.rank, output, now - since, left)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in sockets]


def out_of(folder: Path, rank: int) -> Path:
    """The file in which a rank writes down how far it has come."""
    return folder / f"rank-{rank}.jsonl"


def _started(rank: int, command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> _Child:
    out, log = out_of(folder, rank), folder / f"rank-{rank}.log"
    out.write_text("")
    with log.open("wb") as file:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=str(folder),
            env={**os.environ, **variables},
            start_new_session=True,
        )
    return _Child(rank, process, out, log)


def _watched(children: Sequence[_Child], limits: Limits) -> Optional[_Blame]:
    """Waits until all have ended well; else who is to blame."""
    seen: list[tuple[int, Optional[int]]] = []
    start = since = time.monotonic()
    slow = True
    while True:
        died = [one for one in children if _has_died(one)]
        if died:
            # Where one was killed, the others soon fail over it: a signal comes first, then who just went away.
            first = min(died, key=lambda one: one.ended or 0)
            return _Blame(_ending(first), first.rank)
        if all(one.ended == 0 for one in children):
            return None
        now, told = time.monotonic(), [(one.out.stat().st_size, one.ended) for one in children]
        if told != seen:
            seen, since = told, now
            slow = any(one.is_slow() for one in children)
        if now - start > limits.whole or (not slow and now - since > limits.still):
            return _stuck(children, now - since)
        time.sleep(TICK)


def _has_died(child: _Child) -> bool:
    """Whether it has ended badly, or too early. It is not reaped: so its number stays that of its group."""
    if child.ended is None:
        found = os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is not None:
            child.ended = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            child.early = child.ended == 0 and not child.has_left()
    return bool(child.ended) or child.early


def _ending(child: _Child) -> str:
    """How a rank ended that should not have."""
    code = child.ended or 0
    if code < 0:
        return f"rank {child.rank} was killed by signal {-code} ({_signal_name(-code)}) at {child.where()}"
    if code:
        return f"rank {child.rank} ended with {code} at {child.where()}"
    return f"rank {child.rank} ended at {child.where()}, before it was done"


def _signal_name(number: int) -> str:
    """Real-time signals have none in Python."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a real-time signal"


def _stuck(children: Sequence[_Child], seconds: float) -> _Blame:
    """The rank that has come least far is the one that the others wait for."""
    far = {one.rank: len(one.lines()) for one in children}
    behind = [one for one in children if far[one.rank] == min(far.values())]
    places = ", ".join(f"rank {one.rank} is at {one.where()}" for one in children)
    if len(behind) == 1:
        (only,) = behind
        return _Blame(f"rank {only.rank} hangs: no rank got on for {seconds:.0f} s ({places})", only.rank)
    return _Blame(f"no rank got on for {seconds:.0f} s, and none is behind the others ({places})", None)


def _end(children: Sequence[_Child]) -> int:
    """Ends all of them with what they started; returns how many processes are left all the same."""
    groups = {one.process.pid for one in children}
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    for one in children:
        one.process.wait()
    until = time.monotonic() + GONE_SECONDS
    while True:
        left = sum(group in groups for group in _groups())
        if not left or time.monotonic() > until:
            return left
        time.sleep(TICK)


def _groups() -> Iterator[int]:
    """The process group of each process that has not ended."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, _parent, group = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
            if state not in "ZX":
                yield int(group)


def _answers(children: Sequence[_Child]) -> tuple[tuple[Mapping[str, Mapping[str, Any]], ...], Optional[_Blame]]:
    """Each rank's answers by their task, and who answered twice."""
    found: list[Mapping[str, Mapping[str, Any]]] = []
    wrong: Optional[_Blame] = None
    for child in children:
        own: dict[str, Mapping[str, Any]] = {}
        for line in child.lines():
            if "answer" in line:
                task = str(line.pop("answer"))
                if task in own:
                    wrong = wrong or _Blame(f"rank {child.rank} answered {task} twice", child.rank)
                own[task] = line
        found.append(own)
    return tuple(found), wrong


def _tail(child: _Child) -> str:
    with child.log.open("rb") as file:
        file.seek(max(0, child.log.stat().st_size - KEPT_OUTPUT))
        return file.read().decode("utf-8", "replace").strip()
