"""Measures: every framework is asked every question, and what it answers is kept.

A question that no clock decides is asked once of each framework. A timed one is asked in blocks: each block asks
every framework once, in an order of its own, and PyTorch three times, once with each step made slower by a known
amount. A block is kept whole or not at all, so that what is compared was measured within minutes.
"""

from __future__ import annotations

import datetime
import functools
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import msgspec

from assay.compare import results
from assay.compare.container import ask
from assay.compare.line import Limits, Line, Machine, Role
from assay.compare.options import Options
from assay.compare.participant import Participant
from assay.compare.question import BASELINE, STEPS, Question, program
from assay.engine import Engine
from assay.errors import AssayError, CertificateFailed, UsageError, VerificationFailed
from assay.host import files, load

LOOK = 0.5  # seconds for which it is looked whether the machine is busy
SHORT = 5.0  # seconds in which an engine has cleaned up after a container
PAUSE = 10.0  # seconds between two looks at a machine that is busy
ATTEMPTS = 5  # at one block, on a machine that gets busy again and again


class View(Protocol):
    """Hears how it goes on."""

    def begin(self, containers: int) -> None:
        """So many containers will be run."""

    def phase(self, name: str, text: str) -> None:
        """Something is done for a question now; an empty text ends it."""

    def ran(self, count: int) -> None:
        """So many containers more have ended, or less where a block has to be measured again."""


@dataclass(frozen=True)
class Turn:
    """One container of a block, or of none: who is asked, what for, and at which place of the order."""

    one: Participant
    role: Role
    block: int | None
    place: int


class Busy(Exception):
    """The machine got busy while a block was measured."""


@dataclass(frozen=True)
class Measuring:
    """One run of `assay compare`: where, with which engine, how, and where to the results go."""

    root: Path
    engine: Engine
    options: Options
    folder: Path
    view: View

    def measure(self, questions: Sequence[Question], who: Sequence[Participant]) -> dict[str, AssayError]:
        """Measure what does not stand yet. Returns what went wrong with one framework's facts, by its name.

        Raises `UsageError` where a machine stays busy, or where what stands would be lost.
        """
        plan = {question: list(self._turns(question, who)) for question in questions}
        self.view.begin(sum(len(turns) for several in plan.values() for turns in several))
        failures: dict[str, AssayError] = {}
        for question, several in plan.items():
            for turns in several:
                try:
                    lines = self._block(question, turns)
                except (CertificateFailed, VerificationFailed) as error:
                    if question.kind == "timed":
                        raise
                    failures[f"{question.name}, {turns[0].one.image}"] = error
                    continue
                results.put(self.folder, question.name, lines, functools.partial(_replaced, lines[0]))
            self.view.phase(question.name, "")
        return failures

    def _turns(self, question: Question, who: Sequence[Participant]) -> Iterator[list[Turn]]:
        """What is to be run and kept together, without what stands."""
        asked = [one for one in who if one.framework in question.frameworks]
        programs = {one.framework: program(self.root, question, one.framework) for one in asked}
        kept = [line for line in results.read(self.folder).lines if line.question == question.name]
        if question.kind == "facts":
            for one in asked:
                if self.options.again or not self._stands(question, [Turn(one, "compared", None, 0)], kept, programs):
                    yield [Turn(one, "compared", None, 0)]
            return
        self._require_baseline(question, asked)
        self._require_none_lost(question, asked, kept, programs)
        for block in range(self.options.blocks):
            turns = self._order(question, asked, block)
            if self.options.again or not self._stands(question, turns, kept, programs):
                yield turns

    def _order(self, question: Question, asked: Sequence[Participant], block: int) -> list[Turn]:
        """A block's order: drawn anew for each, and the same when it is measured again."""
        several: list[tuple[Participant, Role]] = [(one, "compared") for one in asked]
        for one in asked:
            if one.framework == BASELINE:
                several.append((one, "control"))
                if STEPS.keys() & question.measures.keys():
                    several.append((one, "slowed"))
        drawn = random.Random(f"{question.name}/{self.options.set}/{block}")  # noqa: S311 - an order, and no secret
        drawn.shuffle(several)
        return [Turn(one, role, block, place) for place, (one, role) in enumerate(several)]

    def _stands(
        self, question: Question, turns: Sequence[Turn], kept: Sequence[Line], programs: Mapping[str, str]
    ) -> bool:
        """Whether the lines of all cells are there, of these environments and programs."""
        counted = (line for line in kept if self._counts(question, line, turns, programs))
        there = {(line.framework, line.role, line.cell) for line in counted}
        wanted = {(turn.one.framework, turn.role, cell) for turn in turns for cell in question.cells}
        return wanted <= there

    def _counts(self, question: Question, line: Line, turns: Sequence[Turn], programs: Mapping[str, str]) -> bool:
        """Whether a line is as one that would be measured now."""
        if (line.block, line.device) != (turns[0].block, self.options.device):
            return False
        if line.block is not None and (line.set, line.threads, line.limits, line.machine) != self._surroundings:
            return False
        if question.quiet and line.load > self.options.load:
            return False
        return any(
            turn.one.of(line) and line.role == turn.role and line.program == programs[line.framework]
            for turn in turns
        )

    @cached_property
    def _surroundings(self) -> tuple[str, int, Limits, Machine]:
        """What all lines of a set have in common."""
        options = self.options
        machine = Machine(load.processor(), load.processors(), load.memory_bytes(), load.kernel())
        return options.set, options.threads, Limits(options.cpus, options.memory_bytes), machine

    def _block(self, question: Question, turns: Sequence[Turn]) -> list[Line]:
        """The lines of all turns; where the question asks for it, on a machine that nobody else kept busy."""
        for _ in range(ATTEMPTS):
            if question.quiet:
                self._wait(question)
            self.view.phase(question.name, _told(turns, self.options))
            lines: list[Line] = []
            done = 0
            try:
                for turn in turns:
                    busy = self._quiet(SHORT) if question.quiet else load.busy(LOOK)
                    lines += self._ask(question, turn, busy.processors)
                    done += 1
                    self.view.ran(1)
                if question.quiet:
                    self._quiet(SHORT)
            except Busy as error:
                self.view.ran(-done)
                self.view.phase(question.name, f"measuring a block again: {error}")
                continue
            return lines
        raise UsageError(
            f"{question.name} was not measured: the machine got busy in each of {ATTEMPTS} attempts at one block",
            "Measure on a machine that does nothing else; what is finished is kept.",
        )

    def _wait(self, question: Question) -> None:
        """Wait long for a quiet machine. Raises `UsageError` where it does not come to be one."""
        try:
            self._quiet(self.options.patience, lambda who: self.view.phase(question.name, f"waiting: {who}"))
        except Busy as error:
            raise UsageError(
                f"{question.name} is not measured: {error}",
                f"End that, or wait: at most {self.options.load} may be busy while seconds are measured.",
            ) from None

    def _quiet(self, patience: float, tell: files.Tell = files.silent) -> load.Busy:
        """Wait until others keep the machine no busier than may be, and `tell` who does. Raises `Busy` after long."""
        until = time.monotonic() + patience
        while True:
            found = load.busy(LOOK)
            if found.processors <= self.options.load:
                return found
            who = f"others keep {found.processors:.1f} processors busy: {', '.join(found.by) or 'not on this system'}"
            if time.monotonic() >= until:
                raise Busy(who)
            tell(who)
            time.sleep(min(PAUSE, patience / 10))

    def _ask(self, question: Question, turn: Turn, busy: float) -> list[Line]:
        options, one = self.options, turn.one
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        digest = program(self.root, question, one.framework)
        told = ask(self.root, self.engine, question, one, turn.role, options)
        _, threads, limits, machine = self._surroundings
        added = {
            "image": one.image,
            "name": one.reference,
            "digest": one.digest,
            "layers": one.layers,
            "device": options.device,
            "program": digest,
            "set": options.set,
            "block": turn.block,
            "place": turn.place,
            "role": turn.role,
            "threads": threads,
            "limits": limits,
            "machine": machine,
            "load": busy,
            "started": now,
        }
        return [msgspec.convert({**msgspec.structs.asdict(each), **added}, type=Line) for each in told]

    def _require_baseline(self, question: Question, asked: Sequence[Participant]) -> None:
        if not any(one.framework == BASELINE for one in asked):
            raise UsageError(
                f"{question.name} compares with {BASELINE}, and no image of it takes part",
                "Build and certify it, and name it too.",
            )

    def _require_none_lost(
        self, question: Question, asked: Sequence[Participant], kept: Sequence[Line], programs: Mapping[str, str]
    ) -> None:
        """A block is measured as a whole: without a framework that is in it, that one's measurement would be lost."""
        options = self.options
        there = {line.framework for line in kept if (line.set, line.device) == (options.set, options.device)}
        lost = sorted((there & set(question.frameworks)) - programs.keys())
        whole = all(
            self._stands(question, self._order(question, asked, block), kept, programs)
            for block in range(options.blocks)
        )
        if lost and (options.again or not whole):
            raise UsageError(
                f"set {options.set} of {question.name} has {', '.join(lost)} too, and a block is measured as a whole",
                "Name these images as well, or measure another set: --set NAME.",
            )


def _told(turns: Sequence[Turn], options: Options) -> str:
    if turns[0].block is None:
        return turns[0].one.image
    return f"block {turns[0].block + 1} of {options.blocks}, {len(turns)} processes"


def _replaced(one: Line, old: Line) -> bool:
    """Whether an old line is of what was just measured, as one line of it says: a framework's facts, or a block."""
    if one.block is None:
        return (old.framework, old.device) == (one.framework, one.device)
    return (old.set, old.block, old.device, old.threads) == (one.set, one.block, one.device, one.threads)
