"""What the results amount to: for each question, cell and framework an outcome, or a ratio with its interval."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from assay.compare.line import Line
from assay.compare.question import Question
from assay.compare.statistics import Interval

# "shown": the difference is there. "unstable": a second set does not agree with the first.
Verdict = Literal["shown", "no difference shown", "unstable"]


@dataclass(frozen=True)
class Ratio:
    """A framework's measure of a cell divided by PyTorch's as written, paired within blocks; below 1 it is less.

    ``points`` is the ratio of each block, by its number. ``adjusted`` is Holm's p-value over the family: all cells
    and frameworks of the question's measure. ``value`` is the median over the blocks of the framework's own measure,
    in seconds or bytes; ``baseline`` PyTorch's. ``again`` is the interval of the second set, where there is one.
    """

    measure: str
    interval: Interval
    adjusted: float
    points: Mapping[int, float] = field(hash=False)
    value: float
    baseline: float
    set: str
    again: Interval | None
    verdict: Verdict


@dataclass(frozen=True)
class Answer:
    """What a framework answers to a cell.

    ``outcome`` is "not measured" where no line stands for it; ``because`` then says why, and why it cannot or failed.
    ``line`` is the line that the outcome is from, with its values, its text and its image; of a timed cell the first.
    ``ratios`` by measure are those of a timed cell of which nothing is wrong.
    """

    question: str
    cell: str
    framework: str
    outcome: Literal["done", "cannot", "failed", "not measured"]
    because: str | None = None
    line: Line | None = None
    ratios: Mapping[str, Ratio] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with the results: what, with which cells, and the lines of the file that show it.

    ``void`` problems must not be in results that are committed; the others are outcomes that a reader is told, such
    as a cell that two sets do not agree on. Nothing is averaged over either.
    """

    what: str
    question: str
    framework: str | None = None
    cell: str | None = None
    file: str | None = None
    lines: tuple[int, ...] = ()
    void: bool = True


@dataclass(frozen=True)
class Control:
    """What the controls of a set found, over all cells: PyTorch by PyTorch, and the slowed PyTorch by PyTorch.

    ``slowed`` is None where no slowdown is planted, as in memory.
    """

    question: str
    set: str
    measure: str
    same: Interval
    slowed: Interval | None
    passed: bool


@dataclass(frozen=True)
class Comparison:
    """All questions by name, what is answered to each cell, what the controls found, and what is wrong."""

    questions: Mapping[str, Question] = field(hash=False)
    answers: tuple[Answer, ...]
    controls: tuple[Control, ...]
    problems: tuple[Problem, ...]

    def of(self, question: str, cell: str) -> dict[str, Answer]:
        """The answers to a cell by framework."""
        return {one.framework: one for one in self.answers if (one.question, one.cell) == (question, cell)}

    def only(self, names: Collection[str]) -> Comparison:
        """The same of these questions only."""
        return Comparison(
            {name: one for name, one in self.questions.items() if name in names},
            tuple(one for one in self.answers if one.question in names),
            tuple(one for one in self.controls if one.question in names),
            tuple(one for one in self.problems if one.question in names),
        )
