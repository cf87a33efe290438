"""Lines from outside: whatever they hold, each is read as it was written, or refused in two lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.compare import results
from assay.compare.line import Line, Told, encode, parse, parse_told
from assay.errors import UsageError, VerificationFailed

TOLD: dict[str, Any] = {
    "schema": 1,
    "question": "debugging",
    "framework": "torch",
    "cell": "wrong-shape",
    "outcome": "done",
    "because": None,
    "values": {"raised": True, "step": 1, "sizes": [2, 3.5, "x", None]},
    "text": "RuntimeError: mat1 and mat2 shapes cannot be multiplied (8x5 and 4x3)",
    "lines": 7,
    "seconds": 0.25,
}
KEPT: dict[str, Any] = TOLD | {
    "image": "pytorch",
    "name": "assay/pytorch:latest",
    "digest": "sha256:" + "a" * 64,
    "layers": ["sha256:" + "b" * 64],
    "device": "cpu",
    "program": "c" * 64,
    "set": "1",
    "block": None,
    "place": 0,
    "role": "compared",
    "threads": 2,
    "limits": {"cpus": "0-1", "memory_bytes": 2**33},
    "machine": {"cpu": "AMD EPYC", "cores": 2, "memory_bytes": 2**34, "kernel": "6.1"},
    "load": 0.02,
    "started": "2026-01-02T03:04:05+00:00",
}
JUNK = (None, True, -1, 1.5, "", "x\ny", "../x", "9" * 50_000, [], {}, [[1]], {"a": {}}, ["a"] * 3, 10**400)


def read(line: bytes, reader: Callable[[bytes], Told] = parse_told) -> Told | None:
    """The line, or None where it was refused in two lines of a bounded length."""
    with contextlib.suppress(VerificationFailed):
        return reader(line)
    with pytest.raises(VerificationFailed) as refused:
        reader(line)
    assert len(str(refused.value).splitlines()) == 2
    assert len(str(refused.value)) < 300
    return None


def data(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode()


def test_what_is_written_is_read() -> None:
    line = parse(data(KEPT))
    assert json.loads(encode(line)) == KEPT
    assert parse(encode(line)) == line
    assert encode(line).count(b"\n") == 1


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk)[:12])
def test_a_field_of_another_kind_is_refused_or_reads_back(name: str, junk: Any) -> None:
    told = read(data({**TOLD, name: junk}))
    assert told is None or msgspec.to_builtins(told)[name] == junk


@pytest.mark.parametrize("name", KEPT)
def test_each_field_of_a_kept_line_is_asked_for(name: str) -> None:
    line = {key: value for key, value in KEPT.items() if key != name}
    if name in {"schema", "because", "values", "text", "lines", "role"}:
        assert isinstance(parse(data(line)), Line)
    else:
        with pytest.raises(VerificationFailed, match=name):
            parse(data(line))


REFUSED = {
    "a field more": data({**TOLD, "more": 1}),
    "another schema": data({**TOLD, "schema": 2}),
    "a reason for what is done": data({**TOLD, "because": "it was tired"}),
    "no reason for what is not": data({**TOLD, "outcome": "cannot"}),
    "a key twice": data(TOLD)[:-1] + b', "seconds": 1}',
    "no number": data({**TOLD, "seconds": math_nan}) if (math_nan := float("nan")) else b"",
    "cut off": data(TOLD)[:-20],
    "empty": b"",
    "no object": b"[]",
    "deep": b"[" * 10_000,
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_malformed_is_refused(name: str) -> None:
    with pytest.raises(VerificationFailed, match="the line is malformed"):
        parse_told(REFUSED[name])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_line_or_two_lines_of_error(junk: bytes) -> None:
    read(junk, parse)
    read(junk, parse_told)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(sorted(TOLD)), JSON, max_size=2))
def test_any_json_is_a_line_or_two_lines_of_error(changes: dict[str, Any]) -> None:
    told = read(data({**TOLD, **changes}))
    assert told is None or msgspec.to_builtins(told) == {**TOLD, **changes}


@given(st.integers(0, 2000))
def test_a_file_that_is_cut_off_anywhere_names_its_last_line(
    tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    folder = tmp_path_factory.mktemp("results")
    whole = (data(KEPT) + b"\n") * 2
    (folder / "debugging.jsonl").write_bytes(whole[:at])
    found = results.read(folder)
    ends = [len(data(KEPT)), len(data(KEPT)) * 2 + 1]
    assert len(found.entries) == sum(at >= end for end in ends)
    partial = 0 < at < ends[0] or ends[0] + 1 < at < ends[1]
    assert [one.number for one in found.unread] == ([len(found.entries) + 1] if partial else [])


def test_a_line_of_another_question_is_named(tmp_path: Path) -> None:
    (tmp_path / "speed.jsonl").write_bytes(b"\n" + data(KEPT) + b"\n")
    (found,) = results.read(tmp_path).unread
    assert (found.file, found.number) == ("speed.jsonl", 2)
    assert "debugging" in found.what


def test_no_results_are_empty_ones(tmp_path: Path) -> None:
    assert results.read(tmp_path / "none") == results.Results()


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "speed.jsonl").open("wb") as file:
        file.truncate(results.LARGEST + 1)
    with pytest.raises(UsageError, match="larger than"):
        results.read(tmp_path)
