"""cost: what the environment takes, of time and memory. Taken down, never judged: no gate hangs on a clock."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

from smoke import reference
from smoke.checks.context import Context
from smoke.report.result import Result, judged, metric


def run(_process: str, context: Context) -> Iterator[Result]:
    """Import time, the time of a parity step (second run, so nothing is set up in it), and the peak of memory."""
    problem = reference.problem()
    framework = context.framework
    framework.train_parity(problem, "f32", "")
    start = time.perf_counter()
    framework.train_parity(problem, "f32", "")
    step = (time.perf_counter() - start) / problem.steps
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    metrics = [
        metric("import_seconds", context.notes["import_seconds"]),
        metric("seconds_per_step", step),
        metric("peak_bytes", peak * 1024),
    ]
    yield judged("cost.main", "cost", metrics)
