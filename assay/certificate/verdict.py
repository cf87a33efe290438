"""The verdict on a report: the level that its raw evidence amounts to, and all that is wrong with it.

Nothing that a report says of itself is trusted: each rule looks at the evidence anew, by the levels and the gates of
the suite that the report is of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from assay.certificate.case import Case
from assay.certificate.levels import RANK, Level
from assay.certificate.report import Plan, Report
from assay.certificate.rules import RULES, Rule
from assay.certificate.suite import Suite


@dataclass(frozen=True)
class Verdict:
    """What the evidence amounts to. ``problems`` are (id, what is wrong) pairs; empty means that all held.

    ``marks`` are those that it bears beside its level, and ``unmarked`` what is wrong with results that only a mark
    asks for: that costs the mark, and not the level. ``lost`` are the kinds of marks that were asked for, and that it
    does not bear because of that.
    """

    level: Level
    problems: tuple[tuple[str, str], ...]
    not_run: tuple[tuple[str, str], ...]
    marks: tuple[str, ...] = ()
    unmarked: tuple[tuple[str, str], ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and the level that was asked for is reached."""
        return not self.problems


def judge(report: Report, suite: Suite, rules: Iterable[Rule] = RULES, *, derived: bool = False) -> Verdict:
    """Judge a report from its raw evidence, by the levels and gates of a suite; ``derived`` as `Case` has it."""
    not_run = tuple((result.id, result.reason) for result in report.results if result.state == "not-run")
    try:
        plan = msgspec.convert(report.plan, type=Plan)
    except (msgspec.ValidationError, RecursionError) as error:
        return Verdict("E0", (("plan", f"it is malformed: {error}"),), not_run)
    case = Case.of(report, plan, suite, derived=derived)
    told = merged(found for rule in rules for found in rule(case))
    unmarked = tuple((name, what) for name, what in told if _mark_of(case, name))
    problems = tuple(one for one in told if one not in unmarked)
    level = _level(case, {name for name, _ in problems})
    asked = next(step.level for step in suite.levels.levels if step.device == plan.device)
    if not problems and RANK[level] < RANK[asked]:
        what = f"the evidence amounts to {level}, and {asked} was asked for: see what was not run"
        problems = (("level", what),)
    lost = tuple(sorted({_mark_of(case, name) for name, _ in unmarked}))
    return Verdict(level, problems, not_run, () if problems else _marks(case, lost), unmarked, lost)


def merged(found: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What is wrong, told once of each id."""
    several: dict[str, list[str]] = {}
    for name, what in found:
        several.setdefault(name, []).append(what)
    return tuple((name, "; ".join(dict.fromkeys(texts))) for name, texts in several.items())


def _mark_of(case: Case, name: str) -> str:
    """The mark that a result is for; also of one that stands for a whole family, maybe with one backend, which ended
    before its results, and of a fault, which is put in for its check. A mark that the plan does not ask for takes no
    blame.
    """
    fault = case.faults.get(name.removeprefix("fault "))
    name = fault.check if fault else name
    family, _, last = name.rpartition(".")
    begin, end = (f"{family}.", f".{last}") if last in case.plan.framework.backends else (f"{name}.", "")
    named = (
        one.mark
        for one in case.expected.values()
        if one.id == name or (one.id.startswith(begin) and one.id.endswith(end))
    )
    return next((mark for mark in named if mark in _asked_for(case)), "")


def _asked_for(case: Case) -> set[str]:
    """The marks of which at least something was to be run."""
    return {one.mark for one in case.expected.values() if one.mark and one.not_run is None}


def _marks(case: Case, lost: Iterable[str]) -> tuple[str, ...]:
    """The marks of which each result is as it must be."""
    without = {*lost, *(one.mark for one in case.expected.values() if not one.counts)}
    return tuple(_told(case, one) for one in sorted(_asked_for(case) - without))


def _told(case: Case, mark: str) -> str:
    """A mark as it is told; that of ranks says how many, over what, and where."""
    if mark != "ranks":
        return mark
    backends = case.plan.framework.backends
    asked = (one for one in case.expected.values() if one.mark == mark and " over " in one.asked)
    over = " and ".join(
        " on ".join((one.asked.partition(" over ")[2], *(name for name in backends if one.id.endswith(f".{name}"))))
        for one in asked
    )
    return f"ranks {case.plan.ranks}, {over}, {case.plan.device}, 1 host"


def _level(case: Case, bad: set[str]) -> Level:
    """The highest level of which, and of all below it, each result is as it must be.

    Where anything is wrong beside the results that E1 asks for, no level above it counts; and where it is no result
    of the plan (a fault that got through, a part that was left out), none does.
    """
    if bad - case.expected.keys():
        return "E0"
    asked = [one for one in case.expected.values() if not one.mark]
    lacking = {one.level for one in asked if one.id in bad or not one.counts}
    level: Level = "E0"
    for step in case.suite.levels.levels:
        if step.level in lacking or (bad and RANK[step.level] > RANK["E1"]):
            break
        if step.device in {"", case.plan.device}:
            level = step.level
    return level
