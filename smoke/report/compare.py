"""Holds this run against a published certificate: what was compared, what is equal, and what fails only here.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from smoke.report.published import Published, published, shown

EQUAL, DIFFERS = "equal", "differs"


def compare(there: Published, here_data: Mapping[str, Any]) -> dict[str, Any]:
    """How this run's report (``here_data``) compares with what was published, as plain data.

    ``origin`` holds what must be equal for the runs to be of one image: an image cannot know its own digest, so it
    is its plan, the suite, the gates, the reference and the versions of the stack. What was not run here (another
    device, a part of the plan) is in ``only_there``, and is neither equal nor a failure.
    """
    here = published(here_data)
    origin = [_row(name, there.origin.get(name), here.origin.get(name)) for name in _names(there.origin, here.origin)]
    if not here_data["complete"] or there.origin["device"] != here.origin["device"]:
        # What was not looked at, or not loaded on this device, has no version; that is not another version.
        origin = [row for row in origin if not (row["what"].startswith("stack.") and None in row.values())]
    rows = [
        {"id": key[0], "metric": key[1], **_pair(value, here.metrics[key], _same_number(value, here.metrics[key]))}
        for key, value in there.metrics.items()
        if key in here.metrics
    ]
    rows += [
        {"id": key, "metric": "observed", **_pair(value, here.observed[key], value == here.observed[key])}
        for key, value in there.observed.items()
        if key in here.observed
    ]
    order = {identity: number for number, identity in enumerate([*here.states, *here.faults])}
    rows.sort(key=lambda row: order.get(row["id"].replace("fault.", "", 1), -1))
    return {
        "subject": there.subject,
        "time": there.time,
        "same_image": all(row["verdict"] == EQUAL for row in origin if row["what"] != "device"),
        "same_device": there.origin["device"] == here.origin["device"],
        "origin": origin,
        "metrics": rows,
        "new_failures": list(_new_failures(there, here)),
        "only_there": _only(there.states, here.states),
        "only_here": _only(here.states, there.states),
    }


def _only(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The ids of what was run in one and not in the other."""
    absent = "not-run"
    return [name for name, state in one.items() if state != absent and other.get(name, absent) == absent]


def _names(*of: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for names in of for name in names))


def _row(what: str, there: Any, here: Any) -> dict[str, Any]:
    return {"what": what, **_pair(there, here, there == here)}


def _pair(there: Any, here: Any, same: bool) -> dict[str, Any]:
    return {"there": there, "here": here, "verdict": EQUAL if same else DIFFERS}


def _same_number(one: str, other: str) -> bool:
    return one == other or float(one) == float(other)


def _new_failures(there: Published, here: Published) -> Iterator[str]:
    """What fails here and did not there; of a fault that is what was caught there and is let through here."""
    for name, state in here.states.items():
        if state in ("fail", "error") and there.states.get(name) not in ("fail", "error"):
            yield name
    for name, state in here.faults.items():
        if state != "fail" and there.faults.get(name, "fail") == "fail":
            yield "fault." + name


def table(comparison: Mapping[str, Any]) -> str:
    """The comparison as a person reads it."""
    lines = ["compared with {}".format(shown(comparison["subject"] or "a report"))]
    if comparison["time"]:
        lines[0] += " of " + shown(comparison["time"])
    different = [row for row in comparison["origin"] if row["verdict"] == DIFFERS]
    count = len(comparison["origin"]) - len(different)
    lines.append(
        f"  {count} of {len(comparison['origin'])} facts of origin are equal (plan, suite, gates, reference, stack)"
    )
    for row in different:
        lines.extend(_differing(row))
    width = max((len(_label(row)) for row in comparison["metrics"]), default=0)
    for row in comparison["metrics"]:
        there, here = shown(row["there"]), shown(row["here"])
        lines.append("  {:8}{:{w}}  there {:24}  here {}".format(row["verdict"], _label(row), there, here, w=width))
    for key, words in (("only_there", "run there, not here"), ("only_here", "run here, not there")):
        if comparison[key]:
            lines.append(f"  {words}: {', '.join(comparison[key])}")
    equal = sum(row["verdict"] == EQUAL for row in comparison["metrics"])
    image = "the same image" if comparison["same_image"] else "NOT the same image"
    device = "" if comparison["same_device"] else ", on another device"
    failures = comparison["new_failures"]
    failing = "new failures: " + ", ".join(failures) if failures else "no new failures"
    lines.append(f"{image}{device}; {equal} of {len(comparison['metrics'])} numbers equal; {failing}")
    return "\n".join(lines) + "\n"


def _label(row: Mapping[str, Any]) -> str:
    return "{id} {metric}".format_map(row)


def _differing(row: Mapping[str, Any]) -> Iterator[str]:
    what, there, here = row["what"], row["there"], row["here"]
    if not (isinstance(there, dict) and isinstance(here, dict)):
        yield f"  differs {shown(what)}: there {shown(there)}, here {shown(here)}"
        return
    for name in _names(there, here):
        inner = _row(f"{what}.{name}", there.get(name), here.get(name))
        if inner["verdict"] == DIFFERS:
            yield from _differing(inner)
