"""P2 training parity: twenty steps of training, compared with the float64 reference of ``smoke.reference``."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from smoke import reference
from smoke.bench import PRECISIONS, Bench
from smoke.checks import precision as observing
from smoke.reference import Problem
from smoke.report import Result, judged, metric, not_run

REMEDY = "The framework trains wrongly, or in another class than asked for: compare with P0 and P1."


def run(process: str, bench: Bench) -> Iterator[Result]:
    """One result a class."""
    problem = reference.problem()
    right = reference.train(problem)
    for precision in PRECISIONS:
        id = "P2.train." + precision
        reason = bench.cannot("parity", id)
        if reason:
            yield not_run(id, "parity", reason, precision)
            continue
        observed = observing.observed(bench.framework, precision)
        found = bench.framework.train_parity(problem, precision, "")
        yield judge(id, "parity", found, problem, right, bench, precision, observed)


def judge(
    id: str,
    family: str,
    found: Mapping[str, Any],
    problem: Problem,
    right: Mapping[str, Any],
    bench: Bench,
    precision: str,
    observed: str,
) -> Result:
    """The verdict on a training, the same for the real one, the compiled ones and those with a fault in them.

    ``problem`` and ``right`` are the true ones, also where the training was given a wrong one.
    """
    gates = bench.gates["parity"][precision]
    errors = reference.errors(found, right, problem.weights)
    metrics = [metric(name, errors[name], gates[name]) for name in ("loss", "grad", "dW")]
    if found["device"] != bench.plan.device:
        observed = "{} on {}".format(observed, found["device"])
    return judged(id, family, metrics, precision, observed, REMEDY)
