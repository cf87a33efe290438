"""loader: worker processes hand batches over through /dev/shm, of which a container has 64 MB by default.

16 batches of 4 MiB go through 3 workers: more than 64 MB in all, far less at any one time.
"""

from __future__ import annotations

from collections.abc import Iterator

from smoke import data
from smoke.checks.context import Context
from smoke.machine import host
from smoke.report.result import Result, judged, metric

ID = "loader.workers"
COUNT, WORKERS = 16, 3
REMEDY = "If shared memory is short, give the container more: --shm-size=1g, or --ipc=host."


def run(_process: str, context: Context) -> Iterator[Result]:
    """One result."""
    yield context.refused("loader", ID) or _loaded(context)


def _loaded(context: Context) -> Result:
    """A loader that breaks is a failure with /dev/shm's size in it, not an error without a cause."""
    framework = context.framework
    room = metric("shm_bytes", host.shm_bytes())
    try:
        sums = framework.load_batches(COUNT, WORKERS)
    except Exception as why:  # each framework wraps what its workers say in an exception of its own
        reason = f"{WORKERS} workers with {room.value} bytes of /dev/shm: {type(why).__name__}: {why}"
        return Result(ID, "loader", "fail", reason[:2000], REMEDY, metrics=(room,))
    right = [data.batch_sum(index) for index in range(COUNT)]
    wrong = sum(came != wanted for came, wanted in zip(sums, right)) + abs(len(sums) - len(right))
    metrics = [metric("wrong", wrong, context.gates["loader"]["wrong"]), metric("batches", len(sums)), room]
    return judged(ID, "loader", metrics, remedy=REMEDY)
