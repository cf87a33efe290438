"""A set of a timed question: ratios of its cells to PyTorch's, block by block, and what its controls found."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from assay.compare.answer import Control, Ratio
from assay.compare.line import Line, Role
from assay.compare.question import BASELINE, STEPS, Question
from assay.compare.statistics import CONFIDENCE, FEWEST, Interval, holm, interval, p_value, shown

PLANTED = 1.05  # what the steps of the slowed PyTorch last longer

Cell = tuple[str, str]  # framework, cell
Points = dict[int, float]  # a ratio by the number of its block
Process = tuple[str, Role]


@dataclass(frozen=True)
class Set:
    """The whole blocks of one set of a timed question, by their numbers."""

    question: Question
    name: str
    blocks: Mapping[int, tuple[Line, ...]]

    @cached_property
    def _values(self) -> dict[tuple[str, Role, str], dict[int, Line]]:
        """Lines by process and cell, and by block."""
        found: dict[tuple[str, Role, str], dict[int, Line]] = {}
        for number, lines in self.blocks.items():
            for line in lines:
                found.setdefault((line.framework, line.role, line.cell), {})[number] = line
        return found

    def values(self, process: Process, cell: str, measure: str) -> Points:
        """What a process measured in a cell, by block."""
        lines = self._values.get((*process, cell), {})
        return {number: value for number, line in lines.items() if (value := measured(line, measure)) is not None}

    def points(self, process: Process, cell: str, measure: str) -> Points:
        """A process by PyTorch as compared, as written, by block."""
        base = self.values((BASELINE, "compared"), self.question.baseline(cell), measure)
        ours = self.values(process, cell, measure)
        return {number: ours[number] / base[number] for number in ours if number in base}

    def itself(self, role: Role, measure: str) -> dict[str, Points]:
        """PyTorch in a role by PyTorch as compared, each cell by the same, where there are enough blocks."""
        found: dict[str, Points] = {}
        for cell in self.question.cells:
            ours = self.values((BASELINE, role), cell, measure)
            base = self.values((BASELINE, "compared"), cell, measure)
            one = {number: ours[number] / base[number] for number in ours if number in base}
            if len(one) >= FEWEST:
                found[cell] = one
        return found

    def control(self, measure: str) -> Control | None:
        """What its controls found, as the median over PyTorch's cells; None where it has none."""
        same = _pooled(self.itself("control", measure))
        slowed = _pooled(self.itself("slowed", measure)) if measure in STEPS else None
        if same is None or (slowed is None and measure in STEPS):
            return None
        seen = slowed is None or (slowed.reads(PLANTED) and not slowed.reads(1.0))
        return Control(self.question.name, self.name, measure, same, slowed, same.reads(1.0) and seen)

    def noisy(self, measure: str) -> dict[str, Interval]:
        """The cells in which PyTorch differs from itself, after Holm's correction over them."""
        points = {cell: list(one.values()) for cell, one in self.itself("control", measure).items()}
        adjusted = holm({cell: p_value(one) for cell, one in points.items()})
        found = {cell: interval(one) for cell, one in points.items() if adjusted[cell] <= 1 - CONFIDENCE}
        return {cell: one for cell, one in found.items() if not one.reads(1.0)}

    def ratios(self, measure: str, done: Collection[Cell]) -> dict[Cell, Ratio]:
        """The ratios of these cells; that of PyTorch as written is the control's, and not of the family."""
        points: dict[Cell, Points] = {}
        for framework, cell in done:
            base = self.question.baseline(cell)
            if (BASELINE, base) in done:
                role: Role = "control" if (framework, cell) == (BASELINE, base) else "compared"
                one = self.points((framework, role), cell, measure)
                if len(one) >= FEWEST:
                    points[framework, cell] = one
        p_values = {where: p_value(list(one.values())) for where, one in points.items()}
        family = {one: p for one, p in p_values.items() if one != (BASELINE, self.question.baseline(one[1]))}
        adjusted = {**p_values, **holm(family)}
        return {where: self._ratio(where, measure, one, adjusted[where]) for where, one in points.items()}

    def _ratio(self, where: Cell, measure: str, points: Points, adjusted: float) -> Ratio:
        framework, cell = where
        found = interval(list(points.values()))
        return Ratio(
            measure=measure,
            interval=found,
            adjusted=adjusted,
            points=points,
            value=statistics.median(self.values((framework, "compared"), cell, measure).values()),
            baseline=statistics.median(
                self.values((BASELINE, "compared"), self.question.baseline(cell), measure).values()
            ),
            set=self.name,
            again=None,
            verdict="shown" if shown(found, adjusted) else "no difference shown",
        )


def measured(line: Line, measure: str) -> float | None:
    """A line's value, or the median of its values; None where it has none that can be compared."""
    value = line.values.get(measure) if line.outcome == "done" else None
    several = value if isinstance(value, list) else [value]
    numbers = [float(one) for one in several if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) != len(several) or not numbers:
        return None
    middle = statistics.median(numbers)
    return middle if middle > 0 else None


def _pooled(cells: Mapping[str, Points]) -> Interval | None:
    """The interval over the blocks of the median over the cells."""
    by_block: dict[int, list[float]] = {}
    for points in cells.values():
        for number, ratio in points.items():
            by_block.setdefault(number, []).append(math.log(ratio))
    middles = [math.exp(statistics.median(several)) for several in by_block.values()]
    return interval(middles) if len(middles) >= FEWEST else None
