"""E1 static: the image is whole, found without a GPU or a driver. Five results, and a fault put in on purpose.

What is judged here is gathered in ``smoke.installed``: ``survey`` (files), ``loading`` (libraries, each loaded in its
own process), ``contract`` and ``packages``. The sixth result is that of ``smoke.checks.loaded``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from smoke.checks.context import Context
from smoke.checks.static.closure import hidden, judge_closure, load
from smoke.checks.static.coverage import facts, gpu_capabilities, judge_coverage
from smoke.checks.static.driver import judge_driver
from smoke.checks.static.judge import NO_CUDA
from smoke.checks.static.packages import judge_contract, judge_packages
from smoke.installed import nvrtc
from smoke.installed.survey import survey
from smoke.machine import host
from smoke.report.result import Fault, Result, not_run


def run(_process: str, context: Context) -> Iterator[Union[Result, Fault]]:
    """The five results; those about CUDA only where it is promised."""
    # First, as it reads all files from end to end: what the others read here and there is then in memory.
    yield judge_packages(survey(Path(sys.prefix), code=False), context)
    found = nvrtc.with_run_time_code(survey(Path(sys.prefix)))
    label = context.plan.labels.get("cuda", "")
    if label:
        outcomes = load(found)
        yield judge_closure(found, outcomes, context.plan)
        yield hidden(found, context.scratch / "view", context.plan)
        yield judge_coverage(found, gpu_capabilities(context.plan.device))
        yield judge_driver(outcomes, host.describe(context.plan.device)["driver"])
        context.facts.update(facts(found, outcomes))
    else:
        for name in ("closure", "coverage", "driver"):
            yield not_run("static." + name, "static", NO_CUDA)
    yield judge_contract(found, context)
