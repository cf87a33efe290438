"""E1 static: the image is whole, found without a GPU or a driver. Five results, and a fault put in on purpose.

The facts are gathered in ``smoke.installed``, and judged in this package, which never looks at the image itself. The
sixth result is that of ``smoke.checks.loaded``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from smoke import SUITE
from smoke.checks.context import Context
from smoke.checks.static.closure import judge_closure, judge_hidden
from smoke.checks.static.contract import judge_contract
from smoke.checks.static.coverage import judge_coverage, stack_of
from smoke.checks.static.driver import judge_driver
from smoke.checks.static.judge import NO_CUDA
from smoke.checks.static.packages import added, judge_packages
from smoke.installed.closure import gather_closure, hide_one
from smoke.installed.nvrtc import with_run_time_code
from smoke.installed.packages import gather_packages
from smoke.installed.surroundings import gather_surroundings
from smoke.installed.survey import survey
from smoke.machine import host
from smoke.report.result import Fault, Result, not_run


def run(_process: str, context: Context) -> Iterator[Union[Result, Fault]]:
    """The five results; those about CUDA only where it is promised."""
    plan, prefix = context.plan, Path(sys.prefix)
    # First, as it reads all files from end to end: what the others read here and there is then in memory.
    packages = gather_packages(survey(prefix, code=False), sys.path)
    context.facts["added"] = added(packages, plan.packages)
    yield judge_packages(packages, plan.packages)
    found = with_run_time_code(survey(prefix))
    if plan.labels.get("cuda", ""):
        closure = gather_closure(found)
        yield judge_closure(closure, plan)
        yield judge_hidden(hide_one(found, context.scratch / "view"), plan)
        machine = host.describe(plan.device)
        yield judge_coverage(found, machine.capabilities)
        yield judge_driver(closure.runtime, machine.driver)
        context.facts.update(stack_of(closure))
    else:
        for name in ("closure", "coverage", "driver"):
            yield not_run("static." + name, "static", NO_CUDA)
    folders = sorted({library.path.parent for library in found.libraries})
    yield judge_contract(gather_surroundings(SUITE, host.driver(), folders), plan)
