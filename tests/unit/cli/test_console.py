"""What all commands print with."""

from __future__ import annotations

import pytest

from assay.cli import console
from assay.errors import BuildFailed, UsageError
from assay.host import secrets


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


def test_nothing_that_is_printed_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_error(BuildFailed("\x1b[2Ja", "\x07b"))
    console.say("\x1b[31mc", ("\x9bd", "bold"))
    console.say_table(("\x1be",), [["\x1bf\ng"]])
    said = capsys.readouterr()
    assert said.err == "error: \\x1b[2Ja\n  \\x07b\n"
    assert said.out.split() == [r"\x1b[31mc\x9bd", r"\x1be", r"\x1bf\ng"]


def test_what_a_certificate_says_is_text_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """In a table too: no markup, no link, no picture by its name, nothing that steers the terminal."""
    foreign = "[/x][bold]a[link=http://b]c :warning: \x1b[2J\u009b31m\u202e"
    shown = r"[/x][bold]a[link=http://b]c :warning: \x1b[2J\x9b31m\u202e"
    console.say_table(("one",), [(foreign,)])
    console.show_error(UsageError(foreign, foreign))
    said = capsys.readouterr()
    assert said.out.splitlines()[1].rstrip() == shown
    assert said.err == f"error: {shown}\n  {shown}\n"


@pytest.mark.parametrize("as_json", [True, False])
def test_no_answer_holds_a_secret(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    secrets.keep("of nobody's business")
    console.finish(
        {"why": ["it says of nobody's business\x7f"]},
        as_json,
        row=lambda found: found,
        show=lambda found: console.say(found["why"][0]),
    )
    said = capsys.readouterr().out
    assert "nobody" not in said
    assert "it says [secret]" in said
    assert "\x7f" not in said
