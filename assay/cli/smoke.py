"""`smoke`: train in images and write their certificates, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from assay.cli import cluster
from assay.cli.console import Styled, finish, say, say_table, standard_error, styled
from assay.cli.options import here_option, images_argument, images_here, json_option, pack_option
from assay.errors import UsageError

if TYPE_CHECKING:
    from rich.status import Status

    from assay.catalog import Catalog
    from assay.certificate import Report, Verdict
    from assay.certify import Outcome
    from assay.cli.progress import BuildView

TRAINING = "training"
COLOURS = {"pass": "green", "fail": "bold red", "error": "bold red", "not-run": "dim"}


@click.command("smoke")
@images_argument
@click.option(
    "--device", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True, help="What to train on."
)
@click.option(
    "--ranks",
    type=click.Choice(["2", "4", "8", "16", "32"]),
    help="Train, too, in so many processes that compute as one.",
)
@click.option("--again", is_flag=True, help="Certify again what already has a certificate.")
@click.option("--memory", metavar="SIZE", help="Bound each container's memory, for instance 8g.")
@json_option
@pack_option
@here_option
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML for a CI system.")
@cluster.cluster_options
def smoke_command(
    images: tuple[str, ...],
    memory: str | None,
    ranks: str | None,
    as_json: bool,
    junit: Path | None,
    platform: str | None,
    **options: Any,
) -> None:
    """Train in the built images (all, unless named) and write their certificates.

    An image for another processor than this machine's is only looked at, and gets no certificate.
    """
    from assay import build, certify, engine

    there = cluster.Asked.taken(options)
    cat = images_here(platform)
    for name in images:
        cat.get(name)
    if build.is_foreign(cat.platform):
        if junit or ranks or there or options["device"] != "cpu":
            todo = "Leave out --device, --junit, --on, --ranks."
            raise UsageError("an image that is emulated gets no certificate", todo)
        _look_at(cat, images, as_json)
        return
    if junit and not junit.absolute().parent.is_dir():
        raise UsageError(f"{junit.parent} is no folder, so {junit.name} cannot be written there", "Make it first.")
    if ranks and options["device"] != "cpu":
        raise UsageError("ranks train on the CPU only", "Leave out --ranks, or --device gpu.")
    how = certify.Options(
        ranks=int(ranks or 0), memory_bytes=None if memory is None else engine.parse_size(memory), **options
    )
    view = SmokeView(quiet=as_json)
    if there and there.printed:
        there.print(cat, images, how)
        return
    if there:
        with view:
            outcomes = there.smoke(cat, images, how, view)
    else:
        with engine.find() as found, view:
            outcomes = certify.certify(cat, found, images, how, view.start, view.done)
    _finish(outcomes, as_json)
    if junit:
        junit.write_bytes(certify.junit(outcomes))
    certify.require_passed(outcomes)


def _finish(outcomes: Sequence[Outcome], as_json: bool) -> None:
    from assay import certify

    finish(
        outcomes,
        as_json,
        row=lambda outcomes: [certify.row(outcome) for outcome in outcomes],
        show=lambda _: None,  # each was shown when it was done
    )


def _look_at(cat: Catalog, images: tuple[str, ...], as_json: bool) -> None:
    """Run what may be said of images whose programs are emulated."""
    from assay import build, certify, engine

    build.require_runs(cat.platform)
    view = SmokeView(quiet=as_json)
    with engine.find() as found, view:
        outcomes = []
        for outcome in certify.emulated(cat, found, images, build.suffix_of(cat.platform), view.start):
            outcomes.append(outcome)
            view.done(outcome, where=cat.platform.name)
    _finish(outcomes, as_json)
    certify.require_sound(outcomes)


class SmokeView:
    """The progress of a smoke run: a spinner while an image trains, or lines in a log; its table when it is done."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._name = ""
        self._status: Status | None = None
        self._log: BuildView | None = None
        self._states: dict[str, str] = {}  # of what goes on side by side, elsewhere

    def __enter__(self) -> SmokeView:
        from assay.cli.progress import BuildView

        if not self._quiet and not standard_error().is_terminal:
            self._log = BuildView().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._log:
            self._log.__exit__(kind, error, trace)

    def start(self, name: str) -> None:
        """An image's turn has come."""
        self._name = name
        if standard_error().is_terminal:
            self._status = standard_error().status(styled(f"{name}: {TRAINING}"), spinner="dots")
            self._status.start()
        if self._log:
            self._log.phase(name, TRAINING)

    def phase(self, text: str) -> None:
        """Something else is done with the image whose turn it is."""
        if self._status:
            self._status.update(styled(f"{self._name}: {text}"))
        if self._log:
            self._log.phase(self._name, text)

    def state(self, name: str, text: str) -> None:
        """What becomes of one of several images, or of what concerns all; an empty text ends it."""
        self._states = {**self._states, name: text} if text else _without(self._states, name)
        if self._log:
            self._log.phase(name, text)
        elif not self._quiet:
            shown = styled("; ".join(f"{each}: {told}" for each, told in self._states.items()))
            self._status = self._status or standard_error().status(shown, spinner="dots")
            self._status.update(shown)
            self._status.start()

    def done(self, outcome: Outcome, where: str = "") -> None:
        """Its results are there; ``where`` is the platform that is emulated."""
        self._stop()
        self._states = _without(self._states, outcome.image)
        if self._log:
            self._log.phase(outcome.image, "")
        if not self._quiet:
            show_emulated(outcome, where) if where else show_outcome(outcome)

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def _without(states: dict[str, str], name: str) -> dict[str, str]:
    return {each: text for each, text in states.items() if each != name}


def show_outcome(outcome: Outcome) -> None:
    """Print one image's results: a line per check, what failed with its remedy, and the level."""
    report, verdict = outcome.report, outcome.verdict
    if report is None or verdict is None:
        if outcome.error:
            say((f"{outcome.image}  {outcome.device}  error: {outcome.error.what}", "bold red"))
            say(f"  {outcome.error.todo}")
        return
    if outcome.kept_from is None:
        say_table((outcome.image, "state", "seconds", "measured"), _rows(report, outcome), right=("seconds",))
    for name, problem in outcome.problems:
        say((f"  {name}: {problem.splitlines()[0]}", "bold red"))
        remedy = next((result.remedy for result in report.results if result.id == name and result.remedy), "")
        if remedy:
            say(f"    {remedy}")
    say((_summary(outcome, report, verdict), "bold green" if outcome.passed else "bold red"))


def show_emulated(outcome: Outcome, platform: str) -> None:
    """Print what was found in an image whose programs are emulated, a line per check, and that this is all."""
    from assay import certify

    if outcome.report is None or outcome.verdict is None:
        show_outcome(outcome)
        return
    say_table((outcome.image, "state", "seconds", "measured"), _rows(outcome.report, outcome), right=("seconds",))
    bad = certify.failed(outcome)
    said = f"{len(bad)} failed" if bad else f"{outcome.verdict.level}"
    text = f"{outcome.image} for {platform}, emulated: {said}, {outcome.seconds:.0f} s; no certificate is made of it"
    say((text, "bold red" if bad else "bold green"))


def _rows(report: Report, outcome: Outcome) -> Iterator[tuple[Styled, ...]]:
    problems = dict(outcome.problems)
    for result in report.results:
        state = "fail" if result.id in problems and result.state == "pass" else result.state
        if result.state == "not-run":
            yield result.id, (state, COLOURS[state]), "", (result.reason, "dim")
            continue
        metrics = ", ".join(
            f"{metric.name} {_short(metric.value)}" + (f" ({metric.relation} {metric.gate})" if metric.gate else "")
            for metric in result.metrics[:3]
        )
        yield result.id, (state, COLOURS[state]), result.seconds, metrics
    for fault in report.faults:
        caught = f"fault {fault.id}" not in problems
        yield f"fault {fault.id}", ("caught", "green") if caught else ("MISSED", "bold red"), "", fault.check


def _summary(outcome: Outcome, report: Report, verdict: Verdict) -> str:
    from assay.certificate import level_text

    states = [result.state for result in report.results]
    level = level_text(verdict.level, outcome.derived, verdict.marks)
    text = f"{outcome.image} on {outcome.device}: {level}, {states.count('pass')} passed"
    text += f", {len(outcome.problems)} problems" if outcome.problems else ""
    text += f", {states.count('not-run')} not run" if "not-run" in states else ""
    text += f", {len(report.faults)} faults caught" if verdict.passed else ""
    return text + (f", unchanged since {outcome.kept_from}" if outcome.kept_from else f", {outcome.seconds:.0f} s")


def _short(value: str) -> str:
    try:
        return f"{float(value):.3g}"
    except ValueError:
        return value
