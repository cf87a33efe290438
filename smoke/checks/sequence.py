"""sequence: a recurrent network on real text, line by line; its graph is as long as the line.

The gate is what a table of character pairs reaches on the same test lines: a network that does not carry anything
from one character to the next can do no better than that.
"""

from __future__ import annotations

from collections.abc import Iterator

from smoke import data
from smoke.checks.context import Context
from smoke.report.result import Result, judged, metric

ID = "sequence.text"
SEED = 1
REMEDY = "The network did not learn from its recurrence: look at the gradients through time."


def run(_process: str, context: Context) -> Iterator[Result]:
    """One result."""
    yield context.refused("sequence", ID) or _trained(context)


def _trained(context: Context) -> Result:
    training = context.framework.train_sequence(data.lines(), SEED)
    metrics = [
        metric("bits", training["bits"], context.gates["sequence"]["bits"], "<"),
        metric("last_loss", training["losses"][-1]),
        metric("seconds_per_step", training["seconds_per_step"]),
    ]
    return judged(ID, "sequence", metrics, remedy=REMEDY)
