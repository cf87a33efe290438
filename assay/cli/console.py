"""What all commands print with: texts, tables, errors; plain text where nobody looks.

rich is imported once something is printed with it: ``assay --version`` needs none.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import click

from assay.host import foreign, secrets

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from assay.errors import AssayError

# A text, or one with a style of rich's, such as "bold red".
Styled = str | tuple[str, str]
T = TypeVar("T")


def standard_output() -> Console:
    """Return the console of a command's answer."""
    return _console(stderr=False)


def standard_error() -> Console:
    """Return the console of all that is no part of the answer."""
    return _console(stderr=True)


@functools.cache
def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    # Where nobody looks (a pipe, a log) lines are as long as they need to be.
    stream = sys.stderr if stderr else sys.stdout
    # No text is markup: most comes from an image or a certificate, which may be anybody's.
    width = None if stream.isatty() else 240
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)


def styled(text: Styled) -> Text:
    """Return a text for rich, as one line: nothing in it is markup or a secret, and nothing steers the terminal."""
    from rich.text import Text

    words, style = (text, "") if isinstance(text, str) else text
    return Text(foreign.shown(secrets.hidden(words)), style)


def say(*parts: Styled) -> None:
    """Print a line of a command's answer."""
    from rich.text import Text

    standard_output().print(Text.assemble(*map(styled, parts)))


def note(text: str, style: str = "") -> None:
    """Print on standard error a line that is no part of the answer."""
    standard_error().print(styled((text, style)))


def say_table(columns: Iterable[str], rows: Iterable[Iterable[Styled]], *, right: Iterable[str] = ()) -> None:
    """Print a plain table; the columns named in ``right`` hold numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    numbers = set(right)
    for column in columns:
        table.add_column(styled(column), justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(styled, row))
    standard_output().print(table)


def size(count: int) -> str:
    """Return bytes for people: 1.25 GB."""
    from rich.filesize import decimal

    return decimal(count, precision=2)


def show_error(error: AssayError) -> None:
    """Print two lines: what is wrong; what to do."""
    note(f"error: {error.what}", "bold red")
    note(f"  {error.todo}")


def _nothing(_: object) -> None:
    return


def _without_secrets(data: object) -> object:
    if isinstance(data, str):
        return secrets.hidden(data)
    if isinstance(data, dict):
        return {name: _without_secrets(value) for name, value in data.items()}
    return [_without_secrets(value) for value in data] if isinstance(data, list | tuple) else data


def finish(
    result: T,
    as_json: bool,
    *,
    row: Callable[[T], object],
    show: Callable[[T], None],
    require: Callable[[T], None] = _nothing,
) -> None:
    """End a command: print its result, and raise what it amounts to.

    ``row`` makes JSON of it for programs, ``show`` prints it for people. ``require`` raises the error whose exit code
    the command ends with, if any.
    """
    if as_json:
        # JSON escapes all that a terminal obeys but the last of the controls.
        click.echo(json.dumps(_without_secrets(row(result)), indent=1).replace("\x7f", "\\u007f"))
    else:
        show(result)
    require(result)
