"""One rank: python -c START JOB, where JOB is a file that says which rank it is and what to do.

Each thing that it begins, and each answer, is appended to the job's ``out`` as a line of JSON. Standard library and
NumPy only, up to the framework.
"""

from __future__ import annotations

import ctypes
import faulthandler
import hashlib
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Callable

import numpy as np

from smoke import plan, reference
from smoke.installed.packages import installed
from smoke.ranks import Place, Share

SEED, OTHER_SEED = 1, 2
SAVED_AT = 10
NUMBERS = 4096
KINDS = {"int32": np.int32, "float32": np.float32}
FAULT_AT = 3  # the step that a rank does not begin any more: it is killed, or hangs
ORPHAN = 3
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Does what the job says; returns 0, or ORPHAN. What goes wrong ends the process, and is for the launcher."""
    # Whoever started it may be killed, or has been meanwhile: then nobody is left to end it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    job = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    if os.getppid() != job["parent"]:
        return ORPHAN
    faulthandler.enable()
    place = Place(job["rank"], job["count"], tuple(job["ports"]))
    with Path(job["out"]).open("a", encoding="utf-8") as file:
        rank = Rank(place, importlib.import_module("smoke.ranks." + job["framework"]), file, job["folder"])
        rank.begin("join")
        count, transport = rank.framework.join(place)
        rank.answer("join", {"count": count, "transport": transport, "environment": environment()})
        for task in job["tasks"]:
            rank.begin(task)
            rank.answer(task, TASKS[task](rank))
        rank.begin("leave", slow=False)
        rank.framework.leave()
        rank.answer("leave", {})
    return 0


@dataclass(frozen=True)
class Rank:
    """This rank, with its framework's file, and where it writes down how far it has come."""

    place: Place
    framework: Any
    file: IO[str]
    folder: str

    def begin(self, what: str, slow: bool = True) -> None:
        """Says what it begins: whoever does not get on is known by it. What may compile first is slow."""
        self._tell({"at": what, "slow": slow})

    def answer(self, task: str, data: Mapping[str, Any]) -> None:
        """Answers a task."""
        self._tell({"answer": task, **data})

    def rows(self, seed: int) -> tuple[int, ...]:
        """Its rows of the problem's batch."""
        return tuple(int(one) for one in self.framework.split(self.place, reference.BATCH, seed))

    def train(self, share: Share) -> dict[str, Any]:
        """What came of a training, ready for JSON."""
        found = self.framework.train(share)
        named = {
            kind: {name: np.asarray(value, np.float64).tolist() for name, value in found[kind].items()}
            for kind in ("gradients", "weights")
        }
        return {"rows": list(share.rows), "losses": [float(one) for one in found["losses"]], **named}

    def share(self, **other: Any) -> Share:
        """Its share of the problem, without a fault unless one is given."""
        problem = reference.problem()
        whole = {"rows": self.rows(SEED), "steps": problem.steps, "at": self._step}
        return Share(problem, **{**whole, **other})

    def is_bad(self) -> bool:
        """Whether it is the one that a fault is put into: the last."""
        return self.place.rank == self.place.count - 1

    def _step(self, number: int) -> None:
        self.begin(f"step {number}", slow=number == 0)

    def _tell(self, line: Mapping[str, Any]) -> None:
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()


def numbers(rank: int) -> np.ndarray:
    """What a rank adds to the sum: whole numbers, few and small enough for any order of float32 sums to be exact."""
    return np.random.RandomState(rank).randint(-(2**18), 2**18, NUMBERS)


def environment() -> str:
    """SHA-256 of what this rank runs in: its Python, all packages that it finds, and what the image is said to be.

    No process can tell the digest of the image that it runs in.
    """
    packages = {name: sorted(versions) for name, versions in installed().items()}
    told = plan.BAKED.read_text(encoding="utf-8") if plan.BAKED.exists() else ""
    return hashlib.sha256(json.dumps([sys.version, packages, told], sort_keys=True).encode()).hexdigest()


def _total(rank: Rank) -> dict[str, Any]:
    mine = numbers(rank.place.rank)
    return {name: rank.framework.total(mine.astype(kind)).tolist() for name, kind in KINDS.items()}


def _image(rank: Rank) -> dict[str, Any]:
    """The bad rank runs in an image that has a package more than those of the others."""
    other = Path(rank.folder, f"image-{rank.place.rank}")
    if rank.is_bad():
        info = other / "other-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", encoding="utf-8")
    sys.path.append(str(other))
    try:
        return {"environment": environment()}
    finally:
        sys.path.remove(str(other))


def _train(rank: Rank) -> dict[str, Any]:
    return rank.train(rank.share())


def _dropped(rank: Rank) -> dict[str, Any]:
    return rank.train(rank.share(factor=0.0 if rank.is_bad() else 1.0))


def _twice(rank: Rank) -> dict[str, Any]:
    return rank.train(rank.share(factor=2.0 if rank.is_bad() else 1.0))


def _seed(rank: Rank) -> dict[str, Any]:
    return rank.train(rank.share(rows=rank.rows(OTHER_SEED if rank.is_bad() else SEED)))


def _stale(rank: Rank) -> dict[str, Any]:
    return rank.train(rank.share(stale=SAVED_AT if rank.is_bad() else None))


def _behind(rank: Rank) -> dict[str, Any]:
    last = reference.problem().steps - 1
    return rank.train(rank.share(stale=last if rank.is_bad() else None))


def _save(rank: Rank) -> dict[str, Any]:
    return rank.train(rank.share(steps=SAVED_AT, save=rank.folder))


def _continue(rank: Rank) -> dict[str, Any]:
    return rank.train(rank.share(steps=reference.problem().steps - SAVED_AT, load=rank.folder))


def _ending(end: Callable[[], None]) -> Callable[[Rank], dict[str, Any]]:
    """A training in the midst of which the bad rank comes to an end of some kind."""

    def train(rank: Rank) -> dict[str, Any]:
        def at(number: int) -> None:
            if rank.is_bad() and number == FAULT_AT:
                end()
            rank.begin(f"step {number}", slow=number == 0)

        return rank.train(rank.share(at=at))

    return train


def _hang() -> None:
    while True:
        time.sleep(60)


TASKS: dict[str, Callable[[Rank], dict[str, Any]]] = {
    "total": _total,
    "rank-image": _image,
    "train": _train,
    "rank-dropped": _dropped,
    "rank-twice": _twice,
    "rank-seed": _seed,
    "rank-stale": _stale,
    "rank-behind": _behind,
    "save": _save,
    "continue": _continue,
    "killed": _ending(lambda: os.kill(os.getpid(), signal.SIGKILL)),
    "hung": _ending(_hang),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
