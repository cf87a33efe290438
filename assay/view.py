"""What a person sees: one line per image while it is built, tables afterwards; plain text where nobody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from assay.build import Built
from assay.errors import AssayError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def size(count: float) -> str:
    """Bytes for people: 1.2 GB."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


class _Row:
    def __init__(self) -> None:
        self.started = time.monotonic()
        self.text = ""
        self.end: Text | None = None


class BuildView:
    """The progress of a build: a live table in a terminal, a line per event elsewhere."""

    def __init__(self, console: Console = err) -> None:
        self._console = console
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()
        self._spinner = Spinner("dots")
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=8, transient=False)

    def __enter__(self) -> BuildView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def start(self, name: str) -> None:
        """An image's turn has come."""
        with self._lock:
            self._rows[name] = _Row()
        self._say(f"{name}: building")

    def step(self, name: str, text: str) -> None:
        """What is being done for it; in a log only what is not about one image."""
        with self._lock:
            row = self._rows.get(name)
            if row:
                row.text = " ".join(text.split())
        if row is None:
            self._say(text)

    def done(self, name: str, built: Built, fresh: bool) -> None:
        """It is there."""
        sizes = f"{size(built.compressed_bytes)} compressed, {size(built.uncompressed_bytes)} on disk"
        text = f"built in {built.seconds:.0f} s, {sizes}" if fresh else f"up to date, {sizes}"
        self._finish(name, Text(text, "green" if fresh else "dim"))

    def failed(self, name: str, error: AssayError | None) -> None:
        """It could not be built."""
        self._finish(name, Text(error.what if error else "not built: its parent was not", "red"))

    def _finish(self, name: str, text: Text) -> None:
        with self._lock:
            self._rows.setdefault(name, _Row()).end = text
        self._say(f"{name}: {text.plain}")

    def _say(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line, markup=False)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=1)
        table.add_column(style="bold")
        table.add_column(justify="right", style="cyan")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        with self._lock:
            for name, row in self._rows.items():
                if row.end is not None:
                    mark = Text("!", "red") if row.end.style == "red" else Text("*", "green")
                    table.add_row(mark, name, "", row.end)
                else:
                    table.add_row(
                        self._spinner, name, f"{time.monotonic() - row.started:.0f} s", Text(row.text, "dim")
                    )
        return table


def table(columns: Iterable[str], rows: Iterable[Iterable[str]], *, right: Iterable[str] = ()) -> Table:
    """A plain table; the columns named in ``right`` hold numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    numbers = set(right)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def show_error(error: AssayError) -> None:
    """Two lines: what is wrong; what to do."""
    err.print(Text(f"error: {error.what}", "bold red"))
    err.print(Text(f"  {error.todo}"))
