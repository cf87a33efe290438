"""How much memory does training take? Three of the timed networks, as written, each batch in a process of its own.

Linux keeps the peak of a process's resident memory itself (VmHWM), so no sampling can miss it. For other processes
of the group, such as a compiler, the sum over the group is sampled; the peak is the larger of
the two. A control group's memory.peak would count files in the cache, which another run can have read before.

``baseline_bytes``: after importing the framework; ``peak_bytes``: from there through the checked steps and ten more,
with everything that was built and compiled; ``steady_bytes``: the process alone, during the ten steps.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Callable

from speed import _networks as networks
from speed import question as speed
from speed._networks import Problem, Program

TITLE = "How much memory does training take?"
CLAIM = "Caffe is efficient in memory."
KIND = "timed"
MEASURES = {"peak_bytes": "the peak", "steady_bytes": "the steady steps"}
USES = ("speed",)  # whose networks these are
APART = True  # a peak is that of a process
CELLS = {
    "resnet/1": "ResNet-8, batch of 1",
    "resnet/8": "ResNet-8, batch of 8",
    "resnet/64": "ResNet-8, batch of 64",
    "gru/1": "GRU, batch of 1",
    "gru/32": "GRU, batch of 32",
    "gru/256": "GRU, batch of 256",
    "transformer/1": "Transformer, batch of 1",
    "transformer/32": "Transformer, batch of 32",
    "transformer/256": "Transformer, batch of 256",
}
STEPS = 10
EVERY = 0.01  # seconds between two looks at the group
PAGE = os.sysconf("SC_PAGE_SIZE")


def program(cell: str) -> str:
    """The network's name, a function of the file in compare/speed."""
    return cell.partition("/")[0]


def measure(cell: str, function: Callable[[Problem], Program], task: Any) -> dict[str, Any]:
    """Bytes of resident memory."""
    network, size = cell.split("/")
    speed.keep_to(task.threads)
    problem = Problem(network, "written", networks.weights(network), networks.batches(network, int(size)))
    baseline = peak_of_process()
    with Group() as group:
        _, trained, losses = speed.begun(function, problem, 1.0)
        followed = speed.followed(cell, losses)
        before = peak_of_process()
        restart_peak()
        for index in range(STEPS):
            trained.step(index % networks.TURNS)
        steady = peak_of_process()
    return {
        "values": {
            "baseline_bytes": baseline,
            "peak_bytes": max(before, steady, group.peak),
            "steady_bytes": steady,
            "processes": group.processes,
            **followed,
        }
    }


def peak_of_process() -> int:
    """The largest resident memory of this process since it began, or since restart_peak."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (kibibytes,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kibibytes) * 1024


def restart_peak() -> None:
    """The peak is from now on that of what follows (proc(5): clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


class Group:
    """Samples the resident memory of the whole process group: its peak, and the most processes at a time."""

    def __init__(self) -> None:
        self.peak, self.processes = 0, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Group:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            found = resident_of_group(os.getpgrp())
            self.peak, self.processes = max(self.peak, sum(found)), max(self.processes, len(found))
            if self._done.wait(EVERY):
                return


def resident_of_group(group: int) -> list[int]:
    """The bytes of each process of a group; one that ends meanwhile is left out."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            after_name = (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(after_name[2]) == group:
                found.append(int((place / "statm").read_text(encoding="ascii").split()[1]) * PAGE)
        except (OSError, IndexError):  # noqa: PERF203 -- processes end while they are counted
            continue
    return found
