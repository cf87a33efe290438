"""The command `compare`: asks the frameworks the questions of compare/, and judges the answers that are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from assay.cli.console import Styled, finish, note, say, say_table, standard_error
from assay.cli.options import checkout, images_argument, json_option, pack_option
from assay.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from assay.catalog import Catalog
    from assay.cli.progress import BuildView
    from assay.compare import Answer, Comparison, Options, Problem, Question, Ratio

STYLES = {"done": "", "cannot": "yellow", "failed": "bold red", "not measured": "dim"}
MOST_LINES = 5  # numbers of lines that are told of one problem


@click.command("compare")
@images_argument
@click.option("--question", "names", multiple=True, metavar="NAME", help="Ask this question only; repeatable.")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True, help="What to run on.")
@click.option("--blocks", type=click.IntRange(1, 1000), default=15, show_default=True, help="Blocks of a set.")
@click.option("--set", "set_", metavar="NAME", default="1", show_default=True, help="The set that is measured.")
@click.option("--again", is_flag=True, help="Measure again what stands.")
@click.option("--threads", type=click.IntRange(1), help="Threads of a program; by default one a processor.")
@click.option("--cpus", metavar="LIST", help="Processors of the containers, such as 0-3; by default all.")
@click.option("--memory", metavar="SIZE", default="8g", show_default=True, help="Memory of each container.")
@click.option(
    "--load", type=click.FloatRange(0), help="Processors that others may keep busy while seconds are measured (0.25)."
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Where the results are (compare/results)."
)
@click.option("--check", is_flag=True, help="Measure nothing: judge the results that are there.")
@json_option
@pack_option
def compare_command(
    images: tuple[str, ...], names: tuple[str, ...], out: Path | None, check: bool, as_json: bool, **given: Any
) -> None:
    """Ask the frameworks the questions of compare/, each in its certified image, and keep the answers.

    What stands is not measured again. Without IMAGE, the newest image of each framework that is built and certified.
    """
    from assay import catalog, compare

    cat = catalog.load(checkout())
    questions = _chosen(compare.questions(cat.root), names)
    if not check:
        how = (_options(given), out or cat.root / compare.RESULTS, given["pack"])
        _measure(cat, images, questions, how, quiet=as_json)
    whole = compare.compare(cat.root, out, given["device"], given["threads"])
    finish(
        whole.only(names) if names else whole,
        as_json,
        row=compare.as_json,
        show=_show,
        require=compare.require_sound if check else lambda _: None,
    )


def _chosen(there: dict[str, Question], names: Iterable[str]) -> list[Question]:
    from assay.catalog.image import nearest

    if not there:
        raise UsageError("compare/ has no questions", "docs/compare.md says how one is written.")
    for name in names:
        if name not in there:
            raise UsageError(f"no question is named {name!r}", nearest(name, there))
    return [one for one in there.values() if not names or one.name in names]


def _options(given: dict[str, Any]) -> Options:
    import re

    from assay import compare, engine
    from assay.compare.line import SET
    from assay.host import load

    if not re.fullmatch(SET, given["set_"]):
        raise UsageError(f"{given['set_']!r} is no name for a set", "Use small letters, digits and hyphens.")
    cpus = given["cpus"] or ",".join(map(str, load.usable()))
    count = len(_processors(cpus))
    chosen = {"load": given["load"]} if given["load"] is not None else {}
    return compare.Options(
        cpus=cpus,
        threads=given["threads"] or count,
        device=given["device"],
        blocks=given["blocks"],
        set=given["set_"],
        again=given["again"],
        memory_bytes=engine.parse_size(given["memory"]),
        **chosen,
    )


def _processors(text: str) -> set[int]:
    """The processors that a list such as 0-2,5 names. Raises `UsageError` for what this machine has not."""
    from assay.host import load

    todo = f"This machine has {', '.join(map(str, load.usable()))}: write a list such as 0-1 or 0,2."
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise UsageError(f"{text!r} is no list of processors", todo)
        found |= set(range(int(first), int(last or first) + 1)) if int(last or first) < 2**16 else {2**16}
    if not found <= set(load.usable()) or not found:
        raise UsageError(f"there are no processors {text}", todo)
    return found


def _measure(
    cat: Catalog,
    images: Sequence[str],
    questions: Sequence[Question],
    how: tuple[Options, Path, bool],
    *,
    quiet: bool,
) -> None:
    from assay import certify, compare, engine
    from assay.errors import together

    options, folder, pack = how
    for name in images:
        cat.get(name)
    with engine.find() as found:
        who = compare.participants(cat, found, images, options.device, note)
        try:
            with CompareView(quiet=quiet) as view:
                failures = compare.Measuring(cat.root, found, options, folder, view).measure(questions, who)
        finally:
            for one in who if pack else ():
                certify.pack(found, cat.get(one.image), [])
    if failures:
        raise together(failures)


class CompareView:
    """How measuring goes on: in a terminal a bar with the time that is left, in a log a line for each phase."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._log: BuildView | None = None

    def __enter__(self) -> CompareView:
        from assay.cli.progress import BuildView

        if self._quiet:
            return self
        if standard_error().is_terminal:
            self._bar = _bar()
            self._bar.start()
        else:
            self._log = BuildView().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        if self._log:
            self._log.__exit__(kind, error, trace)

    def begin(self, containers: int) -> None:
        """So many containers will be run."""
        if self._bar:
            self._task = self._bar.add_task("", total=containers)
        if not self._quiet and not containers:
            note("all of it stands: nothing is measured (--again measures it again)")

    def phase(self, name: str, text: str) -> None:
        """Something is done for a question now; an empty text ends it."""
        if self._bar and self._task is not None:
            from assay.host import foreign

            self._bar.update(self._task, description=foreign.shown(f"{name}: {text}" if text else name))
        if self._log:
            self._log.phase(name, text)

    def ran(self, count: int) -> None:
        """So many containers more have ended."""
        if self._bar and self._task is not None:
            self._bar.advance(self._task, count)


def _bar() -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=standard_error(),
    )


def _show(comparison: Comparison) -> None:
    """Print a table for each question, what its controls found, and what is wrong."""
    for question in comparison.questions.values():
        say((question.title, "bold"))
        say_table(("cell", *question.frameworks), _rows(comparison, question))
        for control in comparison.controls:
            if control.question == question.name:
                slowed = f"; slowed by 5 % it is {control.slowed}" if control.slowed else ""
                text = f"  set {control.set}, {control.measure}: PyTorch by PyTorch is {control.same}{slowed}"
                say((text, "" if control.passed else "bold red"))
        _say_problems(one for one in comparison.problems if one.question == question.name)
        say("")
    _say_problems(one for one in comparison.problems if one.question not in comparison.questions)


def _say_problems(problems: Iterable[Problem]) -> None:
    for one in problems:
        say((f"  {_told(one)}", "bold red" if one.void else "yellow"))


def _rows(comparison: Comparison, question: Question) -> Iterator[tuple[Styled, ...]]:
    for cell in question.cells:
        answers = comparison.of(question.name, cell)
        measures = list(question.measures) or [""]
        for at, measure in enumerate(measures):
            name = cell if len(measures) == 1 else f"{cell} {measure}"
            if at == 0 or any(measure in one.ratios for one in answers.values()):
                yield name, *(_cell(answers[framework], measure) for framework in question.frameworks)


def _cell(answer: Answer, measure: str) -> Styled:
    ratio: Ratio | None = answer.ratios.get(measure)
    if ratio is None or answer.outcome != "done":
        return answer.outcome, STYLES[answer.outcome]
    return (f"{ratio.interval}{'' if ratio.verdict == 'shown' else '?' if ratio.verdict == 'unstable' else ' ='}", "")


def _told(one: Problem) -> str:
    where = [f"{one.file}" if one.file else one.question]
    if one.lines:
        rest = f" and {len(one.lines) - MOST_LINES} more" if len(one.lines) > MOST_LINES else ""
        where.append(f"line{'s' if len(one.lines) > 1 else ''} {', '.join(map(str, one.lines[:MOST_LINES]))}{rest}")
    where += [word for word in (one.framework, one.cell) if word]
    return f"{', '.join(where)}: {one.what}"
