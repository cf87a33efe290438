"""What does it cost to have? Room on the disk, licences, and seconds until it works.

Seconds are shown and decide nothing: each is from a fresh process, and the first of them may also have read the files
from the disk. How many bytes are downloaded, an image cannot know: `assay images` says it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import numpy as np

from cost import _licences

TITLE = "What does it cost to have?"
CLAIM = "Caffe is efficient in speed and memory."
KIND = "facts"
QUIET = True  # there are seconds among the answers
CELLS = {
    "disk": "Bytes, files and distributions of the environment",
    "import": "Seconds until it is imported",
    "first-step": "Seconds from the import to the end of the first step of training",
    "licences": "Licences of the distributions, by their metadata",
}
TIMES = {"import": 5, "first-step": 3}  # fresh processes
GATE = 1e-5  # of how far the weights after the step, in float32, may be from float64
RATE = 0.1

# Runs the framework's file in a process of its own: seconds of its import and of its first step, and what came out.
_FRESH = """
import importlib.util, json, sys, time
spec = importlib.util.spec_from_file_location("program", sys.argv[1])
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
import numpy
rows, targets = (numpy.array(one, numpy.float32) for one in json.loads(sys.argv[2]))
start = time.perf_counter()
program.imported()
imported = time.perf_counter()
weights = program.first_step(rows, targets, float(sys.argv[3])) if len(sys.argv) > 3 else []
end = time.perf_counter()
print("\\n" + json.dumps([imported - start, end - imported, numpy.asarray(weights, float).ravel().tolist()]))
"""


def program(cell: str) -> str:
    """The function of a framework's file."""
    return "first_step" if cell == "first-step" else "imported"


def measure(cell: str, function: Callable[..., Any], task: SimpleNamespace) -> dict[str, Any]:
    """The answer of a cell."""
    file = task.module.__file__
    return {"disk": _disk, "import": _import, "first-step": _first_step, "licences": _summed}[cell](file)


def _disk(_: str) -> dict[str, Any]:
    return {"values": {**room(Path(sys.prefix)), "distributions": len(distributions())}, "lines": 0}


def _import(file: str) -> dict[str, Any]:
    seconds = [_fresh(file)[0] for _ in range(TIMES["import"])]
    return {"values": {"seconds": statistics.median(seconds), "each": seconds}}


def _first_step(file: str) -> dict[str, Any]:
    rows, targets = problem()
    expected = stepped(rows, targets)
    seconds, differences = [], []
    for _ in range(TIMES["first-step"]):
        _, taken, weights = _fresh(file, str(RATE))
        seconds.append(taken)
        assert len(weights) == expected.size, f"{len(weights)} weights came out, and {expected.size} belong there"
        differences.append(float(np.abs(np.array(weights) - expected).max()))
    assert max(differences) <= GATE, f"the weights are {max(differences):.2g} away from float64"
    return {"values": {"seconds": statistics.median(seconds), "each": seconds, "difference": max(differences)}}


def _summed(_: str) -> dict[str, Any]:
    return {"values": _licences.summed(distributions()), "lines": 0}


def _fresh(file: str, *rate: str) -> tuple[float, float, list[float]]:
    """Seconds of the import, seconds of the first step, and the weights after it."""
    data = json.dumps([one.tolist() for one in problem()])
    command = [sys.executable, "-c", _FRESH, file, data, *rate]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    imported, step, weights = json.loads(done.stdout.strip().splitlines()[-1])
    return round(imported, 4), round(step, 4), weights


def problem() -> tuple[np.ndarray, np.ndarray]:
    """Rows (8, 3) and targets (8, 1), float32."""
    rows = np.sin(1.0 + np.arange(24)).reshape(8, 3).astype(np.float32)
    return rows, rows.sum(1, keepdims=True)


def stepped(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The weights of a line without bias after one step from zero, by the mean of the squared errors; float64."""
    rows, targets = rows.astype(np.float64), targets.astype(np.float64)
    return (RATE * 2 * rows.T @ targets / len(rows)).ravel()


def room(folder: Path) -> dict[str, Any]:
    """Bytes and files below a folder; a file with several names counts once, a link not at all."""
    seen: set[tuple[int, int]] = set()
    total = cuda = 0
    for where, _, names in os.walk(folder):
        nvidia = "nvidia" in Path(where).relative_to(folder).parts
        for name in names:
            found = os.lstat(os.path.join(where, name))  # noqa: PTH118 -- a hundred thousand files
            if (found.st_dev, found.st_ino) in seen or os.path.islink(os.path.join(where, name)):  # noqa: PTH114, PTH118
                continue
            seen.add((found.st_dev, found.st_ino))
            total += found.st_size
            cuda += found.st_size if nvidia else 0
    return {"bytes": total, "nvidia_bytes": cuda, "files": len(seen)}


def distributions() -> list[Any]:
    """The distributions of this environment, each once."""
    found: dict[str, Any] = {}
    for one in metadata.distributions():
        found.setdefault(str(one.metadata["Name"]).lower().replace("_", "-"), one)
    return [found[name] for name in sorted(found)]
