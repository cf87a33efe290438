"""One process of checks: python -m smoke.runner.child PROCESS FAMILIES PLAN OUT, where FAMILIES are names with
commas between them.

Each finding is appended to OUT as a line of JSON as soon as it is there, so that a crash loses only the family in
which it happened. Standard library only, up to the check that is asked for.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import importlib
import json
import sys
import time
import traceback
from pathlib import Path
from typing import IO, Any

from smoke import plan as plans
from smoke.checks.context import Context
from smoke.frameworks import Cannot, DeviceMissing
from smoke.report.result import Fault, Result
from smoke.runner.families import DETERMINISTIC, FAMILIES, UNTOUCHED


def main(arguments: list[str]) -> int:
    """Runs the families named and returns 0, whatever they found; a crash of Python itself is for the runner."""
    process, families, plan, out = arguments
    faulthandler.enable()  # a crash then leaves its stack in the output
    context = Context(plans.read(Path(plan)), Path(out).parent, deterministic=process in DETERMINISTIC)
    with Path(out).open("a", encoding="utf-8") as file:
        told = False
        for family in families.split(","):
            _tell(file, {"begin": family})
            run_family(family, process, context, file)
            if not told and context.stack() is not None:
                _tell(file, {"stack": context.stack()})
                told = True
            if context.facts:
                _tell(file, {"facts": context.facts})
                context.facts = {}
            _tell(file, {"end": family})
            if not context.importable:
                break  # the runner says so of the other families; each would try, and wait, again
    return 0


def run_family(family: str, process: str, context: Context, file: IO[str]) -> None:
    """Runs one family and writes down what it finds; an exception ends the family, and is written down too."""
    start = time.perf_counter()
    try:
        check = importlib.import_module("smoke.checks." + family)
        for found in check.run(process, context):
            now = time.perf_counter()
            switches = () if process in UNTOUCHED else context.switches(family, found.id)
            _tell(file, _finding(found, now - start, switches))
            if isinstance(found, Result):  # a fault's time counts to the result that sums the faults up
                start = now
    except (Exception, SystemExit) as why:  # SystemExit: a framework must not end the other families' process
        result = dataclasses.replace(what_went_wrong(family, why), seconds=_seconds(start))
        _tell(file, {"result": dataclasses.asdict(result)})


def what_went_wrong(family: str, why: BaseException) -> Result:
    """An exception as a result: the framework cannot, the device is missing (a failure), or an error."""
    prefix = next(one.prefix for one in FAMILIES if one.name == family)
    if isinstance(why, Cannot):
        return Result(prefix, family, "not-run", str(why))
    if isinstance(why, DeviceMissing):
        return Result(
            prefix,
            family,
            "fail",
            f"a GPU was declared and is not there: {why}",
            "Give the container the GPU (--gpus all, a driver on the host), or declare --device cpu.",
            requested="gpu",
        )
    where = traceback.extract_tb(why.__traceback__)[-1]
    said = f"{type(why).__name__}: {why} ({where.filename}, line {where.lineno})"
    return Result(prefix, family, "error", said[-2000:])


def _finding(found: Any, seconds: float, switches: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(found, Fault):
        return {"fault": dataclasses.asdict(found)}
    return {"result": dataclasses.asdict(dataclasses.replace(found, seconds=f"{seconds:.2f}", switches=switches))}


def _seconds(start: float) -> str:
    return f"{time.perf_counter() - start:.2f}"


def _tell(file: IO[str], line: dict[str, Any]) -> None:
    file.write(json.dumps(line, allow_nan=False) + "\n")
    file.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
