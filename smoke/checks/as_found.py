"""as-found: the first lines of the framework's own tutorial, in a process such as a user starts.

It has the image's environment and nothing else: no switch of the suite's, no device chosen, nothing imported before
the framework, a working folder of its own. So it sees what all other checks may have switched off: a crash when the
framework looks for a GPU, a false alarm on standard error. The program is ``FIRST_LINES`` of the framework's file;
what it may write on standard error stands in the plan.
"""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoke.checks.context import Context
from smoke.machine import host
from smoke.plan import declared
from smoke.report.result import Result, judged, metric

REMEDY = "Run the same lines in the image by hand; what is said on stderr and true can be listed in its image.toml."
MARGIN = 10  # seconds that are left to say that the program came to no end
SHOWN = 5
_PATH = re.compile(r"(?<![\w.+/-])/(?:[\w.+-]+/)+([\w.+-]+)")
MOST_LINES, LONGEST_LINE = 5000, 500
KEPT_LINES = 200  # in the report; each is judged


@dataclass(frozen=True)
class Ended:
    """How the program ended: ``how`` is empty if well; its answer, the last line that it printed; its errors."""

    how: str
    answer: str
    stderr: tuple[str, ...]
    seconds: float


def run(_process: str, context: Context) -> Iterator[Result]:
    """One result; the lines on standard error go into the report's stack."""
    plan = context.plan
    folder = context.scratch / "as-found"
    folder.mkdir()
    ended = started(declared(plan.framework, "FIRST_LINES"), folder, plan.seconds_per_check - MARGIN)
    context.facts["as_found"] = {context.backend: list(ended.stderr[:KEPT_LINES])}
    takes = declared(plan.framework, "TAKES_GPU") and (plan.device == "gpu" or host.has_gpu_device())
    yield judge(ended, "gpu" if takes else "cpu", plan.stderr, context.gates["as_found"])


def started(program: str, folder: Path, seconds: float) -> Ended:
    """Writes the program into the folder and runs it there, with this process's environment as it is."""
    path = folder / "first_lines.py"
    path.write_text(program, encoding="utf-8")
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, path.name],
            cwd=str(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=max(seconds, 1),
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return Ended(f"it came to no end within {seconds} s", "", _lines(late.stderr), time.monotonic() - start)
    answer = done.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return Ended(_how(done.returncode), answer, _lines(done.stderr), time.monotonic() - start)


def _how(code: int) -> str:
    if code < 0:
        return f"it was ended by signal {-code} ({signal.Signals(-code).name})"
    return f"it ended with exit code {code}" if code else ""


def _lines(said: object) -> tuple[str, ...]:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else ""
    lines = [_PATH.sub(_shown, line.rstrip())[:LONGEST_LINE] for line in re.split(r"[\r\n]+", text) if line.strip()]
    more = [f"and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return (*lines[:MOST_LINES], *more)


def _shown(path: re.Match[str]) -> str:
    """A path as it stands in the report: one of the machine that the framework was compiled on, by its last part."""
    return path[0] if Path(path[0]).exists() else path[1]


def judge(ended: Ended, device: str, allowed: Sequence[str], gates: Mapping[str, str]) -> Result:
    """Passes if the program did what it is to do, on the device that the framework takes, without a line too many."""
    answer = _answer(ended.answer)
    wrong = [ended.how] if ended.how else list(_wrong(answer))
    observed = _device(str(answer.get("device", "")))
    if not ended.how and observed != device:
        where = observed or "no device that it names"
        wrong.append(f"it computed on {where}, and {device} is what it takes by itself")
    unexpected = [line for line in ended.stderr if not any(re.fullmatch(one, line) for one in allowed)]
    metrics = [
        metric("wrong", len(wrong), gates["wrong"]),
        metric("unexpected_lines", len(unexpected), gates["unexpected_lines"]),
        metric("lines", len(ended.stderr)),
        metric("seconds", ended.seconds),
    ]
    result = judged("as-found", "as_found", metrics, device, observed, REMEDY)
    if result.state == "pass":
        return result
    shown = unexpected[-SHOWN:] if ended.how else unexpected[:SHOWN]  # of a crash, the last words
    told = wrong + ["stderr: " + line for line in shown]
    return dataclasses.replace(result, reason="; ".join(told))


def _answer(text: str) -> Mapping[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _wrong(answer: Mapping[str, Any]) -> Iterator[str]:
    """What of the answer is not as it must be: ones summed up, the gradient of a sum of squares, a training step."""
    if not answer:
        yield "its last line is no answer"
        return
    if answer.get("sum") != 3:
        yield f"the sum of three ones is {answer.get('sum')!r}"
    if answer.get("gradient") != [2, 2, 2]:
        yield f"the gradient of x * x at three ones is {answer.get('gradient')!r}"
    before, after = _pair(answer.get("losses"))
    if not 0 <= after < before:
        yield f"a training step brought the loss from {before} to {after}"
    if answer.get("loaded") is not True:
        yield "what was saved is not what was loaded"


def _pair(losses: Any) -> tuple[float, float]:
    if isinstance(losses, list) and len(losses) == 2 and all(isinstance(one, (int, float)) for one in losses):
        return float(losses[0]), float(losses[1])
    return float("nan"), float("nan")


def _device(words: str) -> str:
    """cpu or gpu, from a framework's own words for a device; empty if it is neither."""
    words = words.lower()
    if "cuda" in words or "gpu" in words:
        return "gpu"
    return "cpu" if "cpu" in words else ""
