"""The report as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smoke.report.report import Report
from smoke.report.result import STATES, Metric, Result


def table(report: Report) -> str:
    """The report as a person reads it: a line per check, what is wrong with its remedy, and the sum."""
    ids = [result.id for result in report.results] + [fault.id for fault in report.faults]
    width = max([5, *map(len, ids)])
    lines = ["{}  {}  ({})".format(report.image, report.plan["device"], report.stack.get("framework", "?"))]
    lines.extend(_added_lines(report))
    for result in report.results:
        lines.extend(_result_lines(result, width))
    lines.extend(_not_run_lines(report.results))
    if report.faults:
        lines.append("faults put in on purpose, each to be caught:")
    for fault in report.faults:
        verdict = {"fail": "caught", "pass": "MISSED"}.get(fault.state, fault.state.upper())
        evidence = _shown(fault.metrics) or fault.reason
        lines.append("  {:8}{:{w}}  by {}: {}".format(verdict, fault.id, fault.check, evidence, w=width))
    lines.append(_sum(report))
    return "\n".join(lines) + "\n"


def _added_lines(report: Report) -> Iterable[str]:
    """On which image of ours this one stands, if packages were added to that, and which."""
    added = report.stack.get("added") or {}
    if added:
        several = f"{len(added)} package{'s' if len(added) > 1 else ''}"
        names = "; ".join(f"{name} {version}" for name, version in added.items())
        yield f"  it stands on {report.image}, and adds {several}: {names}"


def _result_lines(result: Result, width: int) -> Iterable[str]:
    if result.state == "not-run":
        return
    word = result.state if result.state == "pass" else result.state.upper()
    yield f"  {word:8}{result.id:{width}}  {result.seconds:>6} s  {_shown(result.metrics)}".rstrip()
    if result.state != "pass":
        for line in result.reason.splitlines():
            yield "          " + line
        if result.remedy:
            yield "          -> " + result.remedy


def _not_run_lines(results: Sequence[Result]) -> Iterable[str]:
    """What was not run, under its reason: a dozen lines with one reason hide the others."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        if result.state == "not-run":
            reasons.setdefault(result.reason, []).append(result.id)
    for reason, ids in reasons.items():
        yield "  not-run " + reason + ":"
        yield "          " + ", ".join(ids)


def _shown(metrics: Sequence[Metric]) -> str:
    return ", ".join(map(str, metrics[:4]))


def _sum(report: Report) -> str:
    count = {state: sum(result.state == state for result in report.results) for state in STATES}
    caught = sum(fault.state == "fail" for fault in report.faults)
    text = "{pass} passed, {fail} failed, {error} errors, {not-run} not run".format_map(count)
    if report.faults:
        text += f"; {caught} of {len(report.faults)} faults caught"
    return text if report.complete else text + "; only a part was asked for"
