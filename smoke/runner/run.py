"""Runs a plan: fresh processes, bounded in time and in output, whose findings become the report.

Standard library only. A process that crashes, hangs or is killed costs the family that it was in; the others of that
process go on in a new one.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smoke.machine import host
from smoke.plan import Plan, declared
from smoke.report.report import Report
from smoke.report.result import Result
from smoke.runner.families import FAMILIES, Family
from smoke.runner.lanes import Runner, run_stages


def wanted(plan: Plan, only: Sequence[str] = ()) -> list[Family]:
    """The families that a plan asks for, less those that no prefix in ``only`` touches."""
    asked = set(plan.workloads)
    domain = asked & set(declared(plan.framework, "WORKLOADS"))
    chosen = [one for one in FAMILIES if not one.optional or one.name in asked or (one.name == "domain" and domain)]
    if not only:
        return chosen
    return [one for one in chosen if any(_touches(prefix, one.prefix) for prefix in only)]


def run(plan: Plan, only: Sequence[str] = ()) -> Report:
    """Runs the plan and returns the report; what goes wrong in a check is in it. Raises OSError without scratch."""
    scratch = Path(tempfile.mkdtemp(prefix="smoke-"))
    runners = [Runner(plan, *part, scratch) for part in parts(plan, wanted(plan, only))]
    try:
        run_stages(runners)
    finally:
        shutil.rmtree(str(scratch), ignore_errors=True)
    results = [one for runner in runners for one in runner.results()]
    return Report(
        image=plan.image,
        plan=plan.as_json(),
        host=host.describe(plan.device).as_json(),
        stack=_stack(runners),
        results=tuple(
            sorted(
                (one for one in results if not only or any(_touches(prefix, one.id) for prefix in only)),
                key=_place,
            )
        ),
        faults=tuple(one for runner in runners for one in runner.faults()),
        complete=not only,
    )


def parts(plan: Plan, families: list[Family]) -> list[tuple[str, list[Family]]]:
    """The families of a run by backend: with each backend those about the framework, with "" what is run once."""
    if not plan.backends:
        return [("", families)]
    once = [one for one in families if one.once]
    rest = [one for one in families if not one.once]
    return [("", once), *((backend, rest) for backend in plan.backends)]


def _stack(runners: Sequence[Runner]) -> dict[str, Any]:
    """What was loaded, in the framework's own words: ``details``, or ``backends`` with the words of each."""
    told = {one.backend: one.found.stack for one in runners if one.found.stack}
    facts: dict[str, Any] = {}
    for one in runners:
        for name, value in one.found.facts.items():
            facts[name] = {**facts.get(name, {}), **value} if isinstance(value, dict) else value
    if not told:
        return facts
    framework = "{name} {version}".format_map(next(iter(told.values())))
    words = {"details": told[""]} if "" in told else {"backends": told}
    return {"python": platform.python_version(), "framework": framework, **words, **facts}


def _place(result: Result) -> int:
    """Where a result stands in the report: with those whose ids begin as its own does."""
    beginning = result.id.partition(".")[0]
    return next(at for at, one in enumerate(FAMILIES) if one.prefix.partition(".")[0] == beginning)


def _touches(prefix: str, check_id: str) -> bool:
    return check_id.startswith(prefix) or prefix.startswith(check_id + ".")
