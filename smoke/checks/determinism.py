"""P3 determinism: two fresh processes, with the switches for it on, end with the same weights, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from smoke import reference
from smoke.checks.context import Context
from smoke.report.result import Result, judged, metric

ID = "P3.determinism"
REMEDY = "Some kernel sums in an order that changes: see the framework's list of operations without determinism."


def run(process: str, context: Context) -> Iterator[Result]:
    """``first`` leaves its digest in the scratch folder, ``second`` compares."""
    refused = context.refused("determinism", ID)
    if refused:
        if process == "second":
            yield refused
        return
    digest = digest_of(context.framework.train_parity(reference.problem(), "f32", "")["weights"])
    left = context.scratch / "determinism.sha256"
    if process == "first":
        left.write_text(digest)
        return
    before = left.read_text()
    gate = context.gates["determinism"]["different"]
    metrics = [metric("different", int(digest != before), gate)]
    yield judged(ID, "determinism", metrics, before, digest, REMEDY)


def digest_of(weights: Mapping[str, Any]) -> str:
    """SHA-256 over the weights as float64, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + np.ascontiguousarray(weights[name], "<f8").tobytes())
    return digest.hexdigest()
