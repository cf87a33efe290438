"""compile: the parity problem again, each step compiled by the framework's own compilers, against the same gates."""

from __future__ import annotations

from collections.abc import Iterator

from smoke import reference
from smoke.checks import parity
from smoke.checks.context import Context
from smoke.report.result import Result, judged, metric

REMEDY = "The compiler needs what the image lacks (a C++ compiler, a writable cache), or miscompiles."


def run(_process: str, context: Context) -> Iterator[Result]:
    """A result for each compiler."""
    refused = context.refused("compile", "compile")
    yield from [refused] if refused else _compiled(context)


def _compiled(context: Context) -> Iterator[Result]:
    problem = reference.problem()
    trial = parity.Trial.of(context, problem, reference.train(problem), "f32")
    for compiler in context.load().COMPILERS:
        check_id = "compile." + compiler
        found = context.framework.train_compiled(problem, "f32", compiler)
        result = parity.judge(check_id, "compile", found, trial)
        counted = metric("compiled", found["compiled"], context.gates["compile"]["compiled"], ">=")
        yield judged(check_id, "compile", (*result.metrics, counted), result.requested, result.observed, REMEDY)
