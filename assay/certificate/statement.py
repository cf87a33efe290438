"""The in-toto Statement that carries a report: made of one, and read again."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from assay.certificate.report import LARGEST_REPORT, SCHEMA, Report
from assay.certificate.verdict import Verdict
from assay.errors import VerificationFailed
from assay.host import strict

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:assay:environment-certificate:v1"


def statement(report: Report, verdict: Verdict, image: Mapping[str, Any], engine: str) -> dict[str, Any]:
    """The in-toto Statement of one image on one device.

    ``image`` holds name, digest, configDigest, diffIDs, platform, the digests of the locked inputs and the parent's
    digest; of a derived image, ``derived`` too: its base, and what was added.
    """
    report_data = msgspec.to_builtins(report)
    return in_toto(
        image["name"],
        image["digest"],
        PREDICATE_TYPE,
        {
            "schema": SCHEMA,
            "timeCreated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "image": {
                "configDigest": image["configDigest"],
                "diffIDs": list(image["diffIDs"]),
                "platform": image["platform"],
                "inputs": image["inputs"],
                "parent": image.get("parent"),
            },
            "suite": {
                "version": report.suite.version,
                "digest": {"sha256": report.suite.sha256},
                "gates": {"sha256": report.gates.sha256},
                "reference": {"sha256": report.reference.sha256},
            },
            "plan": {**report.plan, "engine": engine},
            "host": report.host,
            "stack": report.stack,
            "results": report_data["results"],
            "faults": report_data["faults"],
            "complete": report.complete,
            "notRun": _levels_not_run(report, verdict),
            "achieved": verdict.level,
            "marks": list(verdict.marks),
            **({"derived": image["derived"]} if image.get("derived") else {}),
        },
    )


def in_toto(name: str, digest: str, predicate_type: str, predicate: Mapping[str, Any]) -> dict[str, Any]:
    """An in-toto Statement about an image's digest."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }


def report_of(statement_data: Mapping[str, Any]) -> Report:
    """The report that a Statement carries, to be judged again; `VerificationFailed` if it carries none."""
    try:
        predicate = statement_data["predicate"]
        if predicate["schema"] != SCHEMA:
            raise VerificationFailed(
                f"the certificate has schema {repr(predicate['schema'])[:40]}, not {SCHEMA}",
                "Have the image certified again.",
            )
        plan = {name: value for name, value in predicate["plan"].items() if name != "engine"}
        data = {
            "schema": predicate["schema"],
            "suite": {"version": predicate["suite"]["version"], "sha256": predicate["suite"]["digest"]["sha256"]},
            "gates": predicate["suite"]["gates"],
            "reference": predicate["suite"]["reference"],
            "image": plan["image"],
            "plan": plan,
            **{name: predicate[name] for name in ("host", "stack", "results", "faults", "complete")},
        }
        return msgspec.convert(data, type=Report)
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError, RecursionError) as error:
        raise VerificationFailed(
            f"the certificate is malformed: {error}", "Have the image certified again."
        ) from None


def _levels_not_run(report: Report, verdict: Verdict) -> list[dict[str, str]]:
    rows = [{"level": name, "reason": reason} for name, reason in verdict.not_run]
    if report.plan.get("device") != "gpu":
        rows += [{"level": level, "reason": "no GPU was asked for"} for level in ("E3", "E4")]
    return [*rows, {"level": "E5", "reason": "one device was asked for"}, {"level": "E6", "reason": "one node"}]


def parse_statement(data: bytes) -> dict[str, Any]:
    """A Statement's bytes as plain data. Raises `VerificationFailed` for what is no JSON object, or is ambiguous."""
    todo = "Have the image certified again, or take the certificate from where it is published."
    try:
        found = strict.parsed(data)
    except ValueError as error:
        raise VerificationFailed(f"it is no certificate: {error}", todo) from None
    if not isinstance(found, dict):
        raise VerificationFailed("it is no certificate: it is no object", todo)
    return found


def read_statement(path: Path) -> dict[str, Any] | None:
    """A certificate's Statement, or None where there is none that can be read."""
    try:
        # A pipe would never open: whatever is no plain file is none.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST_REPORT:
                return None
            return parse_statement(file.read(LARGEST_REPORT))
    except (OSError, VerificationFailed):
        return None


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(data, indent=1, sort_keys=False) + "\n", encoding="utf-8")
    partial.replace(path)
