"""python -m smoke.preflight: what this machine gives the image, before anything is trained. It imports no framework.

Exit code 0 if nothing fails, 1 if something does; 2 for a bad option, with what is wrong and what to do on stderr.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, Optional

from smoke import plan as plans
from smoke.installed import coverage
from smoke.machine import driver as drivers
from smoke.machine.cgroups import Machine
from smoke.machine.driver import Driver
from smoke.plan import PlanError
from smoke.preflight.container import home, memory, processors, scratch, shared_memory, user
from smoke.preflight.finding import FAIL, OK, WARN, Finding, Promise
from smoke.preflight.gpu import gpu_findings

SCHEMA = 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise PlanError(message, "preflight --help lists the options.")


def main(arguments: Optional[list[str]] = None) -> int:
    """The command line; returns the exit code."""
    parser = _Parser(prog="preflight", description="Says what this machine gives the image, without the framework.")
    parser.add_argument("--device", help="gpu: a GPU is needed, and its absence is a failure (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print JSON, not the table")
    parser.add_argument("--plan", type=Path, default=plans.BAKED, help="the plan (default: the image's own)")
    parser.add_argument("--coverage", type=Path, default=coverage.BAKED, help=argparse.SUPPRESS)
    try:
        options = parser.parse_args(arguments)
        plan = plans.read(options.plan)
        promise = Promise(plan.image, plan.labels.get("cuda", ""), plans.device(options.device or "cpu"))
    except PlanError as wrong:
        print(f"preflight: {wrong}", file=sys.stderr)
        print(wrong.remedy, file=sys.stderr)
        return 2
    machine = Machine(os.environ, os.getuid(), cores=len(os.sched_getaffinity(0)))
    found = list(findings(promise, machine, drivers.ask(machine.proc), options.coverage))
    print(json.dumps(as_json(promise, found), indent=1) if options.json else table(promise, found))
    return 1 if any(one.state == FAIL for one in found) else 0


def findings(promise: Promise, machine: Machine, driver: Driver, covered: Path) -> Iterator[Finding]:
    """Everything that is looked at, in the order of the table."""
    for one in gpu_findings(promise, driver, covered):
        # A GPU that nobody asked for may be of no use without that being a failure.
        yield dataclasses.replace(one, state=WARN) if one.state == FAIL and promise.device != "gpu" else one
    yield shared_memory(machine)
    yield user(machine)
    yield home(machine)
    yield scratch(machine)
    yield memory(machine)
    yield processors(machine)


def as_json(promise: Promise, found: list[Finding]) -> dict[str, Any]:
    """The findings as plain data, schema 1; ``state`` is the worst of theirs."""
    worst = max((one.state for one in found), key=(OK, WARN, FAIL).index)
    return {
        "schema": SCHEMA,
        "image": promise.image,
        "device": promise.device,
        "state": worst,
        "findings": [dataclasses.asdict(one) for one in found],
    }


def table(promise: Promise, found: list[Finding]) -> str:
    """The findings as a person reads them."""
    lines = [f"{promise.image}  {promise.device}"]
    width = max(len(one.id) for one in found)
    for one in found:
        word = one.state if one.state == OK else one.state.upper()
        lines.append(f"  {word:5} {one.id:{width}}  {one.message}")
        if one.remedy:
            lines.append(" " * (width + 10) + "-> " + one.remedy)
    count = [sum(one.state == state for one in found) for state in (OK, WARN, FAIL)]
    lines.append("{} ok, {} to be looked at, {} failed".format(*count))
    text = "\n".join(lines)
    return "".join(one if one.isprintable() or one == "\n" else "?" for one in text)


if __name__ == "__main__":
    sys.exit(main())
