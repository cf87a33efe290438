"""NVIDIA's tables, and which code serves which GPU."""

from __future__ import annotations

import pytest

from assay.doctor import cuda
from assay.doctor.cuda import Code
from tests.unit.doctor.images import pairs


def test_a_number_of_any_length_is_a_version() -> None:
    assert cuda.numbers("580.65.06") == (580, 65, 6)
    assert cuda.numbers("9" * 5000)[0] == int("9" * 18)


@pytest.mark.parametrize(
    ("code", "ptx", "serves", "not_"),
    [
        ("9.0", False, "9.0", "8.9 10.0"),
        ("8.0", False, "8.0 8.6 8.9", "7.5 9.0"),
        ("9.0a", False, "9.0", "8.9 10.0"),
        ("10.0f", False, "10.0 10.3", "9.0 12.0"),
        ("9.0", True, "9.0 10.0 12.1", "8.9"),
        ("9.0a", True, "9.0", "10.0 12.0"),
        ("10.0f", True, "10.0 10.3", "9.0 12.0"),
    ],
)
def test_what_code_serves(code: str, ptx: bool, serves: str, not_: str) -> None:
    parsed = Code.parse(code)
    assert all(parsed.serves(one, ptx=ptx) for one in pairs(serves))
    assert not any(parsed.serves(one, ptx=ptx) for one in pairs(not_))


def test_the_suite_in_the_image_has_the_same_rule() -> None:
    """The host cannot import it, and a rule is no data that both could read; the two must not drift apart."""
    from smoke.installed import fatbin
    from smoke.installed.cuda import CAPABILITIES

    codes = [f"{major}.{minor}{only}" for major, minor in CAPABILITIES for only in ("", "a", "f")]
    for text in codes:
        parsed = Code.parse(text)
        for ptx in (False, True):
            other = fatbin.Code(ptx, *parsed.capability, parsed.only)
            for gpu in CAPABILITIES:
                assert parsed.serves(gpu, ptx=ptx) == other.serves(*gpu), (text, ptx, gpu)


@pytest.mark.parametrize(
    ("version", "written"),
    [
        ((12, 4), "12.4"),
        ((9, 0), "9.0"),
        ((550, 54, 14), "550.54.14"),
        ((580, 65, 6), "580.65.06"),
        ((520, 6), "520.06"),
        ((440, 100), "440.100"),
        ((550,), "550"),
        ((), ""),
    ],
)
def test_how_a_version_is_written(version: tuple[int, ...], written: str) -> None:
    assert cuda.dotted(version) == written


@pytest.mark.parametrize("text", ["", "9", "9.", ".0", "9.0x", "9.00", "100.0", "9.0 ", "-9.0", "9,0", "\u0669.0"])
def test_what_is_no_compute_capability(text: str) -> None:
    with pytest.raises(ValueError, match="is no compute capability"):
        Code.parse(text)
