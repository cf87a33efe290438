"""checkpoint: ten steps, saved in the framework's own format, loaded in a fresh process, ten more: as if never saved.

Bit for bit, since both processes run with the framework's switches for determinism on: a checkpoint that forgets the
momentum, or rounds, does not give the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from smoke import reference
from smoke.checks.context import Context
from smoke.report.result import Result, judged, metric

ID = "checkpoint.f32"
SAVED_AT = 10
REMEDY = "What is saved is not all that training needs: compare the weights, then the optimizer's state."


def run(process: str, context: Context) -> Iterator[Result]:
    """``first`` trains through, and saves half-way; ``second`` goes on from there and compares."""
    refused = context.refused("checkpoint", ID)
    if refused:
        if process == "second":
            yield refused
        return
    problem, folder, whole = reference.problem(), context.scratch / "checkpoint", context.scratch / "whole.npz"
    if process == "first":
        folder.mkdir()
        context.framework.save_checkpoint(problem, "f32", SAVED_AT, str(folder))
        found = context.framework.train_parity(problem, "f32", "")
        np.savez(str(whole), losses=found["losses"], **found["weights"])
        return
    found = context.framework.continue_checkpoint(problem, "f32", str(folder))
    with np.load(str(whole)) as right:
        weights = max(_difference(found["weights"][name], right[name]) for name in reference.NAMES)
        loss = _difference(found["losses"], right["losses"][SAVED_AT:])
    gates = context.gates["checkpoint"]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    metrics = [metric("weights", weights, gates["weights"]), metric("loss", loss, gates["loss"])]
    yield judged(ID, "checkpoint", [*metrics, metric("bytes", size, gates["bytes"], ">=")], remedy=REMEDY)


def _difference(found: object, right: np.ndarray) -> float:
    """The largest absolute difference; infinite if the shapes differ."""
    values = np.asarray(found, np.float64)
    return float(np.max(np.abs(values - right))) if values.shape == right.shape else float("inf")
