"""Where the gates of training parity stand against what was observed, and where a rule would put them.

    .venv/bin/python bench/calibrate.py [--write] [--fewest N] CERTIFICATE...

Each file is a certificate or a bare report. Counted are results (plain and compiled training) that were measured in
the class that was asked for, on the device that was asked for, whether they passed or not. For each class and metric,
the rule proposes the smallest of 1, 1.2, 1.5, 2, 3, 5, 8 times a power of ten that is at least 4 times the observed
maximum, and then holds it within these bounds:

- one calibration makes a gate at most 2 times looser and at most 10 times tighter: few runs say little of the
  machines that were not seen;
- a class with fewer than N results (4 by default) is left alone;
- every injected fault in the files must still be rejected by the proposed gates.

With `--write` the proposal goes into smoke/gates.json. Nothing is written, and the exit code is 1, if the observed
maximum lies beyond the bound (then the run is to be looked at, not the gate), or if a fault would get through; 2 for
a file that cannot be read.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from assay import certificate
from assay.certificate.report import Fault, Metric, Report, Result
from assay.errors import AssayError, VerificationFailed

GATES = Path(__file__).resolve().parent.parent / "smoke/gates.json"
STEPS = tuple(Decimal(step) for step in ("1", "1.2", "1.5", "2", "3", "5", "8"))
MARGIN, LOOSER, TIGHTER, FEWEST = Decimal(4), Decimal(2), Decimal(10), 4
METRICS = ("loss", "grad", "dW")
TRAINED = ("parity", "compile")
Gates = dict[str, dict[str, str]]


@dataclass
class Observed:
    """What the files hold: per class and metric the values, per class the number of results, and the faults."""

    values: dict[tuple[str, str], list[Decimal]] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def largest(self, name: str, metric: str) -> Decimal | None:
        """The observed maximum."""
        return max(self.values.get((name, metric), ()), default=None)


@dataclass(frozen=True)
class Row:
    """One gate: ``proposed`` is what the rule gives, ``problem`` why it cannot be had."""

    name: str
    metric: str
    count: int
    largest: Decimal | None
    gate: str
    proposed: str
    problem: str = ""


def read(path: Path) -> Report:
    """The report in a file, bare or in a certificate. Raises `VerificationFailed`."""
    data = certificate.read_statement(path)
    if data is not None and "predicate" in data:
        return certificate.report_of(data)
    return certificate.read_report(path)


def observe(reports: Iterable[tuple[str, Report]], classes: Iterable[str]) -> Observed:
    """Gather what is counted. ``reports`` are pairs of a name and a report."""
    found, known = Observed(), set(classes)
    for source, report in reports:
        for result in report.results:
            if result.family in TRAINED and result.requested in known and result.state != "not-run":
                _take(found, source, result)
        names = {f"P2.train.{name}" for name in known}
        found.faults += [(source, fault) for fault in report.faults if fault.check in names]
    return found


def _take(found: Observed, source: str, result: Result) -> None:
    numbers = {metric.name: _number(metric) for metric in result.metrics if metric.name in METRICS}
    if result.requested != result.observed:
        why = f"asked for {result.requested}, observed {result.observed or 'nothing'}"
    elif set(numbers) != set(METRICS) or not all(one.is_finite() and one >= 0 for one in numbers.values()):
        why = "it was not measured in full"
    else:
        found.results[result.requested] = found.results.get(result.requested, 0) + 1
        for name, value in numbers.items():
            found.values.setdefault((result.requested, name), []).append(value)
        return
    found.left_out.append(f"{source} {result.id}: {why}")


def _number(metric: Metric) -> Decimal:
    try:
        return Decimal(metric.value)
    except ArithmeticError:
        return Decimal("NaN")


# The rule


def rounded_up(value: Decimal) -> Decimal:
    """The smallest of STEPS times a power of ten that is not below ``value``, which is above zero."""
    power = Decimal(1).scaleb(value.adjusted())
    return next((step * power for step in STEPS if step * power >= value), 10 * power)


def propose(gates: Gates, found: Observed, fewest: int = FEWEST) -> list[Row]:
    """A row for each gate, in the order of the gates."""
    return [
        _row(name, metric, table[metric], found, fewest)
        for name, table in gates.items()
        for metric in METRICS
        if metric in table
    ]


def _row(name: str, metric: str, gate: str, found: Observed, fewest: int) -> Row:
    count, largest, present = found.results.get(name, 0), found.largest(name, metric), Decimal(gate)
    if largest is None or count < fewest:
        return Row(name, metric, count, largest, gate, gate)
    lowest, highest = present / TIGHTER, present * LOOSER
    if largest > highest:
        return Row(name, metric, count, largest, gate, gate, f"more than {LOOSER} times the gate was observed")
    wanted = rounded_up(largest * MARGIN) if largest else lowest
    held = min(max(wanted, lowest), highest)
    return Row(name, metric, count, largest, gate, gate if held == present else written(held))


def written(value: Decimal) -> str:
    """As the gates are written: 1e-5, 1.2e-3."""
    mantissa = value.scaleb(-value.adjusted()).normalize()
    return f"{mantissa:f}e{value.adjusted()}"


def let_through(rows: Sequence[Row], found: Observed) -> Iterator[str]:
    """The injected faults that the proposed gates would not reject."""
    proposed = {(row.name, row.metric): Decimal(row.proposed) for row in rows}
    for source, fault in found.faults:
        name = fault.check.rpartition(".")[2]
        judged = [(_number(one), proposed.get((name, one.name))) for one in fault.metrics]
        if not any(gate is not None and (not value.is_finite() or value > gate) for value, gate in judged):
            yield f"{source}: {fault.id}"


def rewritten(text: str, rows: Sequence[Row]) -> str:
    """The gates file with the proposed gates; everything else stays as it is written."""
    for row in rows:
        inside = re.compile(rf'("{re.escape(row.name)}": \{{[^{{}}]*"{re.escape(row.metric)}": )"[^"]*"')
        start = text.index('"parity"')
        head, tail = text[:start], text[start:]
        text = head + inside.sub(rf'\g<1>"{row.proposed}"', tail, count=1)
    return text


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="calibrate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("certificates", nargs="+", type=Path, metavar="CERTIFICATE")
    parser.add_argument("--write", action="store_true", help="put the proposal into the gates file")
    parser.add_argument(
        "--fewest", type=int, default=FEWEST, metavar="N", help="leave classes with fewer results alone"
    )
    parser.add_argument("--gates", type=Path, default=GATES, help="the gates file (default: smoke/gates.json)")
    options = parser.parse_args(arguments)
    text = options.gates.read_text(encoding="utf-8")
    gates: Gates = json.loads(text)["parity"]
    try:
        reports = [(str(path), _told(path)) for path in options.certificates]
    except AssayError as wrong:
        print(f"calibrate: {wrong}", file=sys.stderr)
        return 2
    found = observe(reports, gates)
    rows = propose(gates, found, options.fewest)
    print("\n".join(table(rows, found)))
    problems = [f"{row.name} {row.metric}: {row.problem}" for row in rows if row.problem]
    problems += [f"{one} would get through" for one in let_through(rows, found)]
    for problem in problems:
        print(f"PROBLEM {problem}")
    if problems:
        return 1
    if options.write:
        new = rewritten(text, rows)
        _check(json.loads(text), json.loads(new), rows)
        options.gates.write_text(new, encoding="utf-8")
        print(f"written: {options.gates.name}; build the images again, and certify them")
    return 0


def _told(path: Path) -> Report:
    try:
        return read(path)
    except VerificationFailed as wrong:
        raise VerificationFailed(f"{path}: {wrong.what}", "Name certificates or reports of this suite.") from None


def _check(before: Mapping[str, Any], after: dict[str, Any], rows: Sequence[Row]) -> None:
    """Nothing but the proposed gates was changed."""
    wanted = json.loads(json.dumps(before))
    for row in rows:
        wanted["parity"][row.name][row.metric] = row.proposed
    if wanted != after:
        raise RuntimeError("the gates file is not laid out as it was: change it by hand")


def table(rows: Sequence[Row], found: Observed) -> Iterator[str]:
    """What is printed."""
    yield f"{'class':6}{'metric':8}{'results':>8}{'observed':>12}{'gate':>10}{'gate/obs.':>11}  proposed"
    for row in rows:
        shown = "-" if row.largest is None else f"{row.largest:.2e}"
        ratio = f"{Decimal(row.gate) / row.largest:.1f}" if row.largest else "-"
        proposed = "as it is" if row.proposed == row.gate else row.proposed
        yield f"{row.name:6}{row.metric:8}{row.count:>8}{shown:>12}{row.gate:>10}{ratio:>11}  {proposed}"
    yield f"{len(found.faults)} injected faults"
    for one in found.left_out:
        yield f"left out: {one}"


if __name__ == "__main__":
    sys.exit(main())
