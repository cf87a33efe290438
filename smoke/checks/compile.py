"""compile: the parity problem again, each step compiled by the framework's own compilers, against the same gates."""

from __future__ import annotations

from collections.abc import Iterator

from smoke import reference
from smoke.checks import parity
from smoke.checks.context import Bench
from smoke.report.result import Result, judged, metric, not_run

REMEDY = "The compiler needs what the image lacks (a C++ compiler, a writable cache), or miscompiles."


def run(_process: str, bench: Bench) -> Iterator[Result]:
    """A result for each compiler."""
    reason = bench.cannot("compile")
    if reason:
        yield not_run("compile", "compile", reason)
        return
    problem = reference.problem()
    trial = parity.Trial.of(bench, problem, reference.train(problem), "f32")
    for compiler in bench.load().COMPILERS:
        check_id = "compile." + compiler
        found = bench.framework.train_compiled(problem, "f32", compiler)
        result = parity.judge(check_id, "compile", found, trial)
        counted = metric("compiled", found["compiled"], bench.gates["compile"]["compiled"], ">=")
        yield judged(check_id, "compile", (*result.metrics, counted), result.requested, result.observed, REMEDY)
