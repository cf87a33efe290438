"""The rules of the judge: each takes a report and yields what is wrong with it, and none relies on another.

A rule is worth its place if the judge without it lets an edit pass that takes evidence away; the tests try each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from assay.certificate import gates
from assay.certificate.case import Case
from assay.certificate.derived import nothing_added
from assay.certificate.report import Result

Found = Iterator[tuple[str, str]]  # the id of what is wrong, and what that is
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def whole_run(case: Case) -> Found:
    """All of the plan was run."""
    if not case.report.complete:
        yield "suite", "only a part of the plan was run"


def known_plan(case: Case) -> Found:
    """The plan is one that this suite can have been given."""
    framework, levels = case.plan.framework, case.suite.levels
    about = case.suite.frameworks.get(framework.name)
    if about is None:
        yield "plan", f"the suite has no framework {framework.name[:40]!r}"
        return
    if case.report.image != case.plan.image:
        yield "plan", f"it is of {case.plan.image[:40]!r}, and the report of {case.report.image[:40]!r}"
    for name in case.plan.workloads:
        if name not in levels.workloads and name not in about.workloads:
            yield "plan", f"the suite has no workload {name[:40]!r} for {framework.name}"
    for name in (one for one, always in levels.workloads.items() if always):
        if name not in case.plan.workloads:
            yield "plan", f"it leaves out {name}, which no plan does"


def plain_names(case: Case) -> Found:
    """The plan names each workload and backend once, and a backend by a word."""
    for names in (case.plan.workloads, case.plan.framework.backends):
        if len(set(names)) != len(names):
            yield "plan", "it names something twice"
    for name in case.plan.framework.backends:
        # "a,b" would read as two backends on a label, and be one here; other scripts' letters read as ours.
        if not (name.isascii() and name.isidentifier()):
            yield "plan", f"{name[:40]!r} is no backend"


def gpu_of_the_host(case: Case) -> Found:
    """Where the plan declares a GPU, the host's facts show it."""
    for step in case.suite.levels.levels:
        if step.device == case.plan.device:
            for name in step.host:
                fact = case.report.host.get(name)
                told = fact if isinstance(fact, list) else [fact]
                if not told or not all(isinstance(one, str) and one.strip() for one in told):
                    yield "host", f"{step.level} was asked for, and the host shows no {name}"


# The results


def no_unknown_result(case: Case) -> Found:
    """Each result is one that the plan must have: an invented one may stand for one that is gone."""
    for result in case.report.results:
        if result.id not in case.expected:
            # A family that ended before it had results of its own says why under its own name.
            why = f": {result.reason[:2000]}" if result.state != "pass" and result.reason else ""
            yield result.id, f"no result of this plan has this id{why}"


def no_result_twice(case: Case) -> Found:
    """Each result is there once: of two, a reader may take the better."""
    for name, count in Counter(one.id for one in case.report.results).items():
        if count > 1:
            yield name, f"it was reported {count} times"


def no_result_missing(case: Case) -> Found:
    """Each result that the plan must have is there."""
    there = {one.id for one in case.report.results}
    for name in case.expected:
        if name not in there:
            yield name, "it is not in the report"


def right_family(case: Case) -> Found:
    """Each result is of the family of checks that its id stands for."""
    for result in case.report.results:
        one = case.expected.get(result.id)
        if one is not None and result.family != one.family:
            yield result.id, f"it is of the family {result.family[:40]!r}, and not of {one.family}"


def failure_believed(case: Case) -> Found:
    """A result that says that it failed did, whatever its numbers say."""
    for result in case.report.results:
        if result.id in case.expected and result.state in {"fail", "error"} and not _told_by_numbers(case, result):
            yield result.id, result.reason or f"it says {result.state}"


def not_run_as_declared(case: Case) -> Found:
    """What was not run was not for the reason that the framework's file, or the level itself, gives."""
    for result, _ in case.results(to_run=True):
        if result.state == "not-run":
            reason = result.reason.strip()[:200]
            yield (
                result.id,
                f"not run, for no declared reason: {reason}" if reason else "not run, and no reason given",
            )
    for result, one in case.results(to_run=False):
        if result.state == "not-run" and result.reason != one.not_run:
            yield (
                result.id,
                f"not run, and not for the declared reason: {result.reason[:200] or 'none given'}",
            )
        if result.state == "not-run" and (result.metrics or result.observed):
            yield result.id, "not run, they say, and yet it was measured"


def not_run_at_all(case: Case) -> Found:
    """What cannot be run on this plan was not."""
    for result, one in case.results(to_run=False):
        if result.state == "pass":
            yield result.id, f"it passed, they say, and it cannot have been run: {one.not_run}"


def right_class(case: Case) -> Found:
    """The class of numbers, the device, the version that must be asked for was, and was observed."""
    for result, one in case.measured():
        asked, observed = result.requested, result.observed
        if asked != observed:
            yield result.id, f"asked for {asked[:80] or 'nothing'}, observed {observed[:80] or 'nothing'}"
        elif not (_SHA256.fullmatch(asked) if one.asked == "{sha256}" else asked == one.asked):
            yield result.id, f"asked for {asked[:80] or 'nothing'}, and it is about {one.asked or 'nothing'}"


def all_measured(case: Case) -> Found:
    """Each metric is there once, and no other."""
    for result, one in case.measured():
        yield from ((result.id, what) for what in gates.not_measured(result.metrics, one.metrics))


def right_gates(case: Case) -> Found:
    """Each metric was held against the gate of the suite."""
    for result, one in case.measured():
        yield from ((result.id, what) for what in gates.other_gates(result.metrics, one.metrics))


def real_numbers(case: Case) -> Found:
    """Each value is a number that a real run can give."""
    for result, one in case.measured():
        yield from ((result.id, what) for what in gates.no_numbers(result.metrics, one.metrics))


def gates_held(case: Case) -> Found:
    """Each value is on the right side of the suite's gate."""
    for result, one in case.measured():
        yield from ((result.id, what) for what in gates.beyond(result.metrics, one.metrics))


# The faults


def no_fault_missing(case: Case) -> Found:
    """Each fault that the plan must have was put in."""
    there = {one.id for one in case.report.faults}
    for name in case.faults:
        if name not in there:
            yield f"fault {name}", "was not put in"


def no_unknown_fault(case: Case) -> Found:
    """No fault is there that the plan has not."""
    for fault in case.report.faults:
        if fault.id not in case.faults:
            yield f"fault {fault.id}", "no fault of this plan has this id"


def no_fault_twice(case: Case) -> Found:
    """Each fault is there once."""
    for name, count in Counter(one.id for one in case.report.faults).items():
        if count > 1:
            yield f"fault {name}", f"it was reported {count} times"


def fault_caught_by_its_check(case: Case) -> Found:
    """A fault is caught by the check that it is meant for, and that check says so."""
    for fault, one in case.put_in():
        if fault.state in {"error", "not-run"}:
            yield f"fault {fault.id}", f"ended in error: {fault.reason[:200]}"
        elif fault.state != "fail":
            yield f"fault {fault.id}", f"was not caught by {one.check}"
        if fault.check != one.check:
            yield f"fault {fault.id}", f"is to be caught by {one.check}, and not by {fault.check[:80]}"


def fault_measured(case: Case) -> Found:
    """The check of a fault measured all that it measures."""
    for fault, one in case.put_in():
        yield from ((f"fault {fault.id}", what) for what in gates.not_measured(fault.metrics, one.metrics))


def fault_gates(case: Case) -> Found:
    """The check of a fault held its numbers against the gates of the suite."""
    for fault, one in case.put_in():
        yield from ((f"fault {fault.id}", what) for what in gates.other_gates(fault.metrics, one.metrics))


def fault_numbers(case: Case) -> Found:
    """The check of a fault gave numbers that a real run can give."""
    for fault, one in case.put_in():
        yield from ((f"fault {fault.id}", what) for what in gates.no_numbers(fault.metrics, one.metrics))


def fault_beyond_its_gate(case: Case) -> Found:
    """The metric that is to catch a fault is on the wrong side of its gate."""
    for fault, one in case.put_in():
        catching = [metric for metric in fault.metrics if metric.name == one.metric]
        if catching and not list(gates.beyond(catching, one.metrics)):
            yield f"fault {fault.id}", f"was not caught by {one.check}: {one.metric} is within its gate"


Rule = Callable[[Case], Found]
RULES: tuple[Rule, ...] = (
    whole_run,
    known_plan,
    plain_names,
    gpu_of_the_host,
    no_unknown_result,
    no_result_twice,
    no_result_missing,
    right_family,
    failure_believed,
    not_run_as_declared,
    not_run_at_all,
    right_class,
    all_measured,
    right_gates,
    real_numbers,
    gates_held,
    nothing_added,
    no_fault_missing,
    no_unknown_fault,
    no_fault_twice,
    fault_caught_by_its_check,
    fault_measured,
    fault_gates,
    fault_numbers,
    fault_beyond_its_gate,
)


def _told_by_numbers(case: Case, result: Result) -> bool:
    """Whether a failure is told by its numbers anyway, so that its own words would only say it again."""
    one = case.expected[result.id]
    told = [*gates.beyond(result.metrics, one.metrics), *gates.not_measured(result.metrics, one.metrics)]
    return result.state == "fail" and one.not_run is None and bool(told)
