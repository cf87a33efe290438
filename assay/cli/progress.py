"""The progress of a build: a live table in a terminal, lines in a log, with no long silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from assay.catalog import Built
from assay.cli.beats import BEAT, Beats
from assay.cli.console import size, standard_error, styled
from assay.errors import AssayError


class _Row:
    """One image: its phase and since when, and when a line about it was last printed. Times are in seconds."""

    def __init__(self, now: float) -> None:
        self.started = self.phase_started = self.said = now
        self.phase = ""
        self.text = ""
        self.end: Text | None = None


class BuildView:
    """Shows a build: a live table in a terminal; elsewhere a line per event, and one now and then while none comes.

    It is told by the functions of `assay.build.View`. ``clock`` gives seconds. Outside a terminal a thread calls
    `beat` once a second.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or standard_error()
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._lock = threading.RLock()
        self._beating = Beats(self.beat)
        self._spinner = Spinner("dots")
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=8, transient=False)

    def __enter__(self) -> BuildView:
        if self._console.is_terminal:
            self._live.start()
        else:
            self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._beating.end()

    def start(self, name: str) -> None:
        """An image's turn has come."""
        with self._lock:
            row = self._rows.get(name)
            if row is None or row.end is not None:  # else it is at work already, ahead of its turn
                self._rows[name] = _Row(self._clock())
            self._say(f"{name}: building")

    def phase(self, name: str, text: str) -> None:
        """Another phase begins, of an image or of what concerns all; an empty one ends the last."""
        with self._lock:
            row = self._rows.setdefault(name, _Row(self._clock()))
            if row.phase == text:
                return
            self._end_phase(name, row)
            row.phase, row.text = text, ""
            if text:
                row.end = None
                self._say(f"{name}: {text}")
            elif row.end is None:
                del self._rows[name]

    def step(self, name: str, text: str) -> None:
        """What is being done for it just now; not in a log, where it would be thousands of lines."""
        with self._lock:
            row = self._rows.get(name)
            if row:
                row.text = " ".join(text.split())

    def done(self, name: str, built: Built, fresh: bool) -> None:
        """The image is there."""
        sizes = f"{size(built.compressed_bytes)} compressed, {size(built.uncompressed_bytes)} on disk"
        text = f"built in {built.seconds:.0f} s, {sizes}" if fresh else f"up to date, {sizes}"
        self._finish(name, styled((text, "green" if fresh else "dim")))

    def failed(self, name: str, error: AssayError | None) -> None:
        """It could not be built."""
        self._finish(name, styled((error.what if error else "not built: its parent was not", "red")))

    def beat(self) -> None:
        """Print again what has gone on for BEAT seconds without a line, so that nobody thinks that it hangs."""
        with self._lock:
            now = self._clock()
            for name, row in self._rows.items():
                if row.phase and now - row.said >= BEAT:
                    row.said = now
                    self._say(f"{name}: {row.phase}, {now - row.phase_started:.0f} s")

    def _end_phase(self, name: str, row: _Row) -> None:
        now = self._clock()
        if row.phase:
            self._say(f"{name}: {row.phase} took {now - row.phase_started:.0f} s")
        row.phase_started = row.said = now

    def _finish(self, name: str, text: Text) -> None:
        with self._lock:
            row = self._rows.setdefault(name, _Row(self._clock()))
            self._end_phase(name, row)
            row.phase, row.end = "", text
            self._say(f"{name}: {text.plain}")

    def _say(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(styled(line))

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=1)
        table.add_column(style="bold")
        table.add_column(justify="right", style="cyan")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        with self._lock:
            now = self._clock()
            for name, row in self._rows.items():
                if row.end is not None:
                    mark = Text("!", "red") if row.end.style == "red" else Text("*", "green")
                    table.add_row(mark, styled(name), "", row.end)
                else:
                    phase = f"{row.phase} {now - row.phase_started:.0f} s" if row.phase else ""
                    said = Text.assemble(styled((phase, "cyan")), "  " if phase else "", styled((row.text, "dim")))
                    table.add_row(self._spinner, styled(name), f"{now - row.started:.0f} s", said)
        return table
