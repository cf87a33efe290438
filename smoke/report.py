"""The report: its shape, its verdicts, its file and its table. Standard library only.

A verdict is computed here and nowhere else: a check hands over metrics, and ``judged`` compares each with its
gate, on the decimal strings that go into the report, so that whoever reads the report comes to the same verdict.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from smoke import gates, suite

SCHEMA = 1
STATES = ("pass", "fail", "error", "not-run")
RELATIONS = ("<=", "<", ">=", "==")
SUITE = suite.ROOT


@dataclass(frozen=True)
class Metric:
    """One number and its gate, both decimal strings; ``gate`` is None where the number is only taken down."""

    name: str
    value: str
    gate: Optional[str] = None
    relation: str = "<="

    def holds(self) -> bool:
        """True if the value is a finite number on the right side of its gate."""
        value = float(self.value)
        if not math.isfinite(value):
            return False
        if self.gate is None:
            return True
        gate = float(self.gate)
        return {"<=": value <= gate, "<": value < gate, ">=": value >= gate, "==": value == gate}[self.relation]

    def __str__(self) -> str:
        shown = f"{self.name} {float(self.value):.3g}"
        return shown if self.gate is None else f"{shown} ({self.relation} {self.gate})"


def metric(name: str, value: Any, gate: Optional[str] = None, relation: str = "<=") -> Metric:
    """A metric from a number (NumPy scalars too). Raises ValueError for a relation that the report has not."""
    if relation not in RELATIONS:
        raise ValueError("no such relation: " + relation)
    return Metric(name, decimal(value), gate, relation)


def decimal(value: Any) -> str:
    """The shortest decimal string that reads back as the same number; ``nan`` and ``inf`` stay visible."""
    if isinstance(value, int):
        return str(int(value))
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


@dataclass(frozen=True)
class Result:
    """What one check found. ``switches`` are those that the suite set for it, and that a user's process has not."""

    id: str
    family: str
    state: str
    reason: str = ""
    remedy: str = ""
    requested: str = ""
    observed: str = ""
    metrics: tuple[Metric, ...] = ()
    seconds: str = "0"
    switches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """What a check made of a fault put in on purpose: ``fail`` is good, it was caught."""

    id: str
    check: str
    state: str
    metrics: tuple[Metric, ...] = ()
    reason: str = ""


def judged(
    check_id: str,
    family: str,
    metrics: Sequence[Metric],
    requested: str = "",
    observed: str = "",
    remedy: str = "",
) -> Result:
    """The verdict on metrics: pass only if there is one at least, each holds, and what was asked was observed."""
    wrong = [str(one) for one in metrics if not one.holds()]
    if requested != observed:
        wrong.insert(0, "asked for {}, observed {}".format(requested or "nothing", observed or "nothing"))
    if not metrics:
        wrong.append("nothing was measured")
    state = "fail" if wrong else "pass"
    return Result(
        check_id, family, state, "; ".join(wrong), remedy if wrong else "", requested, observed, tuple(metrics)
    )


def not_run(check_id: str, family: str, reason: str, requested: str = "") -> Result:
    """A check that was not run. Raises ValueError without a reason: silence is what this state must not be."""
    if not reason:
        raise ValueError(check_id + ": not-run needs a reason")
    return Result(check_id, family, "not-run", reason, requested=requested)


def result_from(data: Mapping[str, Any]) -> Result:
    """A result read back from JSON."""
    return Result(**{**data, "metrics": _metrics_from(data), "switches": tuple(data.get("switches", ()))})


def fault_from(data: Mapping[str, Any]) -> Fault:
    """A fault read back from JSON."""
    return Fault(**{**data, "metrics": _metrics_from(data)})


def _metrics_from(data: Mapping[str, Any]) -> tuple[Metric, ...]:
    return tuple(Metric(**one) for one in data["metrics"])


@dataclass(frozen=True)
class Report:
    """The whole report; ``complete`` is False if only a part of the plan was asked for."""

    image: str
    plan: Mapping[str, Any]
    host: Mapping[str, Any]
    stack: Mapping[str, Any]
    results: tuple[Result, ...]
    faults: tuple[Fault, ...]
    complete: bool

    def bad(self) -> list[str]:
        """The ids of what failed, ended in error, or was let through."""
        wrong = [one.id for one in self.results if one.state in ("fail", "error")]
        return wrong + [one.id for one in self.faults if one.state != "fail"]

    def as_json(self, version: str) -> dict[str, Any]:
        """The report as plain data, schema 1."""
        return {
            "schema": SCHEMA,
            "suite": {"version": version, "sha256": suite.digest(SUITE, self.plan["framework"]["name"])},
            "gates": {"sha256": gates.digest()},
            "reference": {"sha256": file_digest(SUITE / "reference.py")},
            "image": self.image,
            "plan": dict(self.plan),
            "host": dict(self.host),
            "stack": dict(self.stack),
            "results": [dataclasses.asdict(one) for one in self.results],
            "faults": [dataclasses.asdict(one) for one in self.faults],
            "complete": self.complete,
        }


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Writes JSON to ``path``, whole or not at all. Raises OSError if the place cannot be written.

    A single file mounted into a container is the exception: it cannot be replaced (the kernel says busy, and the
    folder around it may be read-only), so it is written in place; its reader waits for the container to end.
    """
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    try:
        _replace(path, text)
    except OSError as why:
        if why.errno not in (errno.EBUSY, errno.EROFS, errno.EACCES, errno.EPERM) or not path.is_file():
            raise
        path.write_text(text, encoding="utf-8")


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=path.name + ".", dir=str(path.parent))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp gives 0600, which the host's user may be unable to read
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def table(report: Report) -> str:
    """The report as a person reads it: a line per check, what is wrong with its remedy, and the sum."""
    ids = [one.id for one in report.results] + [one.id for one in report.faults]
    width = max([len(one) for one in ids] + [5])
    lines = ["{}  {}  ({})".format(report.image, report.plan["device"], report.stack.get("framework", "?"))]
    for one in report.results:
        lines.extend(_result_lines(one, width))
    lines.extend(_not_run_lines(report.results))
    if report.faults:
        lines.append("faults put in on purpose, each to be caught:")
    for fault in report.faults:
        verdict = {"fail": "caught", "pass": "MISSED"}.get(fault.state, fault.state.upper())
        told = _shown(fault.metrics) or fault.reason
        lines.append("  {:8}{:{w}}  by {}: {}".format(verdict, fault.id, fault.check, told, w=width))
    lines.append(_sum(report))
    return "\n".join(lines) + "\n"


def _result_lines(one: Result, width: int) -> Iterable[str]:
    if one.state == "not-run":
        return
    word = one.state if one.state == "pass" else one.state.upper()
    yield "  {:8}{:{w}}  {:>6} s  {}".format(word, one.id, one.seconds, _shown(one.metrics), w=width).rstrip()
    if one.state != "pass":
        for line in one.reason.splitlines():
            yield "          " + line
        if one.remedy:
            yield "          -> " + one.remedy


def _not_run_lines(results: Sequence[Result]) -> Iterable[str]:
    """What was not run, under its reason: a dozen lines with one reason hide the others."""
    reasons: dict[str, list[str]] = {}
    for one in results:
        if one.state == "not-run":
            reasons.setdefault(one.reason, []).append(one.id)
    for reason, ids in reasons.items():
        yield "  not-run " + reason + ":"
        yield "          " + ", ".join(ids)


def _shown(metrics: Sequence[Metric]) -> str:
    return ", ".join(str(one) for one in metrics[:4])


def _sum(report: Report) -> str:
    count = {state: sum(one.state == state for one in report.results) for state in STATES}
    caught = sum(one.state == "fail" for one in report.faults)
    text = "{pass} passed, {fail} failed, {error} errors, {not-run} not run".format_map(count)
    if report.faults:
        text += f"; {caught} of {len(report.faults)} faults caught"
    return text if report.complete else text + "; only a part was asked for"
