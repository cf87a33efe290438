"""Text from strangers, as it is shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.host import foreign


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a plain text, grüße, 中文 [bold]", "a plain text, grüße, 中文 [bold]"),
        ("\x1b[2J\x07\x7f", r"\x1b[2J\x07\x7f"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("one\n  holds: other, E4\r\n\t", r"one\n  holds: other, E4\r\n\t"),
        ("one\u2028two\u2029", r"one\u2028two\u2029"),
        ("\u202egnp.exe\u2066\u200f\u061c", r"\u202egnp.exe\u2066\u200f\u061c"),
        ("a\u200bb\ufeff\U000e0041", r"a\u200bb\ufeff\U000e0041"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_is_obeyed_elsewhere_is_shown(text: str, shown: str) -> None:
    assert foreign.shown(text) == shown


@given(st.text())
def test_whatever_it_is_it_is_one_line_of_what_is_seen(text: str) -> None:
    shown = foreign.shown(text)
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for each in shown)
    assert foreign.shown(shown) == shown


def test_a_text_of_lines_keeps_them() -> None:
    assert foreign.lines("one\n\x1b[1mtwo\rthree\n") == "one\n\\x1b[1mtwo\\rthree\n"
    assert foreign.lines("one") == "one"
