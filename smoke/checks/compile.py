"""compile: the parity problem again, each step compiled by the framework's own compilers, against the same gates."""

from __future__ import annotations

from typing import Iterator

from smoke import reference
from smoke.bench import Bench
from smoke.checks import parity
from smoke.checks import precision as observing
from smoke.report import Result, judged, metric, not_run

REMEDY = "The compiler needs what the image lacks (a C++ compiler, a writable cache), or miscompiles."


def run(process: str, bench: Bench) -> Iterator[Result]:
    """A result for each compiler."""
    reason = bench.cannot("compile")
    if reason:
        yield not_run("compile", "compile", reason)
        return
    problem = reference.problem()
    right = reference.train(problem)
    for compiler in bench.load().COMPILERS:
        id = "compile." + compiler
        found = bench.framework.train_compiled(problem, "f32", compiler)
        observed = observing.observed(bench.framework, "f32")
        result = parity.judge(id, "compile", found, problem, right, bench, "f32", observed)
        counted = metric("compiled", found["compiled"], bench.gates["compile"]["compiled"], ">=")
        yield judged(id, "compile", (*result.metrics, counted), result.requested, result.observed, REMEDY)
