"""P4 faults on purpose: what would go unseen if the checks were blind, each judged by the same code as the real run.

A check that lets one through is not a check, and a certificate with such a check in it is void.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Callable, Union

from smoke import gates, reference
from smoke.checks import device, parity
from smoke.checks.context import Context
from smoke.reference import Problem
from smoke.report.result import Fault, Result, judged, metric

Training = Callable[[Any, Problem], Mapping[str, Any]]


def _learning_rate(framework: Any, problem: Problem) -> Mapping[str, Any]:
    return framework.train_parity(dataclasses.replace(problem, lr=problem.lr * 1.001), "f32", "")


def _weights(framework: Any, problem: Problem) -> Mapping[str, Any]:
    moved = {name: value + 1e-4 for name, value in problem.weights.items()}
    return framework.train_parity(dataclasses.replace(problem, weights=moved), "f32", "")


def _bias(framework: Any, problem: Problem) -> Mapping[str, Any]:
    return framework.train_parity(problem, "f32", "bias-gradient-dropped")


def _tf32(framework: Any, problem: Problem) -> Mapping[str, Any]:
    return framework.train_parity(problem, "f32", "inputs-tf32")


TRAININGS: dict[str, Training] = {
    "lr-1.001": _learning_rate,
    "weights-1e-4": _weights,
    "bias-gradient-dropped": _bias,
    "inputs-tf32": _tf32,
}


def run(_process: str, context: Context) -> Iterator[Union[Fault, Result]]:
    """Each fault, then a result that counts those let through."""
    faults = [*_trainings(context), _fallback(context)]
    yield from faults
    missed = [one.id for one in faults if one.state != "fail"]
    missed += sorted(gates.faults() - {one.id for one in faults})
    gate = context.gates["faults"]["let_through"]
    result = judged("P4.faults", "faults", [metric("let_through", len(missed), gate)])
    yield dataclasses.replace(result, reason="let through: " + ", ".join(missed)) if missed else result


def _trainings(context: Context) -> Iterator[Fault]:
    problem = reference.problem()
    right = reference.train(problem)
    trial = parity.Trial.of(context, problem, right, "f32")
    for name, training in TRAININGS.items():
        found = training(context.framework, problem)
        verdict = parity.judge("P2.train.f32", "parity", found, trial)
        yield Fault(name, verdict.id, verdict.state, verdict.metrics, verdict.reason)


def _fallback(context: Context) -> Fault:
    """Computes on the CPU and claims that it was a GPU."""
    verdict = device.judge("gpu", context.framework.device_evidence("cpu"), context.gates["device"])
    return Fault("cpu-fallback", verdict.id, verdict.state, verdict.metrics, verdict.reason)
