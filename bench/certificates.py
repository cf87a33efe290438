"""Where the seconds of certifying go.

    .venv/bin/python bench/certificates.py [FILE...]

Each file is a certificate or a bare report; without any, the certificates of this checkout. Prints for each the
seconds of its results by process and family, the processes in the order of their stages, and how long its stages
take at least: the results' seconds, placed as the runner places them, two chains side by side on the CPU. What stands
in no result is not in it: starting the container and its processes, importing the framework in each but ``main``, and
all that ``first`` does. 2 for a file that cannot be read.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from assay import certificate
from assay.certificate.report import Report
from assay.cli.console import say_table
from assay.errors import AssayError
from smoke.runner.families import FAMILIES, SIDE_BY_SIDE, STAGES

ROOT = Path(__file__).resolve().parent.parent
Spent = Mapping[tuple[str, str], Mapping[str, float]]  # by process and backend, then by family


def read(path: Path) -> Report:
    """The report in a file, bare or in a certificate. Raises `VerificationFailed`."""
    data = certificate.read_statement(path)
    if data is not None and "predicate" in data:
        return certificate.report_of(data)
    return certificate.read_report(path)


def spent(report: Report) -> Spent:
    """The seconds of the results; a family of two processes has its result in the last of them."""
    process = {family.name: family.processes[-1] for family in FAMILIES}
    backends = set(report.plan["framework"].get("backends", ()))
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for one in report.results:
        last = one.id.rpartition(".")[2]
        found[process[one.family], last if last in backends else ""][one.family] += float(one.seconds)
    return found


def shortest(found: Spent, side_by_side: int) -> float:
    """The seconds of the stages, one after another, each chain in the first place that is free."""
    total = 0.0
    backends = list(dict.fromkeys(backend for _, backend in found))
    for stage in STAGES:
        places = [0.0] * side_by_side
        for chain in stage:
            for backend in backends:
                seconds = sum(sum(found.get((process, backend), {}).values()) for process in chain)
                heapq.heapreplace(places, places[0] + seconds)
        total += max(places)
    return total


def rows(report: Report, found: Spent) -> list[tuple[str, str, str, str]]:
    """The table's rows: process and backend, its seconds, its families."""
    order = [process for stage in STAGES for chain in stage for process in chain]
    shown = []
    for (process, backend), families in sorted(found.items(), key=lambda item: order.index(item[0][0])):
        longest = sorted(families.items(), key=lambda item: -item[1])
        said = ", ".join(f"{name} {seconds:.1f}" for name, seconds in longest if seconds >= 0.05)
        shown.append((str(report.plan["image"]), f"{process} {backend}", f"{sum(families.values()):.1f}", said))
    side_by_side = SIDE_BY_SIDE if report.plan["device"] == "cpu" else 1
    return [*shown, (str(report.plan["image"]), "in all, at least", f"{shortest(found, side_by_side):.1f}", "")]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    files = parser.parse_args().files or sorted(ROOT.glob("certificates/*/*.json"))
    try:
        reports = [read(path) for path in files]
    except AssayError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    say_table(("image", "process", "seconds", "by family"), [row for one in reports for row in rows(one, spent(one))])
    return 0


if __name__ == "__main__":
    sys.exit(main())
