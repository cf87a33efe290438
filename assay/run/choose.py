"""Which image a command is run in: by what its program imports, among those that are here and run on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assay.doctor import Answer, Certified, Machine, judge, order
from assay.errors import UsageError
from assay.run.imports import Imports


@dataclass(frozen=True)
class Choice:
    """An image, whether it runs here, and why it was chosen."""

    image: Certified
    answer: Answer
    why: str


class Undecided(UsageError):
    """Nothing says which image is meant; ``choices`` are those that run here."""

    def __init__(self, what: str, choices: Sequence[Choice]) -> None:
        names = ", ".join(choice.image.image for choice in choices)
        super().__init__(what, f"Name one of {names}.")
        self.choices = choices


def named(image: Certified, machine: Machine) -> Choice:
    """The image that was asked for. Raises `UsageError` where it does not run here at all."""
    answer = judge(machine, image)
    if answer.runs == "no":
        raise UsageError(f"{image.image} does not run here: {answer.why}", "`assay doctor` says which images do.")
    return Choice(image, answer, "as asked")


def choose(wanted: Imports, images: Iterable[Certified], certified: Iterable[Certified], machine: Machine) -> Choice:
    """The image that serves a program best.

    All frameworks that the program always imports have to be certified in the image. Of those that serve, the first
    is the one whose own framework is imported; then that which runs on the GPU, with the newest CUDA and Python.
    ``certified`` are also those that are not here. Raises `Undecided` where the program imports no framework,
    `UsageError` where no image that is here serves it.
    """
    images, certified = list(images), list(certified)
    known = {module for image in certified for module in image.modules}
    here = {module for image in images for module in image.modules}
    needed = [module for module in wanted.always if module in known]
    for module, backend in wanted.backends.items():
        if {module, backend} <= known and module in {*needed, *wanted.perhaps}:
            needed = list(dict.fromkeys([*needed, module, backend]))
    perhaps = sorted((module for module in wanted.perhaps if module in known), key=lambda module: module not in here)
    if not needed and not perhaps:
        if not images:
            raise UsageError("no certified image is here", "Make some: `assay build`, then `assay smoke`.")
        what = "what is to run imports no framework that is certified here" if wanted.where else "no image is named"
        raise Undecided(what, _runnable(images, machine))
    if not needed:
        needed = perhaps[:1]
    able = [image for image in images if set(needed) <= image.modules]
    if not able:
        what = f"no image that is here has {_and(needed)}, which {_where(needed, wanted)} imports"
        raise UsageError(what, _to_build(needed, certified, images))
    runnable = sorted(_runnable(able, machine), key=lambda choice: _rank(choice, needed))
    if not runnable:
        reasons = "; ".join(f"{image.image}: {judge(machine, image).why}" for image in able)
        raise UsageError(f"no image with {_and(needed)} runs here: {reasons}", "`assay doctor` says more.")
    best = runnable[0]
    why = f"{_where(needed, wanted)} imports {_and(needed)}"
    return Choice(best.image, best.answer, why + _passed_over(best, runnable))


def _to_build(needed: Sequence[str], certified: Iterable[Certified], images: Iterable[Certified]) -> str:
    """How to come by an image that has all that is needed."""
    able = sorted((image for image in certified if set(needed) <= image.modules), key=lambda one: len(one.modules))
    if able:
        name = able[0].image
        return f"`assay build {name}` makes one; if it is not as it was certified, `assay smoke {name}` certifies it."
    return f"No certified one has. Here: {', '.join(image.image for image in images) or 'none'}."


def _runnable(images: Iterable[Certified], machine: Machine) -> list[Choice]:
    judged = ((image, judge(machine, image)) for image in images)
    found = [Choice(image, answer, "") for image, answer in judged if answer.runs != "no"]
    return sorted(found, key=lambda choice: order(choice.image, choice.answer))


def _rank(choice: Choice, needed: Sequence[str]) -> tuple[object, ...]:
    spare = choice.answer.runs == "cpu" and choice.image.cuda is not None  # CUDA that would not be used
    return (choice.image.module not in needed, choice.answer.runs != "gpu", spare, order(choice.image, choice.answer))


def _passed_over(best: Choice, runnable: Sequence[Choice]) -> str:
    """Why a newer image was not taken: it does not run on the GPU, and this one does."""
    if best.answer.runs != "gpu":
        return ""
    newer = [
        one
        for one in runnable
        if one.answer.runs == "cpu"
        and one.image.module == best.image.module
        and (one.image.cuda or (0, 0)) > (best.image.cuda or (0, 0))
    ]
    return "".join(f"; {one.image.image} is newer, but {one.answer.why}" for one in newer[:1])


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)


def _where(needed: Sequence[str], wanted: Imports) -> str:
    return next((wanted.where[name] for name in needed if name in wanted.where), "the program")
