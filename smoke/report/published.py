"""Reads a published certificate, or a report, that somebody hands in: a file from anywhere.

Each value is checked before it is used, and whatever is wrong is one PlanError. Standard library only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from smoke.plan import PlanError
from smoke.report.report import SCHEMA
from smoke.report.result import RELATIONS, STATES

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:assay:environment-certificate:v1"
LARGEST, DEEPEST = 16 * 2**20, 32
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
        reason = getattr(why, "strerror", None) or why
        remedy = "Mount the file into the container, and name it."
        raise PlanError(f"{path} cannot be read: {reason}", remedy) from None
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
        layer = [inner for data in layer for inner in (data.values() if isinstance(data, dict) else data)]
        layer = [inner for inner in layer if isinstance(inner, (dict, list))]
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
        _wrong("its schema is {}, not {}".format(shown(report.get("schema")), SCHEMA))
    results, faults = _rows(report, "results"), _rows(report, "faults")
    plan = _object(report, "plan")
    return Published(
        subject=subject,
        time=time,
        origin={
            "image": _text(report.get("image"), "image"),
            "device": _text(plan.get("device"), "device"),
            "plan": {name: value for name, value in plan.items() if name not in ("image", "device", "ranks")},
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
    versions = {name: stack[name] for name in ("python", "framework", "cudart") if name in stack}
    libraries = stack.get("libraries")
    if isinstance(libraries, dict):
        versions.update(libraries)
    return versions


def _rows(report: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = report.get(name)
    if not isinstance(rows, list):
        _wrong(f"its {name} are not a list")
    for row in rows:
        if not isinstance(row, dict):
            _wrong(f"one of its {name} is not an object")
        _word(row.get("id"), "an id")
        if row.get("state") not in STATES:
            _wrong(f"the state of {row['id']} is {shown(row.get('state'))}")
    return rows


def _metrics(rows: list[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, str], str]]:
    for row in rows:
        metrics = row.get("metrics")
        if not isinstance(metrics, list) or not all(isinstance(number, dict) for number in metrics):
            _wrong(f"the metrics of {row['id']} are not a list of objects")
        for number in metrics:
            name = _word(number.get("name"), "a metric's name")
            value, gate = number.get("value"), number.get("gate")
            if not _is_decimal(value) or not (gate is None or _is_decimal(gate)):
                _wrong(f"{name} of {row['id']} is no decimal string")
            if number.get("relation", "<=") not in RELATIONS:
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
    value = data.get(name)
    if not isinstance(value, dict):
        _wrong(f"it has no object {name!r}")
    return value


def _digest(data: Mapping[str, Any], where: str) -> str:
    value = data.get("sha256")
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        _wrong(f"its {where} has no sha256")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        _wrong(f"its {where} is {shown(value)}")
    return value


def _word(value: Any, what: str) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        _wrong(f"{what} is {shown(value)}")
    return value


def shown(value: Any) -> str:
    """A value for one line of a terminal, whatever is in it."""
    text = value if isinstance(value, str) and _WORD.fullmatch(value) else json.dumps(value, ensure_ascii=True)
    text = text.replace("\x7f", "?")
    return text if len(text) <= 60 else text[:57] + "..."


def _wrong(what: str) -> NoReturn:
    raise PlanError(f"what to compare with is no certificate: {what}", REMEDY)
