"""What the pages of the comparison say: one of all questions, and one with everything for each."""

from __future__ import annotations

import ast
import itertools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from assay.compare import Answer, Comparison, Question, Ratio
from assay.compare.question import BASELINE, FOLDER, WRITTEN
from assay.errors import UsageError
from assay.site import plot, told, units
from assay.site.frameworks import look
from assay.site.plot import Scale

CORRECTIONS = f"{FOLDER}/corrections.toml"


@dataclass(frozen=True)
class Row:
    """A line of an interval plot, and of the table under it."""

    answer: Answer
    label: str
    ratio: Ratio | None
    strip: Markup
    words: str


@dataclass(frozen=True)
class Plot:
    """An interval plot: what was measured, its lines, its axis, and what follows from the intervals."""

    title: str
    measure: str
    rows: tuple[Row, ...]
    axis: Markup
    less: str
    verdicts: list[tuple[str, str]]


def claims(comparison: Comparison | None) -> list[dict[str, Any]]:
    """What is said of the frameworks, each with the sentences that answer it and the commands that measure them."""
    return [
        {
            "text": claim.text,
            "answers": [
                {"sentence": sentence, "question": ask.question, "command": command(ask.question)}
                for ask in claim.answer
                if comparison and (sentence := told.sentence(ask, comparison))
            ],
        }
        for claim in told.claims()
    ]


def words(comparison: Comparison, root: Path) -> dict[str, Any]:
    """What the template of the page with all questions is filled with."""
    return {
        "comparison": comparison,
        "questions": [
            question_words(comparison.questions[name], comparison, root)
            for name in told.in_order(comparison.questions)
        ],
        "corrections": corrections(root),
        "void": [one for one in comparison.problems if one.void],
        "remarks": [one for one in comparison.problems if not one.void],
    }


def question_words(question: Question, comparison: Comparison, root: Path) -> dict[str, Any]:
    """What is said of a question on both pages."""
    answers = [one for one in comparison.answers if one.question == question.name]
    measured = [one for one in answers if one.outcome != "not measured"]
    drawn = plots(question, measured)
    return {
        "question": question,
        "about": about(root, question),
        "legend": told.telling(question.name).legend,
        "command": command(question.name),
        "measured": measured,
        "frameworks": told.ordered(question.frameworks),
        "cells": {cell: {one.framework: one for one in answers if one.cell == cell} for cell in question.cells},
        "plots": drawn,
        "shown": _fullest(drawn),
        "sentences": _sentences(question, comparison),
        "controls": [one for one in comparison.controls if one.question == question.name],
        "problems": [one for one in comparison.problems if one.question == question.name],
    }


def command(question: str) -> str:
    """What measures a question again."""
    return f"assay compare --question {question}"


def about(root: Path, question: Question) -> str:
    """What the file of a question says of itself, without its first sentence: that is its title."""
    text = (root / FOLDER / question.name / "question.py").read_text(encoding="utf-8")
    paragraphs = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")
    first = " ".join(paragraphs[0].split())
    return first.removeprefix(question.title).strip()


def corrections(root: Path) -> list[dict[str, str]]:
    """What was measured wrongly once, and was corrected: ``date``, ``question`` and ``what`` of each, newest first.

    Raises `UsageError` where the file is malformed.
    """
    path = root / CORRECTIONS
    if not path.exists():
        return []
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8"))["correction"]
        found = [{name: str(one[name]) for name in ("date", "question", "what")} for one in listed]
    except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        todo = "Give each [[correction]] a date, a question and what it was."
        raise UsageError(f"{CORRECTIONS} is malformed: {error!r}", todo) from None
    return sorted(found, key=lambda one: one["date"], reverse=True)


def plots(question: Question, answers: Sequence[Answer]) -> list[Plot]:
    """The interval plots of a timed question: a measure of all cells that differ only in how they are run."""
    made = []
    for measure, title in question.measures.items():
        ratios = [ratio for one in answers if (ratio := one.ratios.get(measure))]
        if not ratios:
            continue
        scale = Scale.around(value for one in ratios for value in _extent(one))
        for group, cells in _groups(question).items():
            rows = tuple(_rows(question, answers, cells, measure, scale))
            if any(row.ratio for row in rows):
                made.append(Plot(group, title, rows, plot.axis(scale), _sides(measure)[0], _verdicts(rows, measure)))
    return made


def _sentences(question: Question, comparison: Comparison) -> list[str]:
    """Of the sentences that answer claims, those of this question, each once."""
    asked = [ask for claim in told.claims() for ask in claim.answer if ask.question == question.name]
    return list(dict.fromkeys(filter(None, (told.sentence(ask, comparison) for ask in asked))))


def _fullest(drawn: Sequence[Plot]) -> list[Plot]:
    """The plots that have the most to compare: those that stand on the page with all questions."""
    most = max((len(one.rows) for one in drawn), default=0)
    return [one for one in drawn if len(one.rows) == most and one.measure == drawn[0].measure]


def _groups(question: Question) -> dict[str, list[str]]:
    """The cells of each plot, by its title: those that differ in their last part, in how they are run.

    The title is what the titles of the cells begin with alike.
    """
    found: dict[str, list[str]] = {}
    for cell in question.cells:
        found.setdefault(cell.rpartition("/")[0] or cell, []).append(cell)
    return {_alike([question.cells[cell] for cell in cells]) or name: cells for name, cells in found.items()}


def _alike(titles: Iterable[str]) -> str:
    parts = zip(*(title.split(", ") for title in titles), strict=False)
    return ", ".join(one[0] for one in itertools.takewhile(lambda several: len(set(several)) == 1, parts))


def _rows(
    question: Question, answers: Sequence[Answer], cells: Sequence[str], measure: str, scale: Scale
) -> Iterable[Row]:
    for framework in told.ordered({one.framework for one in answers}):
        for cell in cells:
            how = cell.rpartition("/")[2] if len(cells) > 1 else WRITTEN
            label = look(framework).title + (f", {how}" if how != WRITTEN else "")
            for one in answers:
                if (one.framework, one.cell) == (framework, cell):
                    yield _row(question, one, label, measure, scale)


def _row(question: Question, answer: Answer, label: str, measure: str, scale: Scale) -> Row:
    ratio = answer.ratios.get(measure)
    if ratio is not None:
        strip = plot.strip(answer.framework, ratio.interval, ratio.points.values(), scale)
        return Row(answer, label, ratio, strip, units.span(ratio.interval))
    itself = answer.framework == BASELINE and question.baseline(answer.cell) == answer.cell
    words = "the baseline: 1" if itself and answer.outcome == "done" else told.words(answer).says
    return Row(answer, label, None, Markup(), words)


def _verdicts(rows: Iterable[Row], measure: str) -> list[tuple[str, str]]:
    return told.by_verdict(((row.label, row.ratio) for row in rows if row.ratio), *_sides(measure))


def _sides(measure: str) -> tuple[str, str]:
    """What it is to be below 1 and above."""
    return ("less", "more") if "byte" in measure else ("faster", "slower")


def _extent(ratio: Ratio) -> Iterable[float]:
    return (ratio.interval.low, ratio.interval.high, *ratio.points.values())


def amount(measure: str, value: float) -> str:
    """What a measure is, in seconds or bytes."""
    return units.size(int(value)) if "byte" in measure else units.time(value)


def facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The values of a cell as a page lists them."""
    return [(name.replace("_", " "), _listed(value)) for name, value in values.items()]


def _listed(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_listed, value))
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)
