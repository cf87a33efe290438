from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from assay import catalog
from assay.catalog import Pin
from assay.catalog.pins import parse_pins
from tests.unit.catalog.refusals import TEXTS, A, B, refused, value_or_refusal, write

LOCK = f"# remark\ncuda-lib==1.0 \\\n    --hash=sha256:{A}\n    # via torch\ntorch==2.0 --hash=sha256:{B}\n"


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("six", "six has no exact version"),
        ("six>=1", "six has no exact version"),
        ("six==1.*", "six has no exact version"),
        ("six===1x", "is no requirement"),
        ("six==1,==1", "six has no exact version"),
        ("six==1", "six has no hash"),
        ("six==1 --hash=sha256:abc", "is no hash"),
        (f"six==1 --hash=md5:{A}", "is no hash"),
        (f"six==1 --hash=sha256:{A.upper()}", "is no hash"),
        (f"six==1 ; python_version < '3' --hash=sha256:{A}", "has a condition"),
        (f"torch==2.0 --hash=sha256:{B}", "torch stands twice"),
        (f"Torch==2.0 --hash=sha256:{B}", "torch stands twice"),
        (f"six @ file:///wheels/six.whl --hash=sha256:{A}", "records an address or a path"),
        (f"six @ https://example.org/six.whl --hash=sha256:{A}", "records an address or a path"),
        (f"./six.whl --hash=sha256:{A}", "records an address or a path"),
        ("--index-url https://index.example/simple", "records an address or a path"),
        ("# --index-url http://index.example/simple", "records an address or a path"),
        ("--find-links /wheels", "records an address or a path"),
        ("    # via -r /home/me/requirements.in", "records an address or a path"),
        ("    # via -r ~/requirements.in", "records an address or a path"),
        (r"    # via -r C:\work\requirements.in", "records an address or a path"),
        (f"six==1 \\\n  --hash=sha256:{A}  # https://x.example", "records an address or a path"),
        ("-e .", "is no requirement"),
        ("<<<<<<< ours", "is no requirement"),
        pytest.param(f"six=={'1' * 5000} --hash=sha256:{A}", "is no requirement", id="digits"),
    ],
)
def test_a_lock_is_pinned_hashed_and_says_nothing_about_a_machine(root: Path, line: str, fragment: str) -> None:
    write(root, "torchy/requirements.lock", LOCK)
    assert catalog.load(root).get("torchy").pins
    write(root, "torchy/requirements.lock", LOCK + line + "\n")
    refused(root, "images/torchy/requirements.lock:", fragment)


@pytest.mark.parametrize(
    "line", ["--index-url https://x.example", "-r other.in", "six @ https://x.example/a.whl", "="]
)
def test_requirements_are_requirements_only(root: Path, line: str) -> None:
    write(root, "torchy/requirements.in", f"torch==2.0\n{line}\n")
    refused(root, "images/torchy/requirements.in:2: ")


def test_pins() -> None:
    pins = parse_pins(f"Six_Seven==1.0+cu1 \\\r\n  --hash=sha256:{B} \\\r\n  --hash sha256:{A}\r\n", "x")
    assert pins == {"six-seven": Pin("six-seven", "1.0+cu1", (f"sha256:{A}", f"sha256:{B}"))}


@given(TEXTS)
@example("\\")
@example("six==1 ; " + "(" * 5000)
def test_any_lock(text: str) -> None:
    pins = value_or_refusal(lambda: parse_pins(text, "the lock"))
    assert all(pin.hashes and pin.version and name == pin.name for name, pin in (pins or {}).items())


# Nearly a name and a version: whatever is read without `packaging` has to mean the same to it.
NEARLY = st.from_regex(
    r"[A-Za-z0-9._-]{1,6}==[0-9]{1,10}(\.[0-9]{1,3}){0,6}(\.post[0-9]|rc1|[+][a-z0-9.]{1,4})?", fullmatch=True
)


@given(NEARLY)
def test_a_pin_means_what_packaging_says(text: str) -> None:
    try:
        told = Requirement(text)
    except InvalidRequirement:
        told = None
    pins = value_or_refusal(lambda: parse_pins(f"{text} --hash=sha256:{A}", "x"))
    assert bool(pins) == bool(told)
    if told and pins:
        (pin,) = pins.values()
        assert (pin.name, f"=={pin.version}") == (canonicalize_name(told.name), str(told.specifier))


names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}(rc[0-9])?", fullmatch=True)
hashes = st.sets(st.integers(0, 2**256 - 1).map("sha256:{:064x}".format), min_size=1, max_size=4)


@given(st.dictionaries(names, st.tuples(versions, hashes), max_size=4))
def test_a_lock_says_what_was_written(pins: dict[str, tuple[str, set[str]]]) -> None:
    text = "".join(
        " \\\n    ".join([f"{name}=={version}", *(f"--hash={value}" for value in values)]) + "\n    # via x\n"
        for name, (version, values) in pins.items()
    )
    assert parse_pins(text, "x") == {
        name: Pin(name, version, tuple(sorted(values))) for name, (version, values) in pins.items()
    }
