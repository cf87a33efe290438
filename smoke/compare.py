"""Holds this run against a published certificate: what was compared, what is equal, and what fails only here.

A file from anywhere is read: each value is checked before it is used, and whatever is wrong is one PlanError.
Standard library only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from smoke.plan import PlanError
from smoke.report import RELATIONS, SCHEMA, STATES

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:assay:environment-certificate:v1"
LARGEST, DEEPEST = 16 * 2**20, 32
EQUAL, DIFFERS = "equal", "differs"
REMEDY = "Give a certificate's JSON as it was published, or a report of this suite."
_WORD = re.compile(r"[\x21-\x7e]{1,200}")  # an id or a name: it is printed
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Published:
    """What a certificate says. ``subject`` is the digest of the image that it is of; a bare report has none.

    ``states`` maps the ids of results and of faults to their states, ``metrics`` (id, name) to the decimal string;
    ``observed`` is what each result saw: the class of numbers, the device, the digest of the weights.
    """

    subject: str
    time: str
    origin: Mapping[str, Any]
    states: Mapping[str, str]
    faults: Mapping[str, str]
    metrics: Mapping[tuple[str, str], str]
    observed: Mapping[str, str]


def read(path: Path) -> Published:
    """The certificate or the report in a file. Raises PlanError."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as why:
        said = getattr(why, "strerror", None) or why
        raise PlanError(f"{path} cannot be read: {said}", "Mount the file into the container, and name it.") from None
    return parse(data)


def parse(data: bytes) -> Published:
    """What the bytes say. Raises PlanError."""
    if len(data) > LARGEST:
        _wrong(f"it is larger than {LARGEST >> 20} MiB")
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError):  # what is no UTF-8 is a ValueError too
        _wrong("it is not JSON")
    if not isinstance(content, dict):
        _wrong("it is not an object")
    if _depth(content) > DEEPEST:
        _wrong("it is nested too deeply")
    if "predicate" in content or "_type" in content:
        return _statement(content)
    return published(content)


def _depth(content: Any) -> int:
    """How deeply it is nested, up to one more than is allowed."""
    layer, depth = [content], 0
    while layer and depth <= DEEPEST:
        layer = [one for data in layer for one in (data.values() if isinstance(data, dict) else data)]
        layer = [one for one in layer if isinstance(one, (dict, list))]
        depth += 1
    return depth


def _statement(content: Mapping[str, Any]) -> Published:
    for key, known in (("_type", STATEMENT), ("predicateType", PREDICATE)):
        if content.get(key) != known:
            _wrong(f"its {key} is not {known}")
    predicate, suite = _object(content, "predicate"), _object(_object(content, "predicate"), "suite")
    report = {**predicate, **{name: _object(suite, name) for name in ("gates", "reference")}}
    report["suite"] = {"version": suite.get("version"), "sha256": _object(suite, "digest").get("sha256")}
    report["plan"] = {name: value for name, value in _object(predicate, "plan").items() if name != "engine"}
    report["image"] = report["plan"].get("image")
    subjects = content.get("subject")
    if not isinstance(subjects, list) or len(subjects) != 1 or not isinstance(subjects[0], dict):
        _wrong("it is not of one image")
    digest = _digest(_object(subjects[0], "digest"), "subject")
    return published(report, "sha256:" + digest, _text(predicate.get("timeCreated"), "timeCreated"))


def published(report: Mapping[str, Any], subject: str = "", time: str = "") -> Published:
    """What a report's plain data says. Raises PlanError."""
    if report.get("schema") != SCHEMA or isinstance(report.get("schema"), bool):
        _wrong("its schema is {}, not {}".format(_shown(report.get("schema")), SCHEMA))
    results, faults = _rows(report, "results"), _rows(report, "faults")
    plan = _object(report, "plan")
    return Published(
        subject=subject,
        time=time,
        origin={
            "image": _text(report.get("image"), "image"),
            "device": _text(plan.get("device"), "device"),
            "plan": {name: value for name, value in plan.items() if name not in ("image", "device")},
            **{name: _digest(_object(report, name), name) for name in ("suite", "gates", "reference")},
            **{f"stack.{name}": value for name, value in _versions(_object(report, "stack")).items()},
        },
        states={row["id"]: row["state"] for row in results},
        faults={row["id"]: row["state"] for row in faults},
        metrics=dict(_metrics([*results, *({**row, "id": "fault." + row["id"]} for row in faults)])),
        observed={row["id"]: _text(row.get("observed"), "observed") for row in results if row.get("observed")},
    )


def _versions(stack: Mapping[str, Any]) -> dict[str, Any]:
    """The versions in a stack, each under its own name."""
    found = {name: stack[name] for name in ("python", "framework", "cudart") if name in stack}
    libraries = stack.get("libraries")
    if isinstance(libraries, dict):
        found.update(libraries)
    return found


def _rows(report: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = report.get(name)
    if not isinstance(rows, list):
        _wrong(f"its {name} are not a list")
    for row in rows:
        if not isinstance(row, dict):
            _wrong(f"one of its {name} is not an object")
        _word(row.get("id"), "an id")
        if row.get("state") not in STATES:
            _wrong(f"the state of {row['id']} is {_shown(row.get('state'))}")
    return rows


def _metrics(rows: list[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, str], str]]:
    for row in rows:
        metrics = row.get("metrics")
        if not isinstance(metrics, list) or not all(isinstance(one, dict) for one in metrics):
            _wrong(f"the metrics of {row['id']} are not a list of objects")
        for one in metrics:
            name = _word(one.get("name"), "a metric's name")
            value, gate = one.get("value"), one.get("gate")
            if not _is_decimal(value) or not (gate is None or _is_decimal(gate)):
                _wrong(f"{name} of {row['id']} is no decimal string")
            if one.get("relation", "<=") not in RELATIONS:
                _wrong(f"{name} of {row['id']} has no relation that is known")
            yield (row["id"], name), value


def _is_decimal(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > 64 or not value.isascii():
        return False
    try:
        float(value)
    except ValueError:
        return False
    return value.isprintable()


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    if not isinstance(found, dict):
        _wrong(f"it has no object {name!r}")
    return found


def _digest(data: Mapping[str, Any], where: str) -> str:
    found = data.get("sha256")
    if not isinstance(found, str) or not _DIGEST.fullmatch(found):
        _wrong(f"its {where} has no sha256")
    return found


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        _wrong(f"its {where} is {_shown(value)}")
    return value


def _word(value: Any, what: str) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        _wrong(f"{what} is {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    """A value for one line of a terminal, whatever is in it."""
    text = value if isinstance(value, str) and _WORD.fullmatch(value) else json.dumps(value, ensure_ascii=True)
    text = text.replace("\x7f", "?")
    return text if len(text) <= 60 else text[:57] + "..."


def _wrong(what: str) -> NoReturn:
    raise PlanError(f"what to compare with is no certificate: {what}", REMEDY)


# The comparison


def compare(there: Published, here_data: Mapping[str, Any]) -> dict[str, Any]:
    """How this run's report (``here_data``) compares with what was published, as plain data.

    ``origin`` holds what must be equal for the runs to be of one image: an image cannot know its own digest, so it
    is its plan, the suite, the gates, the reference and the versions of the stack. What was not run here (another
    device, a part of the plan) is in ``only_there``, and is neither equal nor a failure.
    """
    here = published(json.loads(json.dumps(here_data)))  # as it would be read: lists, not tuples
    origin = [_row(name, there.origin.get(name), here.origin.get(name)) for name in _names(there.origin, here.origin)]
    if not here_data["complete"] or there.origin["device"] != here.origin["device"]:
        # What was not looked at, or not loaded on this device, has no version; that is not another version.
        origin = [one for one in origin if not (one["what"].startswith("stack.") and None in one.values())]
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
        "same_image": all(one["verdict"] == EQUAL for one in origin if one["what"] != "device"),
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
    return list(dict.fromkeys(name for one in of for name in one))


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


def table(found: Mapping[str, Any]) -> str:
    """The comparison as a person reads it."""
    lines = ["compared with {}".format(_shown(found["subject"] or "a report"))]
    if found["time"]:
        lines[0] += " of " + _shown(found["time"])
    different = [one for one in found["origin"] if one["verdict"] == DIFFERS]
    count = len(found["origin"]) - len(different)
    lines.append(
        f"  {count} of {len(found['origin'])} facts of origin are equal (plan, suite, gates, reference, stack)"
    )
    for one in different:
        lines.extend(_differing(one))
    width = max((len(_label(one)) for one in found["metrics"]), default=0)
    for one in found["metrics"]:
        there, here = _shown(one["there"]), _shown(one["here"])
        lines.append("  {:8}{:{w}}  there {:24}  here {}".format(one["verdict"], _label(one), there, here, w=width))
    for key, words in (("only_there", "run there, not here"), ("only_here", "run here, not there")):
        if found[key]:
            lines.append(f"  {words}: {', '.join(found[key])}")
    equal = sum(one["verdict"] == EQUAL for one in found["metrics"])
    lines.append(
        "{}{}; {} of {} numbers equal; {}".format(
            "the same image" if found["same_image"] else "NOT the same image",
            "" if found["same_device"] else ", on another device",
            equal,
            len(found["metrics"]),
            "new failures: " + ", ".join(found["new_failures"]) if found["new_failures"] else "no new failures",
        )
    )
    return "\n".join(lines) + "\n"


def _label(one: Mapping[str, Any]) -> str:
    return "{id} {metric}".format_map(one)


def _differing(one: Mapping[str, Any]) -> Iterator[str]:
    if not (isinstance(one["there"], dict) and isinstance(one["here"], dict)):
        yield "  differs {}: there {}, here {}".format(_shown(one["what"]), _shown(one["there"]), _shown(one["here"]))
        return
    for name in _names(one["there"], one["here"]):
        row = _row("{}.{}".format(one["what"], name), one["there"].get(name), one["here"].get(name))
        if row["verdict"] == DIFFERS:
            yield from _differing(row)
