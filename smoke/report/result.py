"""Results, faults and their metrics: a verdict is computed here and nowhere else. Standard library only.

A check hands over metrics, and ``judged`` compares each with its gate, on the decimal strings that go into the
report, so that whoever reads the report comes to the same verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional

STATES = ("pass", "fail", "error", "not-run")
RELATIONS = ("<=", "<", ">=", "==")


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

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        lists = {"metrics": [asdict(number) for number in self.metrics], "switches": list(self.switches)}
        return {**asdict(self), **lists}


@dataclass(frozen=True)
class Fault:
    """What a check made of a fault put in on purpose: ``fail`` is good, it was caught."""

    id: str
    check: str
    state: str
    metrics: tuple[Metric, ...] = ()
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """The fault as plain data."""
        return {**asdict(self), "metrics": [asdict(number) for number in self.metrics]}


def judged(
    check_id: str,
    family: str,
    metrics: Sequence[Metric],
    requested: str = "",
    observed: str = "",
    remedy: str = "",
) -> Result:
    """The verdict on metrics: pass only if there is one at least, each holds, and what was asked was observed."""
    wrong = [str(number) for number in metrics if not number.holds()]
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
    return tuple(Metric(**row) for row in data["metrics"])
