"""P2 training parity: twenty steps of training, compared with the float64 reference of ``smoke.reference``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smoke import reference
from smoke.checks import precision as observing
from smoke.checks.context import PRECISIONS, Context
from smoke.reference import Problem
from smoke.report.result import Result, judged, metric

REMEDY = "The framework trains wrongly, or in another class than asked for: compare with P0 and P1."


def run(_process: str, context: Context) -> Iterator[Result]:
    """One result a class."""
    problem = reference.problem()
    right = reference.train(problem)
    for precision in PRECISIONS:
        check_id = "P2.train." + precision
        refused = context.refused("parity", check_id, precision)
        if refused:
            yield refused
            continue
        trial = Trial.of(context, problem, right, precision)
        yield judge(check_id, "parity", context.framework.train_parity(problem, precision, ""), trial)


@dataclass(frozen=True)
class Trial:
    """What a training is judged by: always the true problem and its reference, also if it was given a wrong one."""

    problem: Problem
    right: Mapping[str, Any]
    gates: Mapping[str, str]
    device: str
    precision: str
    observed: str

    @classmethod
    def of(cls, context: Context, problem: Problem, right: Mapping[str, Any], precision: str) -> Trial:
        """The trial in a class of numbers, with the class that the framework's products are observed to be in."""
        observed = observing.observed(context.framework, precision)
        return cls(problem, right, context.gates["parity"][precision], context.plan.device, precision, observed)


def judge(check_id: str, family: str, found: Mapping[str, Any], trial: Trial) -> Result:
    """The verdict on a training, the same for the real one, the compiled ones and those with a fault in them."""
    errors = reference.errors(found, trial.right, trial.problem.weights)
    metrics = [metric(name, errors[name], trial.gates[name]) for name in ("loss", "grad", "dW")]
    observed = trial.observed
    if found["device"] != trial.device:
        observed = "{} on {}".format(observed, found["device"])
    return judged(check_id, family, metrics, trial.precision, observed, REMEDY)
