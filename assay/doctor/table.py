"""The doctor's rules as one table of data, for a program that is not this one: which answer from which driver on.

An answer depends on the driver in steps. For each image and each compute capability the table has these steps, made
by asking `judge` once between any two drivers that NVIDIA's tables name: no rule is written down a second time. In a
sentence `DRIVER` and `CAPABILITY` stand for those of the machine.

The table is plain data (schema 1)::

    images        [{"image", "steps": {system: {kind: number of a ladder}}}]; of those that run, the best comes first
    ladders       [[[driver from which on, number of an answer], ...]]; a driver is a list of numbers
    answers       [[runs, why, [note, ...]]]; each text is a number in sentences
    remarks       {kind: [[state, message, remedy], ...]}, what is said of the machine itself
    kinds         compute capabilities, "arm64" for any GPU beside an Arm processor, "none" for no GPU at all
    windows       which drivers can only be of Windows: with fewer numbers, above this one, in no branch of Linux
    came_with     {CUDA version: [driver of Linux, driver of Windows]}

A ``system`` is "linux" or "windows"; with "-branch" behind it, it is for a driver whose branch alone is known.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Generic, TypeVar

from assay.doctor import described, names
from assay.doctor.compatibility import Answer, Certified, Machine, judge, order
from assay.doctor.cuda import Version, dotted
from assay.doctor.drivers import BRANCHES_OF_LINUX, LAST_BRANCH, LINUX, NUMBERED_SO_SINCE, WINDOWS, Drivers

SCHEMA = 1
DRIVER, CAPABILITY = "\ue000", "\ue001"  # which no text has: they are characters for private use
ARM, NONE = "arm64", "none"
OLDEST: Version = (300,)  # what `assay doctor --driver` takes
_INSIDE = (0, 7777)  # after a driver's numbers: a release between it and the next, whose text stands nowhere else

T = TypeVar("T", bound=Hashable)
Step = tuple[Version, int]


class _Numbered(Generic[T]):
    """Things by the number under which they came first."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}

    def __call__(self, thing: T) -> int:
        return self._numbers.setdefault(thing, len(self._numbers))

    def __iter__(self) -> Iterator[T]:
        return iter(self._numbers)


class _Branch(int):
    """A branch's number that is written as what stands for it."""

    def __str__(self) -> str:
        return DRIVER

    def __format__(self, _: str) -> str:
        return DRIVER


def decision_table(images: Iterable[Certified]) -> dict[str, Any]:
    """The table for these images, as plain data."""
    ranked = sorted(images, key=lambda image: order(image, Answer("gpu", "")))
    sentences, answers, ladders = _Numbered[str](), _Numbered[tuple[Any, ...]](), _Numbered[tuple[Step, ...]]()

    def number(answer: Answer, written: Callable[[str], str]) -> int:
        texts = [sentences(written(text)) for text in (answer.why, *answer.notes)]
        return answers((answer.runs, texts[0], tuple(texts[1:])))

    kinds = [*names.listed(), ARM, NONE]
    rows = [
        {
            "image": image.image,
            "steps": {
                system: {kind: ladders(_ladder(image, kind, system, number)) for kind in kinds} for system in _SYSTEMS
            },
        }
        for image in ranked
    ]
    return {
        "schema": SCHEMA,
        "kinds": kinds,
        "images": rows,
        "ladders": list(ladders),
        "answers": list(answers),
        "sentences": list(sentences),
        "remarks": {kind: found for kind in kinds if (found := _remarks(kind))},
        "windows": {"numbers_below": 3, "above": NUMBERED_SO_SINCE, "no_multiple_of": BRANCHES_OF_LINUX},
        "oldest": OLDEST,
        "came_with": {
            dotted(toolkit): [dotted(version), dotted(WINDOWS.toolkit[toolkit])]
            for toolkit, version in LINUX.toolkit.items()
        },
    }


_SYSTEMS: dict[str, tuple[Drivers, bool]] = {
    "linux": (LINUX, False),
    "windows": (WINDOWS, False),
    "linux-branch": (LINUX, True),
    "windows-branch": (WINDOWS, True),
}


def _ladder(
    image: Certified, kind: str, system: str, number: Callable[[Answer, Callable[[str], str]], int]
) -> tuple[Step, ...]:
    """From which driver on which answer holds; where two that follow one another are equal, the first."""
    drivers, by_branch = _SYSTEMS[system]
    machine = _machine(kind, windows=drivers is WINDOWS)
    if not machine.gpus or image.cuda is None:  # then the driver decides nothing
        return ((OLDEST, number(judge(machine, image), str)),)
    found: list[Step] = []
    for first in _thresholds(drivers, image, by_branch=by_branch):
        probe: Version = (_Branch(first[0]),) if by_branch else (*first, *_INSIDE)
        driven = Machine(probe, machine.gpus, architecture=machine.architecture, windows=machine.windows)
        answer = number(judge(driven, image), _written(dotted(probe), kind))
        if not found or found[-1][1] != answer:
            found.append((first, answer))
    return tuple(found)


def _thresholds(drivers: Drivers, image: Certified, *, by_branch: bool) -> list[Version]:
    """The drivers from which on an answer may be another one.

    A branch alone stands for its latest release: its answer differs from those of its neighbours.
    """
    named = {OLDEST, *drivers.least.values(), *drivers.toolkit.values(), image.least_driver} - {()}
    named |= {(last - last % 10 + 10,) for last in LAST_BRANCH.values()}
    if by_branch:
        named = {(version[0] + more,) for version in named for more in (0, 1)}
    return sorted(version for version in named if version >= OLDEST)


def _machine(kind: str, *, windows: bool) -> Machine:
    """A machine of a kind, of whose driver nothing is said."""
    if kind in {ARM, NONE}:
        return Machine(architecture=ARM if kind == ARM else "amd64")
    return replace(described.another("999", [kind]), driver=None, windows=windows)


def _written(driver: str, kind: str) -> Callable[[str], str]:
    """A sentence about a machine as one about all that are alike."""
    return lambda text: (
        text.replace(driver, DRIVER)
        .replace(f"({kind})", f"({CAPABILITY})")
        .replace(f"compute capability {kind}", f"compute capability {CAPABILITY}")
    )


def _remarks(kind: str) -> list[tuple[str, str, str]]:
    found = described.remarks(_machine(kind, windows=False))
    return [(one.state, one.message, one.remedy) for one in found]
