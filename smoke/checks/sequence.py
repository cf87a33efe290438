"""sequence: a recurrent network on real text, line by line; its graph is as long as the line.

The gate is what a table of character pairs reaches on the same test lines: a network that does not carry anything
from one character to the next can do no better than that.
"""

from __future__ import annotations

from collections.abc import Iterator

from smoke import data
from smoke.checks.context import Bench
from smoke.report.result import Result, judged, metric, not_run

SEED = 1
REMEDY = "The network did not learn from its recurrence: look at the gradients through time."


def run(_process: str, bench: Bench) -> Iterator[Result]:
    """One result."""
    reason = bench.cannot("sequence")
    if reason:
        yield not_run("sequence.text", "sequence", reason)
        return
    lines = data.lines()
    found = bench.framework.train_sequence(lines, SEED)
    metrics = [
        metric("bits", found["bits"], bench.gates["sequence"]["bits"], "<"),
        metric("last_loss", found["losses"][-1]),
        metric("seconds_per_step", found["seconds_per_step"]),
    ]
    yield judged("sequence.text", "sequence", metrics, remedy=REMEDY)
