"""python -m smoke.preflight: what this machine gives the image, before anything is trained. It imports no framework.

Exit code 0 if nothing fails, 1 if something does; 2 for a bad option, with what is wrong and what to do on stderr.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, Optional

from smoke import plan as plans
from smoke.installed import coverage
from smoke.machine import driver as drivers
from smoke.machine.cgroups import Machine
from smoke.machine.driver import Driver
from smoke.plan import Plan, PlanError
from smoke.preflight import blas, hostname, limits
from smoke.preflight.container import home, memory, processors, scratch, shared_memory, user
from smoke.preflight.finding import FAIL, OK, WARN, Finding, Promise
from smoke.preflight.folders import executable, working_folder
from smoke.preflight.gpu import gpu_findings
from smoke.preflight.processes import processes

SCHEMA = 1
# Of the compilers that frameworks have, those that write a library and load it: the others compile in memory.
COMPILERS_TO_FILES = {"inductor", "cvm"}


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
        promise = Promise(
            plan.image, plan.labels.get("cuda", ""), plans.device(options.device or "cpu"), compiles(plan)
        )
    except PlanError as wrong:
        print(f"preflight: {wrong}", file=sys.stderr)
        print(wrong.remedy, file=sys.stderr)
        return 2
    machine = Machine(os.environ, os.getuid(), cores=len(os.sched_getaffinity(0)))
    looked_at = list(findings(promise, machine, drivers.ask(machine.proc), options.coverage))
    print(json.dumps(as_json(promise, looked_at), indent=1) if options.json else table(promise, looked_at))
    return 1 if any(finding.state == FAIL for finding in looked_at) else 0


def findings(promise: Promise, machine: Machine, driver: Driver, covered: Path) -> Iterator[Finding]:
    """Everything that is looked at, in the order of the table."""
    for finding in gpu_findings(promise, driver, covered):
        # A GPU that nobody asked for may be of no use without that being a failure.
        unasked = finding.state == FAIL and promise.device != "gpu"
        yield dataclasses.replace(finding, state=WARN) if unasked else finding
    yield from container_findings(promise, machine)


def container_findings(promise: Promise, machine: Machine) -> list[Finding]:
    """What the container was given. What takes its time is begun first, and awaited last."""
    started = processes(machine)  # before all others, which would count as processes too
    name = socket.gethostname()
    address, products = hostname.ask(name), blas.start(blas.libraries())
    return [
        shared_memory(machine),
        user(machine),
        home(machine),
        working_folder(machine),
        scratch(machine),
        executable(machine, promise.compiles),
        memory(machine),
        processors(machine),
        started,
        limits.open_files(),
        *([limits.locked_memory(), limits.stack()] if promise.device == "gpu" else []),
        hostname.judge_hostname(name, address),
        blas.judge_blas(blas.finish(products)),
    ]


def compiles(plan: Plan) -> bool:
    """Whether the framework compiles at run time into libraries, which it loads from files."""
    if "compile" not in plan.workloads:
        return False
    try:
        compilers = plans.declared(plan.framework, "COMPILERS")
    except (OSError, KeyError):  # a plan of another image's framework
        return False
    # A framework that leaves the computing to PyTorch compiles with PyTorch's compiler.
    return "torch" in plan.backends or bool(COMPILERS_TO_FILES.intersection(compilers))


def as_json(promise: Promise, looked_at: list[Finding]) -> dict[str, Any]:
    """The findings as plain data, schema 1; ``state`` is the worst of theirs."""
    worst = max((finding.state for finding in looked_at), key=(OK, WARN, FAIL).index)
    return {
        "schema": SCHEMA,
        "image": promise.image,
        "device": promise.device,
        "state": worst,
        "findings": [dataclasses.asdict(finding) for finding in looked_at],
    }


def table(promise: Promise, looked_at: list[Finding]) -> str:
    """The findings as a person reads them."""
    lines = [f"{promise.image}  {promise.device}"]
    width = max(len(finding.id) for finding in looked_at)
    for finding in looked_at:
        word = finding.state if finding.state == OK else finding.state.upper()
        lines.append(f"  {word:5} {finding.id:{width}}  {finding.message}")
        if finding.remedy:
            lines.append(" " * (width + 10) + "-> " + finding.remedy)
    count = [sum(finding.state == state for finding in looked_at) for state in (OK, WARN, FAIL)]
    lines.append("{} ok, {} to be looked at, {} failed".format(*count))
    text = "\n".join(lines)
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


if __name__ == "__main__":
    sys.exit(main())
