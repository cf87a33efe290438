"""What a person sees: one line per image while it is built, tables afterwards; plain text where nobody looks."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.status import Status
from rich.table import Table
from rich.text import Text

from assay import verify
from assay.doctor import Diagnosis, Row
from assay.errors import AssayError
from assay.images import Built
from assay.publish import Published
from assay.reproduce import Rebuilt, Reproduced, Sameness
from assay.smoke import Outcome

# Where nobody looks (a pipe, a log) lines are as long as they need to be.
# No text is markup: most comes from an image or a certificate, which may be anybody's.
_LOOK: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False, "soft_wrap": True}
out = Console(**_LOOK, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, **_LOOK, width=None if sys.stderr.isatty() else 240)

# Seconds without a line about something that goes on, after which a log says so again.
BEAT = 30

_CONTROLS = {number: None for number in (*range(32), *range(127, 160)) if number not in {9, 10}}


def plain(text: str) -> str:
    """Text from inside an image without what would steer the terminal."""
    return text.translate(_CONTROLS)


def size(count: float) -> str:
    """Bytes for people: 1.2 GB."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


class _Row:
    """What is known of one image: since when it is in which phase, and when something was last said of it."""

    def __init__(self, now: float) -> None:
        self.started = self.phase_started = self.said = now
        self.phase = ""
        self.text = ""
        self.end: Text | None = None


class BuildView:
    """The progress of a build: a live table in a terminal, elsewhere a line per event, and one while nothing happens.

    ``clock`` gives seconds. Outside a terminal `beat` is called once a second.
    """

    def __init__(self, console: Console = err, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="beat", daemon=True)
        self._spinner = Spinner("dots")
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=8, transient=False)

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
            self._stop.set()
            self._beating.join()

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
        self._finish(name, Text(text, "green" if fresh else "dim"))

    def failed(self, name: str, error: AssayError | None) -> None:
        """It could not be built."""
        self._finish(name, Text(error.what if error else "not built: its parent was not", "red"))

    def beat(self) -> None:
        """Say in a log what has gone on for so long that whoever reads it may think that it hangs."""
        with self._lock:
            now = self._clock()
            for name, row in self._rows.items():
                if row.phase and now - row.said >= BEAT:
                    row.said = now
                    self._say(f"{name}: {row.phase}, {now - row.phase_started:.0f} s")

    def _beat(self) -> None:
        while not self._stop.wait(1):
            self.beat()

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
            self._console.print(line, markup=False)

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
                    table.add_row(mark, name, "", row.end)
                else:
                    phase = f"{row.phase} {now - row.phase_started:.0f} s" if row.phase else ""
                    said = Text.assemble((phase, "cyan"), "  " if phase else "", (plain(row.text), "dim"))
                    table.add_row(self._spinner, name, f"{now - row.started:.0f} s", said)
        return table


def table(columns: Iterable[str], rows: Iterable[Iterable[str]], *, right: Iterable[str] = ()) -> Table:
    """A plain table; the columns named in ``right`` hold numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    numbers = set(right)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(plain, row))
    return made


TRAINING = "training"


class SmokeView:
    """The progress of a smoke run: a spinner while an image trains, or lines in a log; its table when it is done."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._status: Status | None = None
        self._log = None if quiet or err.is_terminal else BuildView(err)

    def __enter__(self) -> SmokeView:
        if self._log:
            self._log.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._log:
            self._log.__exit__(kind, error, trace)

    def start(self, name: str) -> None:
        """An image's turn has come."""
        if err.is_terminal:
            self._status = err.status(f"{name}: {TRAINING}", spinner="dots")
            self._status.start()
        if self._log:
            self._log.phase(name, TRAINING)

    def done(self, outcome: Outcome) -> None:
        """Its results are there."""
        self._stop()
        if self._log:
            self._log.phase(outcome.image, "")
        if not self._quiet:
            show_outcome(outcome)

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


COLOURS = {"pass": "green", "fail": "bold red", "error": "bold red", "not-run": "dim"}


def show_outcome(outcome: Outcome, *, details: bool = True) -> None:
    """One image's results: a line per check, what failed with its remedy, and the level."""
    if outcome.report is None or outcome.verdict is None:
        if outcome.error:
            out.print(Text(f"{outcome.image}  {outcome.device}  error: {outcome.error.what}", "bold red"))
            out.print(f"  {outcome.error.todo}", markup=False)
        return
    if details and outcome.kept_from is None:
        out.print(_results_table(outcome))
    for name, problem in outcome.verdict.problems:
        out.print(Text(plain(f"  {name}: {problem.splitlines()[0]}"), "bold red"))
        remedy = next((one.remedy for one in outcome.report.results if one.id == name and one.remedy), "")
        if remedy:
            out.print(f"    {plain(remedy)}", markup=False)
    out.print(_sum(outcome))


def _results_table(outcome: Outcome) -> Table:
    assert outcome.report is not None  # noqa: S101 - the caller's condition
    made = table((outcome.image, "state", "seconds", "measured"), (), right=("seconds",))
    problems = dict(outcome.verdict.problems) if outcome.verdict else {}
    for result in outcome.report.results:
        state = "fail" if result.id in problems and result.state == "pass" else result.state
        metrics = ", ".join(
            f"{metric.name} {_short(metric.value)}" + (f" ({metric.relation} {metric.gate})" if metric.gate else "")
            for metric in result.metrics[:3]
        )
        made.add_row(
            plain(result.id),
            Text(state, COLOURS[state]),
            result.seconds if result.state != "not-run" else "",
            plain(metrics) if result.state != "not-run" else Text(plain(result.reason), "dim"),
        )
    for fault in outcome.report.faults:
        caught = f"fault {fault.id}" not in problems
        made.add_row(
            f"fault {fault.id}",
            Text("caught" if caught else "MISSED", "green" if caught else "bold red"),
            "",
            fault.check,
        )
    return made


def _sum(outcome: Outcome) -> Text:
    assert outcome.report is not None  # noqa: S101 - the caller's condition
    assert outcome.verdict is not None  # noqa: S101
    verdict = outcome.verdict
    states = [result.state for result in outcome.report.results]
    text = f"{outcome.image} on {outcome.device}: {verdict.level}, {states.count('pass')} passed"
    text += f", {len(verdict.problems)} problems" if verdict.problems else ""
    text += f", {states.count('not-run')} not run" if "not-run" in states else ""
    text += f", {len(outcome.report.faults)} faults caught" if verdict.passed else ""
    text += f", unchanged since {outcome.kept_from}" if outcome.kept_from else f", {outcome.seconds:.0f} s"
    return Text(text, "bold green" if verdict.passed else "bold red")


def _short(value: str) -> str:
    try:
        return f"{float(value):.3g}"
    except ValueError:
        return value


FINDING_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}
RUNS = {"gpu": ("on the GPU", "green"), "cpu": ("on the CPU", "yellow"), "no": ("no", "bold red")}


def show_diagnosis(answer: Diagnosis) -> None:
    """What the machine has, with remedies; each image with its verdict and why; how to run them."""
    if answer.findings:
        made = table(("this machine", "", ""), ())
        for one in answer.findings:
            made.add_row(one.id, Text(one.state, FINDING_COLOURS[one.state]), plain(one.message))
            if one.remedy:
                made.add_row("", "", Text(plain(one.remedy), "dim"))
        out.print(made)
        out.print()
    made = table(("image", "runs", "framework", "CUDA", "certified", "why"), ())
    for row in answer.rows:
        _add_image(made, row)
    out.print(made)
    commands = [row for row in answer.rows if row.command]
    if commands:
        out.print()
    for row in commands:
        out.print(Text(plain(f"{row.image.image}: "), "bold") + Text(plain(str(row.command)), "not bold"))


def _add_image(made: Table, row: Row) -> None:
    image, verdict = row.image, row.verdict
    word, colour = RUNS[verdict.runs]
    levels = ", ".join(f"{level} ({device})" for device, level in sorted(image.levels.items()))
    cuda = ".".join(map(str, image.cuda)) if image.cuda else "none"
    cells = (plain(image.framework), cuda, plain(levels), plain(verdict.why))
    made.add_row(Text(plain(image.image), "bold"), Text(word, colour), *cells)
    for note in verdict.notes:
        made.add_row("", "", "", "", "", Text(plain(note), "dim"))


def show_step(image: str, step: str) -> None:
    """What is under way, for whoever waits."""
    err.print(f"{image}: {step}", markup=False)


def show_published(done: Sequence[Published]) -> None:
    """What was published, and what it took."""
    rows = (
        (one.image, ", ".join(one.tags), one.reference.rpartition("@")[2][7:19], str(one.attached), size(one.sent),
         f"{one.seconds:.1f}")
        for one in done
    )  # fmt: skip
    out.print(table(("image", "tags", "digest", "attached", "sent", "seconds"), rows, right=("sent", "seconds")))


def show_verdict(verdict: verify.Verdict) -> None:
    """What a published image's certificates amount to, and what is wrong."""
    out.print(Text(plain(f"{verdict.reference}  {verdict.digest}"), "bold"))
    for one in verdict.certificates:
        out.print(f"  certificate  {plain(one.device)}: {one.level}, made {plain(one.created)}", markup=False)
    for name in verdict.statements:
        out.print(f"  signed       {plain(name)}", markup=False)
    for text in verdict.ignored:
        out.print(Text(f"  ignored      {plain(text)}", "yellow"))
    for text in verdict.problems:
        out.print(Text(f"  WRONG        {plain(text)}", "bold red"))
    if verdict.passed:
        out.print(Text(f"  holds: {plain(verdict.image)}, {verdict.level}", "bold green"))


SAMENESS_COLOURS = {Sameness.SAME: "green", Sameness.COMPRESSED_DIFFERENTLY: "green", Sameness.DIFFERENT: "bold red"}


def show_reproduced(rows: Iterable[Reproduced]) -> None:
    """Per image whether a second build gave the same, and both digests."""
    made = table(("image", "verdict", "digest", "again"), ())
    for one in rows:
        said = Text(one.sameness.value, SAMENESS_COLOURS[one.sameness])
        made.add_row(one.name, said, one.first.digest[:19], one.again.digest[:19])
    out.print(made)


def show_rebuilt(found: Rebuilt) -> None:
    """Whether the same bits came out, and where not."""
    out.print(Text(plain(f"{found.reference}  commit {found.commit[:12]}"), "bold"))
    out.print(f"  published  {found.published}\n  rebuilt    {found.rebuilt}", markup=False)
    for layer in found.layers:
        out.print(Text(f"  layer {layer.number}: {layer.count} files differ", "bold red"))
        for one in layer.files:
            out.print(Text(plain(f"    {one.path}: {one.what}")))
    for name in found.configuration:
        out.print(Text(plain(f"  configuration: {name}"), "bold red"))
    if found.recompressed:
        numbers = ", ".join(map(str, found.recompressed))
        out.print(Text(f"  layer {numbers}: the same content, compressed differently", "green"))
    if found.sameness is Sameness.SAME:
        out.print(Text("  the same, bit for bit", "bold green"))
    elif found.sameness.holds:
        out.print(Text("  the same files and configuration; only the compression differs", "bold green"))


def show_error(error: AssayError) -> None:
    """Two lines: what is wrong; what to do."""
    err.print(Text(plain(f"error: {error.what}"), "bold red"))
    err.print(Text(plain(f"  {error.todo}")))
