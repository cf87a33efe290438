"""A certificate as a page shows it: each check with its numbers and gates, faults, and what was not run."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from assay.certificate import Certificate
from assay.certificate.report import Fault, Metric, Result

_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_FAMILIES = Path(__file__).with_name("families.toml")
# Of a plan: what an image leaves out, by the name of the table in image.toml.
LEFT_OUT = {
    "left_out": "module",
    "programs": "program",
    "uncalled": "library that is not asked for its version",
}


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A family of checks: its title, and what one that passed shows."""

    title: str
    shows: str = ""


@dataclass(frozen=True)
class Number:
    """A number of a check as it is read: its name, value and gate."""

    name: str
    value: str
    gate: str


@dataclass(frozen=True)
class Check:
    """A check that was run. ``state`` is as the host judged it; ``judged`` are held to a gate, ``taken`` are not."""

    id: str
    passed: bool
    judged: tuple[Number, ...]
    taken: tuple[Number, ...]
    seconds: str
    problem: str
    switches: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """The checks of a family."""

    family: Family
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all of them passed."""
        return all(check.passed for check in self.checks)


@functools.cache
def families() -> Mapping[str, Family]:
    """The families in the order of a page."""
    return msgspec.toml.decode(_FAMILIES.read_bytes(), type=dict[str, Family])


def groups(certificate: Certificate) -> list[Group]:
    """The checks that were run, by family; those of a family that is not known here come last."""
    wrong = dict((*certificate.verdict.problems, *certificate.verdict.unmarked))
    found: dict[str, list[Check]] = {name: [] for name in families()}
    for result in certificate.report.results:
        if result.state != "not-run":
            found.setdefault(result.family, []).append(_check(result, wrong.get(result.id, "")))
    return [Group(families().get(name) or Family(name), tuple(checks)) for name, checks in found.items() if checks]


def not_run(certificate: Certificate) -> list[tuple[str, list[str]]]:
    """What was not run, as (reason, ids) pairs."""
    reasons: dict[str, list[str]] = {}
    for result in certificate.report.results:
        if result.state == "not-run":
            reasons.setdefault(result.reason, []).append(result.id)
    return list(reasons.items())


def faults(certificate: Certificate) -> Iterator[tuple[Fault, list[Number]]]:
    """The faults that were put in, each with the numbers of the check that had to catch it."""
    for fault in certificate.report.faults:
        yield fault, [_number(metric) for metric in fault.metrics if metric.gate is not None]


def left_out(certificate: Certificate) -> Iterator[tuple[str, str, str]]:
    """What the image leaves out, as (kind, name, reason)."""
    for table, kind in LEFT_OUT.items():
        for name, reason in strings(certificate.report.plan.get(table)).items():
            yield kind, name, reason


def explained(certificate: Certificate) -> Iterator[tuple[str, str]]:
    """What the framework prints as it is found, as (backend, text) pairs."""
    said = certificate.report.stack.get("as_found")
    for backend, lines in said.items() if isinstance(said, dict) else ():
        if isinstance(lines, list) and lines:
            yield str(backend), "\n".join(map(str, lines))


def strings(table: object) -> dict[str, str]:
    """A table of a plan or of a stack as texts; empty for anything else."""
    return {str(name): str(value) for name, value in table.items()} if isinstance(table, dict) else {}


def short(value: str) -> str:
    """A number in as few characters as tell it, whole ones in groups of three; a text that is none as it is."""
    if _WHOLE.fullmatch(value):
        return f"{int(value):,}"
    try:
        return f"{float(value):.3g}"
    except ValueError:
        return value


def _check(result: Result, problem: str) -> Check:
    return Check(
        result.id,
        result.state == "pass" and not problem,
        tuple(_numbers(result.metrics, judged=True)),
        tuple(_numbers(result.metrics, judged=False)),
        result.seconds,
        problem or (result.reason if result.state != "pass" else ""),
        result.switches,
    )


def _numbers(metrics: Iterable[Metric], *, judged: bool) -> Iterator[Number]:
    return (_number(metric) for metric in metrics if (metric.gate is not None) == judged)


_RELATIONS = {"<=": "\u2264", ">=": "\u2265", "<": "<", "==": "="}


def _number(metric: Metric) -> Number:
    gate = "" if metric.gate is None else f"{_RELATIONS[metric.relation]} {metric.gate}"
    return Number(metric.name.replace("_", " "), short(metric.value), gate)
