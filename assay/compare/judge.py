"""Judges results: what of them can be compared, and what is wrong with the rest. Nothing is averaged over that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from assay import certificate
from assay.certificate import Policy, Suites
from assay.certificate.origin import about_of
from assay.compare.answer import Problem
from assay.compare.line import Line
from assay.compare.options import BLOCKS, MOST_LOAD
from assay.compare.participant import environment
from assay.compare.question import Question, program
from assay.compare.results import Entry, Results
from assay.errors import VerificationFailed

LOSS = 1e-3  # of the reference's loss; float32 and other orders of summation stay far below it in a few steps
FOLLOWED = ("loss", "reference")  # the values that are held against each other

Key = tuple[str, str, int]  # question, set, threads


@dataclass(frozen=True)
class Judged:
    """The lines that stand: of facts, and of each set its blocks; and what is wrong with the others."""

    facts: tuple[Line, ...] = ()
    sets: Mapping[Key, Mapping[int, tuple[Line, ...]]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def judge(root: Path, questions: Mapping[str, Question], results: Results, device: str) -> Judged:
    """Hold results against the checkout: its programs, its certificates, and the protocol's rules."""
    problems = [
        Problem(one.what, one.file.removesuffix(".jsonl"), file=one.file, lines=(one.number,))
        for one in results.unread
    ]
    entries = [entry for entry in results.entries if entry.line.device == device]
    sound, wrong = _sound(entries, Against.of(root, questions, device))
    problems += wrong
    facts = [entry for entry in sound if entry.line.block is None]
    kept, twice = _once(facts, lambda line: (line.question, line.framework, line.cell))
    problems += twice
    sets: dict[Key, dict[int, tuple[Line, ...]]] = {}
    for key, several in _sets(sound).items():
        blocks, why = _blocks(questions[key[0]], key, several)
        problems += why
        sets[key] = blocks
    return Judged(tuple(entry.line for entry in kept), sets, tuple(problems))


def certified(root: Path, device: str) -> dict[str, tuple[str, ...]]:
    """The layers of the environment of each image that has a committed certificate on the device, by its name."""
    suites, found = Suites.read(root), {}
    for path in sorted((root / "certificates").rglob(f"{device}.json")):
        statement = certificate.read_statement(path)
        if statement is None:
            continue
        try:
            opened = certificate.read(statement, Policy(suites))
            about = about_of(statement)
        except VerificationFailed:
            continue
        if opened.verdict.passed:
            found[opened.image] = environment(about.predicate.image.diff_ids)
    return found


@dataclass(frozen=True)
class Against:
    """What a line is held against by itself: the questions, the programs of today, the certified layers."""

    questions: Mapping[str, Question]
    programs: Mapping[tuple[str, str], str]
    layers: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, root: Path, questions: Mapping[str, Question], device: str) -> Against:
        """What the checkout has."""
        programs = {
            (question.name, framework): program(root, question, framework)
            for question in questions.values()
            for framework in question.frameworks
        }
        return cls(questions, programs, certified(root, device))

    def wrong(self, line: Line) -> str:
        """The first thing that is wrong with a line; empty where nothing is."""
        return self._asked(line) or self._unchanged(line) or self._certified(line) or self._disturbed(line)

    def _asked(self, line: Line) -> str:
        question = self.questions.get(line.question)
        if question is None:
            return "there is no such question"
        if line.cell not in question.cells:
            return "the question has no such cell"
        timed = question.kind == "timed"
        return "" if timed == (line.block is not None) else "a timed question has blocks, and no other has"

    def _unchanged(self, line: Line) -> str:
        now = self.programs.get((line.question, line.framework))
        if now is None:
            return "it has no program in compare/"
        return "" if now == line.program else "its program has changed since"

    def _certified(self, line: Line) -> str:
        if line.image not in self.layers:
            return f"{line.image} has no certificate on the {line.device} that holds"
        same = self.layers[line.image] == line.layers
        return "" if same else f"it is of other layers than the certified {line.image}"

    def _disturbed(self, line: Line) -> str:
        alone = line.load <= MOST_LOAD or not self.questions[line.question].quiet
        return "" if alone else f"others kept more than {MOST_LOAD} processors busy"


def _sound(entries: Iterable[Entry], against: Against) -> tuple[list[Entry], list[Problem]]:
    """The lines of which nothing is wrong; one problem for those of one program of which the same is wrong."""
    sound: list[Entry] = []
    wrong: dict[tuple[str, str, str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        what = against.wrong(entry.line)
        if what:
            wrong[what, entry.file, entry.line.framework, entry.line.set].append(entry)
        else:
            sound.append(entry)
    return sound, [problem(what, several) for (what, *_), several in wrong.items()]


def problem(what: str, entries: Sequence[Entry]) -> Problem:
    """A problem of these lines; it names the cell where they are of one."""
    cells = {entry.line.cell for entry in entries}
    first = entries[0]
    return Problem(
        what,
        first.line.question,
        framework=first.line.framework,
        cell=cells.pop() if len(cells) == 1 else None,
        file=first.file,
        lines=tuple(entry.number for entry in entries),
    )


def _once(
    entries: Iterable[Entry], key: Callable[[Line], tuple[object, ...]]
) -> tuple[list[Entry], Iterator[Problem]]:
    """The lines that are the only ones of their key; the others contradict each other."""
    by_key: dict[tuple[object, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        by_key[key(entry.line)].append(entry)
    alone = [several[0] for several in by_key.values() if len(several) == 1]
    return alone, (problem("it stands there twice", several) for several in by_key.values() if len(several) > 1)


def _sets(entries: Iterable[Entry]) -> dict[Key, list[Entry]]:
    found: dict[Key, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda one: one.line.started):
        if entry.line.block is not None:
            found[entry.line.question, entry.line.set, entry.line.threads].append(entry)
    return found


def _blocks(
    question: Question, key: Key, entries: Sequence[Entry]
) -> tuple[dict[int, tuple[Line, ...]], list[Problem]]:
    """The blocks of a set that are whole: every process that any block has answered every cell once."""
    problems: list[Problem] = []
    machines = {(entry.line.machine, entry.line.limits) for entry in entries}
    if len(machines) > 1:
        what = f"set {key[1]} was measured on {len(machines)} machines, or with other limits"
        return {}, [Problem(what, question.name, file=entries[0].file)]
    by_block: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_block[entry.line.block or 0].append(entry)
    processes: set[tuple[str, str]] = {(entry.line.framework, entry.line.role) for entry in entries}
    blocks: dict[int, tuple[Line, ...]] = {}
    for number, several in sorted(by_block.items()):
        told = _not_whole(question, number, several, processes)
        problems += told
        if not told:
            blocks[number] = tuple(entry.line for entry in several)
    if len(blocks) < BLOCKS:
        what = f"set {key[1]} has {len(blocks)} whole blocks, and {BLOCKS} are needed"
        problems.append(Problem(what, question.name, file=entries[0].file))
    return blocks, problems


def _not_whole(
    question: Question, number: int, entries: Sequence[Entry], processes: Set[tuple[str, str]]
) -> list[Problem]:
    what = f"block {number} of set {entries[0].line.set} "
    there: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        there[entry.line.framework, entry.line.role].append(entry)
    problems = []
    for framework, role in sorted(processes - there.keys()):
        name = framework if role == "compared" else f"{framework} as {role}"
        problems.append(Problem(f"{what}lacks {name}", question.name, framework, file=entries[0].file))
    for several in there.values():
        cells = [entry.line.cell for entry in several]
        lacking = [cell for cell in question.cells if cell not in cells]
        if lacking or len(cells) != len(set(cells)):
            told = f"lacks {', '.join(lacking[:3])}" if lacking else "has a cell twice"
            problems.append(problem(what + told, several))
    places = {entry.line.place for entry in entries}
    if len(places) != len(there) and not problems:
        problems.append(problem(f"{what}was put together from several", entries))
    return problems


def strays(line: Line) -> str:
    """What is wrong with the losses of a cell that is done, held against those of the float64 reference."""
    loss, reference = (line.values.get(name) for name in FOLLOWED)
    if loss is None and reference is None:
        return ""
    if not isinstance(loss, list) or not isinstance(reference, list) or len(loss) != len(reference) or not loss:
        return "its losses are not those that the reference has"
    for step, (ours, theirs) in enumerate(zip(loss, reference, strict=True), 1):
        if not _number(ours) or not _number(theirs):
            return "a loss is no number"
        if abs(float(ours or 0) - float(theirs or 0)) > LOSS * max(1e-6, abs(float(theirs or 0))):
            return f"its loss at step {step} is {ours:.6g}, and the reference's {theirs:.6g}"
    return ""


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
