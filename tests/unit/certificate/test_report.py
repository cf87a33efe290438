"""Reports from an image: read as an enemy's."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assay import certificate
from assay.certificate import Report
from assay.certificate.report import Result
from assay.errors import VerificationFailed
from tests.unit.certificate.reports import IMAGE, REAL, RECORDING, SUITE, report, result, whole

PACKAGES = result(REAL, "static.packages")


def other(field: str, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(REAL)
    *path, last = field.split(".")
    inner = data
    for name in path:
        inner = inner[name]
    inner[last] = value
    return data


@pytest.mark.parametrize("schema", [0, 2, None, "1", [], 1.5])
def test_another_schema(schema: Any) -> None:
    with pytest.raises(VerificationFailed, match="schema"):
        report(other("schema", schema))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", True),
        ("suite.sha256", "X" * 64),
        ("suite.sha256", "0" * 65),
        ("extra", 1),
        ("results", None),
        ("complete", "yes"),
        ("results", [{**PACKAGES, "state": "passed"}]),
        ("results", [{**PACKAGES, "extra": 1}]),
        ("results", [{**PACKAGES, "switches": "x"}]),
        ("results", [{**PACKAGES, "metrics": [{"name": "x", "value": 0}]}]),
        ("results", [{**PACKAGES, "metrics": [{"name": "x", "value": "0", "relation": ">"}]}]),
        ("results", [{**PACKAGES, "metrics": [{"name": "x", "value": "0" * 65}]}]),
        ("results", [PACKAGES] * 2049),
        ("results", [{**PACKAGES, "id": "x" * 257}]),
        ("results", [{**PACKAGES, "reason": "x" * (2**20 + 1)}]),
        ("results", [{**PACKAGES, "switches": ["x"] * 65}]),
        ("results", [{**PACKAGES, "metrics": [{"name": "x", "value": "0"}] * 65}]),
        ("faults", [REAL["faults"][0]] * 513),
    ],
)
def test_a_malformed_report(field: str, value: Any) -> None:
    with pytest.raises(VerificationFailed, match="the report is malformed"):
        report(other(field, value))


def test_a_key_that_stands_twice() -> None:
    """One reader takes the first, another the last."""
    text = json.dumps(REAL).replace('"complete": true', '"complete": false, "complete": true')
    with pytest.raises(VerificationFailed, match="the key 'complete' stands in it twice"):
        certificate.parse_report(text.encode())


def test_switches_may_be_told_and_need_not_be() -> None:
    data = whole()
    assert report(data).results[0].switches == ()
    data["results"][0]["switches"] = ["CUBLAS_WORKSPACE_CONFIG=:4096:8"]
    assert report(data).results[0].switches == ("CUBLAS_WORKSPACE_CONFIG=:4096:8",)


def test_a_truncated_report_anywhere() -> None:
    data = json.dumps(REAL).encode()
    for stop in range(0, len(data), 97):
        with pytest.raises(VerificationFailed):
            certificate.parse_report(data[:stop])


def test_a_report_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed, match="the suite wrote no report"):
        certificate.read_report(tmp_path / "report.json")


def test_a_report_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.touch()
    os.truncate(path, certificate.LARGEST_REPORT + 1)
    with pytest.raises(VerificationFailed, match="larger than 16 MiB"):
        certificate.read_report(path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes((RECORDING / "report.json").read_bytes())
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize("make", [fifo, link, Path.mkdir])
def test_what_an_image_leaves_in_place_of_a_report_is_not_followed(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "report.json")
    with pytest.raises(VerificationFailed, match="no plain file"):
        certificate.read_report(tmp_path / "report.json")


def test_a_report_is_read_from_a_file() -> None:
    assert certificate.read_report(RECORDING / "report.json") == report(REAL)


def attempt(data: bytes) -> None:
    """Whatever the bytes are: a report that can be judged, written and read back, or a refusal in two lines."""
    try:
        found = certificate.parse_report(data)
    except VerificationFailed as error:
        assert len(str(error).splitlines()) == 2  # noqa: PT017 - there may be none
        return
    verdict = certificate.judge(found, SUITE)
    assert verdict.level in certificate.LEVELS
    json.dumps(certificate.statement(found, verdict, IMAGE, "docker"))


@given(st.binary())
@example(b"[" * 100000)
@example(b'{"schema": 1, "host": ' + b'{"a":' * 5000)
@example(b'"\\ud800"')
@example(b'{"schema": 1e999}')
@example(b'{"schema": ' + b"9" * 5000 + b"}")
@example(b"\xef\xbb\xbf{}")
def test_any_bytes(data: bytes) -> None:
    attempt(data)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_a_real_report_with_bytes_changed(data: st.DataObject) -> None:
    text = bytearray(json.dumps(REAL).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    attempt(bytes(text))


def test_the_report_type_is_closed() -> None:
    assert all(kind.__struct_config__.forbid_unknown_fields for kind in (Report, Result))
    assert msgspec.structs.fields(Report)[0].name == "schema"
