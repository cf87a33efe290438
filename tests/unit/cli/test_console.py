"""What all commands print with."""

from __future__ import annotations

import pytest

from assay.cli import console
from assay.errors import BuildFailed


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (146_997_337, "147.00 MB"),
        (1_500_000_000, "1.50 GB"),
        (8_920_000_000, "8.92 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert console.size(count) == text


def test_an_error_is_two_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_error(BuildFailed("a " * 500 + "[bold]x[/]", "Do\nthat [y]."))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error: {('a ' * 500)}[bold]x[/]\n  Do that [y].\n"


def test_what_would_steer_the_terminal_is_taken_out() -> None:
    assert console.plain("\x1b[2J\x07wiped\u009b31m\nnext") == "[2Jwiped31m\nnext"


def test_nothing_that_is_printed_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_error(BuildFailed("\x1b[2Ja", "\x07b"))
    console.say("\x1b[31mc", ("\x9bd", "bold"))
    console.say_table(("\x1be",), [["\x1bf"]])
    said = capsys.readouterr()
    assert said.err == "error: [2Ja\n  b\n"
    assert said.out.split() == ["[31mcd", "e", "f"]
