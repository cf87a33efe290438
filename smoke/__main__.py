"""python -m smoke: checks the environment that it runs in, and says what it found.

Exit code 0 with --report, whatever was found (the report says it, and whoever reads it judges); without --report 1 if
something failed. 2 for a plan or an option that makes no sense, with what is wrong and what to do on stderr.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, Optional

from smoke import VERSION
from smoke import plan as plans
from smoke.plan import Plan, PlanError
from smoke.report import report, table
from smoke.runner.families import check_known
from smoke.runner.run import run, wanted


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise PlanError(message, "python -m smoke --help lists the options.")


def main(arguments: Optional[list[str]] = None) -> int:
    """The command line; returns the exit code."""
    try:
        options = _options(arguments)
        plan = _plan(options)
        compared = _comparison(options.compare) if options.compare else None
    except PlanError as wrong:
        print(f"smoke: {wrong}", file=sys.stderr)
        print(wrong.remedy, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # how containers are stopped
    found = run(plan, options.only)
    data = found.as_json(VERSION)
    if options.report:
        report.write(options.report, data)
    comparison, shown = compared(data) if compared else (None, "")
    if options.json:  # the report's file stays what it is: the comparison is no evidence
        print(
            json.dumps({**data, "comparison": comparison} if comparison else data, indent=1, allow_nan=False), end=""
        )
    else:
        print(table.table(found) + shown, end="")
    return 1 if found.bad() and not options.report else 0


def _options(arguments: Optional[list[str]]) -> argparse.Namespace:
    parser = _Parser(prog="smoke", description="Checks this environment by training in it.")
    parser.add_argument("--plan", type=Path, default=plans.BAKED, help="the plan (default: the image's own)")
    parser.add_argument("--report", type=Path, help="write the report to this file")
    parser.add_argument("--device", help="cpu or gpu, instead of the plan's")
    parser.add_argument("--ranks", type=int, metavar="N", help="train, too, in N processes that compute as one")
    parser.add_argument("--json", action="store_true", help="print the report, not the table")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="ID-PREFIX", help="only these checks, for instance P2"
    )
    parser.add_argument(
        "--compare", type=Path, metavar="FILE", help="say how this run compares with a published certificate (JSON)"
    )
    options = parser.parse_args(arguments)
    if options.report and not options.report.parent.is_dir():
        raise PlanError(f"no folder {options.report.parent}", "Make it, or name another file with --report.")
    return options


def _comparison(path: Path) -> Callable[[Mapping[str, Any]], tuple[dict[str, Any], str]]:
    """Reads a published certificate; what is returned says how a report compares with it, as data and as a table.

    The modules are imported only for --compare: no certificate depends on them. Raises PlanError.
    """
    from smoke.report import compare, published

    there = published.read(path)

    def compared(data: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        found = compare.compare(there, data)
        return found, compare.table(found)

    return compared


def _plan(options: argparse.Namespace) -> Plan:
    plan = plans.read(options.plan)
    check_known(plan)
    if options.device:
        plan = dataclasses.replace(plan, device=plans.device(options.device))
    if options.ranks is not None or plan.ranks:
        asked = plan.ranks if options.ranks is None else options.ranks
        plan = dataclasses.replace(plan, ranks=plans.ranks(asked, plan.device))
    if not wanted(plan, options.only):
        raise PlanError(
            "no check begins with {}".format(" or ".join(options.only)),
            "Choose from: {}.".format(", ".join(one.prefix for one in wanted(plan))),
        )
    return plan


if __name__ == "__main__":
    sys.exit(main())
