"""everyday.modules: each public module of the framework's package can be imported.

The list is the package's own: the files that lie in it. What imports something that the image leaves out, or that is
gone, stands in the plan, with what adds it; once it can be imported, it is to go from there.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from smoke.checks.context import Context
from smoke.checks.static.judge import judge
from smoke.report.result import Result, metric

ID = "everyday.modules"
REMEDY = "Import it by hand; put in what it imports, or say in [left_out] of image.toml what adds it."
DEPTH = 3  # names in a module's name: torch.utils.tensorboard, and none below that
NOT_PUBLIC = {"test", "tests", "testing", "conftest", "setup"}
MARGIN = 20  # seconds that are left to say how far it came
MOST_CRASHES = 10
# How a module fails otherwise than by an exception.
ENDED = "ended the process with"
LATE, NOT_REACHED = "came to no end in time", "was not reached"
NO_EXCEPTION = (LATE, NOT_REACHED)
# Says which module it is at before it imports it, so that a crash has a name.
PROGRAM = """
import importlib, json, os, sys
told = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
names = json.load(open(sys.argv.pop()))
for name in names:
    print(json.dumps([name]), file=told, flush=True)
    try:
        importlib.import_module(name)
        wrong = ""
    except BaseException as why:
        wrong = f"{type(why).__name__}: {why}"
    print(json.dumps([name, wrong]), file=told, flush=True)
os._exit(0)
"""


def run(_process: str, context: Context) -> Iterator[Result]:
    """One result, of all modules."""
    names = public(context.plan.module)
    found = imported(names, context.scratch, context.plan.seconds_per_check - MARGIN)
    yield judge_modules(found, context.plan.left_out, context.gates["everyday"]["tried"])


def public(package: str) -> list[str]:
    """The names of a package's public modules, with its own; nothing is imported."""
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return [package, *sorted({name for folder in folders for name in _below(Path(folder), package)} - {package})]


def _below(folder: Path, name: str) -> Iterator[str]:
    if name.count(".") + 1 >= DEPTH:
        return
    for path in folder.iterdir():
        stem = path.name.partition(".")[0]
        if stem.startswith("_") or stem in NOT_PUBLIC or not stem.isidentifier():
            continue
        if path.is_dir() and (path / "__init__.py").is_file():
            yield f"{name}.{stem}"
            yield from _below(path, f"{name}.{stem}")
        elif path.suffix == ".py" or _is_extension(path):
            yield f"{name}.{stem}"


def _is_extension(path: Path) -> bool:
    """A compiled module, named for this Python or for all; other libraries lie in packages too."""
    return path.name.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES[:-1])) and path.is_file()


def imported(names: Sequence[str], scratch: Path, seconds: float) -> dict[str, str]:
    """Imports them one after another; of each what is wrong, empty if nothing. After a crash it goes on."""
    found: dict[str, str] = {}
    end, crashes = time.monotonic() + seconds, 0
    while len(found) < len(names) and crashes <= MOST_CRASHES:
        left = [name for name in names if name not in found]
        began, how = _session(left, scratch, end - time.monotonic(), found)
        if len(found) < len(names):
            crashes += 1
            found[began or left[0]] = how
    found.update({name: NOT_REACHED for name in names if name not in found})
    return found


def _session(names: Sequence[str], scratch: Path, seconds: float, found: dict[str, str]) -> tuple[str, str]:
    """One process's imports, taken into ``found``; where it ended before its time: in which module, and how."""
    folder = Path(tempfile.mkdtemp(prefix="modules-", dir=str(scratch)))
    (folder / "names.json").write_text(json.dumps(names))
    how, out = "", b""
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(folder / "names.json")],
            cwd=str(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=max(seconds, 1),
            check=False,
        )
        out, how = done.stdout, f"{ENDED} {done.returncode}"
    except subprocess.TimeoutExpired as late:
        out, how = late.stdout or b"", LATE
    began = ""
    for line in out.decode("utf-8", "replace").splitlines():
        try:
            name, *wrong = json.loads(line)
        except ValueError:
            continue
        began = name
        if wrong:
            found[name] = wrong[0][:300]
    return began if began not in found else "", how


def judge_modules(found: Mapping[str, str], left_out: Mapping[str, str], least: str) -> Result:
    """``found`` says of each module what is wrong; ``left_out`` are those of which the plan says what adds it."""
    wrong = [f"{name}: {what}" for name, what in found.items() if what and name not in left_out]
    for name in left_out:
        what = found.get(name, "")
        if not what:
            wrong.append(f"{name} can be imported, or is not there, and image.toml says what it lacks")
        elif what in NO_EXCEPTION or what.startswith(ENDED):
            wrong.append(f"{name} {what}, and image.toml says that it lacks something")
    metrics = [metric("tried", len(found), least, ">="), metric("left_out", len(left_out))]
    return judge(ID, wrong, metrics, REMEDY, "modules")
