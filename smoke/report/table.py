"""The report as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smoke.report.report import Report
from smoke.report.result import STATES, Metric, Result


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
