"""everyday.programs: each program of the image's packages starts, as a user starts it.

It is asked for its help, in the image's environment and an empty folder, with nothing on standard input; one that
knows neither option for that is started without any. What upstream left broken stands in the plan, with the reason;
once it starts, it is to go from there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

from smoke.checks.context import Context
from smoke.checks.static.judge import judge
from smoke.installed.names import normal_name
from smoke.report.result import Result, metric

ID = "everyday.programs"
REMEDY = "Run it by hand; put in what it imports, or say in [programs] of image.toml why upstream's does not start."
SECONDS = 60  # for one program: TensorFlow's import takes ten of them on a slow machine
SIDE_BY_SIDE = 2
NO_PROGRAM = (126, 127)  # as a shell says that there is nothing that it can run
TRACEBACK = "Traceback (most recent call last):"
TRIED = (("--help",), ("-h",), ())


def run(_process: str, context: Context) -> Iterator[Result]:
    """One result, of all programs."""
    folder = context.scratch / "programs"
    folder.mkdir()
    names = programs(Path(sys.prefix), context.plan.packages)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        found = dict(zip(names, pool.map(lambda name: start(Path(sys.prefix, "bin", name), folder), names)))
    yield judge_programs(found, context.plan.programs, context.gates["everyday"]["tried"])


def programs(prefix: Path, packages: Iterable[str]) -> list[str]:
    """The names of the programs that these packages bring into the environment's bin, sorted."""
    wanted = {normal_name(name) for name in packages}
    found = set()
    for distribution in metadata.distributions():
        if normal_name(distribution.metadata["Name"] or "") not in wanted:
            continue
        found.update(one.name for one in distribution.entry_points if one.group == "console_scripts")
        for path in distribution.files or ():
            place = Path(os.path.normpath(str(path.locate())))
            if place.parent == prefix / "bin":
                found.add(place.name)
    return sorted(found)


def start(program: Path, folder: Path, seconds: float = SECONDS) -> str:
    """Asks a program for its help; returns what is wrong with all ways to ask, empty if it starts."""
    said = ""
    for options in TRIED:
        wrong = _start([str(program), *options], folder, seconds)
        if not wrong:
            return ""
        said = said or wrong
    return said


def _start(argv: Sequence[str], folder: Path, seconds: float) -> str:
    try:
        child = subprocess.Popen(
            argv,
            cwd=str(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as why:
        return f"cannot be run: {why.strerror}"
    try:
        said = child.communicate(timeout=seconds)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        return f"came to no end within {seconds:g} s"
    finally:
        _end(child)
    return _wrong(child.returncode, said)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends it and whatever it has started, and takes in the rest of what they say."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def _wrong(code: int, said: str) -> str:
    last = said.strip().rpartition("\n")[2][:200]
    if code < 0:
        return f"was ended by signal {-code}"
    if code in NO_PROGRAM:
        return f"ended with {code}: {last}"
    return last if TRACEBACK in said else ""


def judge_programs(found: Mapping[str, str], broken: Mapping[str, str], least: str) -> Result:
    """``found`` says of each program what is wrong; ``broken`` are those of which the plan says so."""
    wrong = [f"{name}: {what}" for name, what in found.items() if what and name not in broken]
    wrong += [f"{name} starts, and image.toml says that it does not" for name in broken if found.get(name) == ""]
    wrong += [f"{name} is not there, and image.toml names it" for name in broken if name not in found]
    metrics = [metric("tried", len(found), least, ">="), metric("left_out", len(broken))]
    return judge(ID, wrong, metrics, REMEDY, "programs")
