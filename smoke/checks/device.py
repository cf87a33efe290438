"""device: what was computed was computed where the plan says, by the framework's own account of it.

Asking whether a GPU is available proves nothing: a framework may list one and compute elsewhere. So something is
computed, and where the result lies, what was allocated there and which kernels a profiler saw is compared with the
plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from smoke.checks.context import Context
from smoke.report.result import Result, judged, metric

REMEDY = "The framework did not compute on the declared device: see its own log for why it chose another."


def run(_process: str, context: Context) -> Iterator[Result]:
    """One result: the evidence for the declared device."""
    declared = context.plan.device
    yield judge(declared, context.framework.device_evidence(declared), context.gates["device"])


def judge(declared: str, evidence: Mapping[str, Any], gates: Mapping[str, Mapping[str, str]]) -> Result:
    """The verdict on evidence: the result's device, and on a GPU memory and kernels too."""
    held = gates.get(declared, {})
    metrics = [metric(name, evidence[name], held.get(name), ">=") for name in ("bytes", "kernels")]
    return judged("device." + declared, "device", metrics, declared, evidence["device"], REMEDY)
