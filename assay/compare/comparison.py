"""The comparison that a checkout holds: its results, judged, and what they amount to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from assay.compare import results
from assay.compare.answer import Answer, Comparison, Control, Problem, Ratio
from assay.compare.judge import Judged, judge, strays
from assay.compare.line import Device, Line
from assay.compare.question import BASELINE, Question, questions
from assay.compare.statistics import Interval, agree
from assay.compare.timed import PLANTED, Cell, Set


def compare(root: Path, folder: Path | None = None, device: Device = "cpu", threads: int | None = None) -> Comparison:
    """What the results of a checkout amount to; of timed questions those with ``threads``, by default the most.

    Raises `UsageError` where a question of the checkout is malformed.
    """
    asked = questions(root)
    judged = judge(root, asked, results.read(folder or root / results.FOLDER), device)
    answers: list[Answer] = []
    controls: list[Control] = []
    problems = list(judged.problems)
    for question in asked.values():
        if question.kind == "facts":
            answers += _answers(question, [line for line in judged.facts if line.question == question.name])
        else:
            of_it, found, why = _timed(question, _sets(question, judged, threads))
            answers += of_it
            controls += found
            problems += why
    return Comparison(asked, tuple(answers), tuple(controls), tuple(problems))


def _answers(question: Question, lines: Iterable[Line]) -> Iterator[Answer]:
    there = {(line.framework, line.cell): line for line in lines}
    for cell in question.cells:
        for framework in question.frameworks:
            line = there.get((framework, cell))
            if line is None:
                yield Answer(question.name, cell, framework, "not measured", "no measurement of it stands")
            else:
                yield Answer(question.name, cell, framework, line.outcome, line.because, line)


def _sets(question: Question, judged: Judged, threads: int | None) -> list[Set]:
    """The sets of a timed question with one number of threads, the earliest first."""
    ours = {key: blocks for key, blocks in judged.sets.items() if key[0] == question.name and blocks}
    chosen = threads or max((key[2] for key in ours), default=0)
    return [Set(question, key[1], blocks) for key, blocks in ours.items() if key[2] == chosen]


def _timed(question: Question, sets: Sequence[Set]) -> tuple[list[Answer], list[Control], list[Problem]]:
    """The answers to a timed question: the first set of which the controls hold, confirmed by the second."""
    lines, problems = _outcomes(question, sets)
    controls: list[Control] = []
    ratios: dict[Cell, dict[str, Ratio]] = defaultdict(dict)
    done = [(line.framework, line.cell) for line in lines if line.outcome == "done"]
    for measure in question.measures:
        standing = []
        for one in sets:
            control = one.control(measure)
            controls += [control] if control else []
            wrong = _uncontrolled(one, measure, control)
            problems += [Problem(what, question.name, file=_file(question)) for what in wrong]
            standing += [] if wrong else [one]
        tables = []
        for one in standing[:2]:
            noisy = one.noisy(measure)
            for cell, found in noisy.items():
                what = f"set {one.name}: {BASELINE} differs from itself, {_text(found)} in {measure}"
                problems.append(Problem(what, question.name, BASELINE, cell, _file(question), void=False))
            tables.append(one.ratios(measure, [each for each in done if question.baseline(each[1]) not in noisy]))
        for where, first in tables[0].items() if tables else ():
            second = tables[1].get(where) if len(tables) > 1 else None
            ratio = _confirmed(first, second)
            ratios[where][measure] = ratio
            if second and ratio.verdict == "unstable":
                what = f"unstable {measure}: {_text(first.interval)} in set {first.set}, {_text(second.interval)} in "
                problems.append(
                    Problem(f"{what}set {second.set}", question.name, *where, file=_file(question), void=False)
                )
    answers = [replace(one, ratios=ratios[one.framework, one.cell]) for one in _answers(question, lines)]
    return answers, controls, problems


def _outcomes(question: Question, sets: Sequence[Set]) -> tuple[list[Line], list[Problem]]:
    """A line for each cell: one that was not done or strays from the reference, where there is such a one."""
    found: dict[Cell, list[tuple[str, Line]]] = defaultdict(list)
    for one in sets:
        for number, lines in one.blocks.items():
            for line in lines:
                if line.role == "compared":
                    found[line.framework, line.cell].append((f"set {one.name}, block {number}", line))
    chosen, problems = [], []
    for where, several in found.items():
        for place, line in several:
            wrong = strays(line) if line.outcome == "done" else ""
            if wrong or line.outcome == "failed":
                problems.append(
                    Problem(
                        f"{place}: {wrong or line.because}", question.name, *where, _file(question), void=bool(wrong)
                    )
                )
                chosen.append(msgspec.structs.replace(line, outcome="failed", because=wrong or line.because))
                break
        else:
            chosen.append(next((line for _, line in several if line.outcome == "cannot"), several[0][1]))
    return chosen, problems


def _uncontrolled(one: Set, measure: str, control: Control | None) -> list[str]:
    """Why nothing of a set can be compared: its controls are not as they must be."""
    if control is None:
        return [f"set {one.name} has too few controls of {measure}"]
    void = f"set {one.name} is void in {measure}: "
    told = []
    if not control.same.reads(1.0):
        told.append(f"{void}{BASELINE} differs from itself, {_text(control.same)}")
    if control.slowed and not control.slowed.reads(PLANTED):
        told.append(f"{void}a slowdown by {PLANTED} came out as {_text(control.slowed)}")
    if control.slowed and control.slowed.reads(1.0):
        told.append(f"{void}a slowdown by {PLANTED} was not seen, {_text(control.slowed)}")
    return told


def _confirmed(first: Ratio, second: Ratio | None) -> Ratio:
    """The first set's ratio with the second's interval; unstable where that does not confirm it."""
    if second is None:
        return first
    stable = agree(first.interval, second.interval)
    return replace(first, again=second.interval, verdict=first.verdict if stable else "unstable")


def _file(question: Question) -> str:
    return f"{question.name}.jsonl"


def _text(one: Interval) -> str:
    return f"{one.middle:.3f} [{one.low:.3f}, {one.high:.3f}]"
