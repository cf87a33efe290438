"""loader: worker processes hand batches over through /dev/shm, of which a container has 64 MB by default.

16 batches of 4 MiB go through 3 workers: more than 64 MB in all, far less at any one time.
"""

from __future__ import annotations

from collections.abc import Iterator

from smoke import data
from smoke.checks.context import Bench
from smoke.machine import host
from smoke.report.result import Result, judged, metric, not_run

COUNT, WORKERS = 16, 3
REMEDY = "If shared memory is short, give the container more: --shm-size=1g, or --ipc=host."


def run(_process: str, bench: Bench) -> Iterator[Result]:
    """One result; a loader that breaks is a failure with /dev/shm's size in it, not an error without a cause."""
    reason = bench.cannot("loader")
    if reason:
        yield not_run("loader.workers", "loader", reason)
        return
    framework = bench.framework
    room = metric("shm_bytes", host.shm_bytes())
    try:
        found = framework.load_batches(COUNT, WORKERS)
    except Exception as why:  # each framework wraps what its workers say in an exception of its own
        reason = f"{WORKERS} workers with {room.value} bytes of /dev/shm: {type(why).__name__}: {why}"
        yield Result("loader.workers", "loader", "fail", reason[:2000], REMEDY, metrics=(room,))
        return
    right = [data.batch_sum(index) for index in range(COUNT)]
    wrong = sum(one != other for one, other in zip(found, right)) + abs(len(found) - len(right))
    metrics = [metric("wrong", wrong, bench.gates["loader"]["wrong"]), metric("batches", len(found)), room]
    yield judged("loader.workers", "loader", metrics, remedy=REMEDY)
