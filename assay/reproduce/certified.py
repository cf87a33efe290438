"""An image that is built here against the one that its committed certificate is of, layer by layer.

The same checkout builds the same layers. Where Debian's archive has moved on, the base is another one, and above it
those layers alone may differ that ran a package that moved: all of them compile byte code with the base's Python, and
some compile more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

import msgspec

from assay.build import Options, View, build
from assay.catalog import Built, Catalog, Change, Drift, Image
from assay.catalog.built import tag
from assay.certify import Standing, records, require_standing, standings
from assay.engine import Engine
from assay.errors import VerificationFailed

SCHEMA = 1
LONGEST = 80  # characters of a step that are shown
# Debian's packages by what a step does with them: byte code, and machine code with the loader's cache of it.
_PYTHON = re.compile(r"(lib)?python3.*")
_COMPILERS = re.compile(
    r"(gcc|g\+\+|cpp|binutils|lib(gcc|stdc\+\+|binutils|c6|c-dev|c-bin|ctf|sframe|gprofng)|linux-libc-dev).*"
)
_COMPILES = re.compile(r"\b(gcc|g\+\+|cc|ldconfig)(?![\w.+/-])")


@dataclass(frozen=True)
class Layer:
    """A layer that is not as it was certified: its number from 1, the step that made it, and what it ran that moved.

    ``because`` is empty where nothing did, which is wrong.
    """

    number: int
    step: str
    because: tuple[str, ...]


@dataclass(frozen=True)
class Against:
    """An image, held against the one that was certified on ``date``.

    ``base`` says how the base moved; empty if it is as it was locked. ``layers`` are those above it that differ.
    """

    image: str
    date: str
    count: int  # of the layers above the base
    base: str
    layers: tuple[Layer, ...]
    problems: tuple[str, ...]


class _Step(msgspec.Struct, frozen=True):
    created_by: str = ""
    empty_layer: bool = False


class _Config(msgspec.Struct, frozen=True):
    history: tuple[_Step, ...] = ()


def certified(cat: Catalog, engine: Engine, names: Iterable[str], view: View) -> list[Against]:
    """Build the named framework images (none: all), and hold each against its committed certificate.

    Raises `VerificationFailed` for an image whose certificate does not hold in this checkout.
    """
    found = standings(cat, names)
    require_standing(found)
    built = build(cat, engine, [one.image.name for one in found], view, Options()).images
    return [_against(cat, engine, one, built) for one in found]


def require_certified(found: Iterable[Against]) -> None:
    """Raise `VerificationFailed` (exit 5) where a layer differs that ran nothing that moved."""
    problems = [f"{one.image}: {problem}" for one in found for problem in one.problems]
    if problems:
        raise VerificationFailed(
            f"what is built is not what was certified: {'; '.join(problems)}",
            "A step depends on time or place: find it with `assay reproduce`. Or the certificate is to be made anew.",
        )


def against_row(one: Against) -> dict[str, object]:
    """For programs (schema 1)."""
    return {"schema": SCHEMA, "same": not one.problems, **msgspec.to_builtins(one)}


def _against(cat: Catalog, engine: Engine, there: Standing, built: dict[str, Built]) -> Against:
    image, here = there.image, built[there.image.name]
    members = (image, *cat.ancestors(image))
    base = len(built[members[-1].name].diff_ids)
    own = len(built[members[1].name].diff_ids) if len(members) > 1 else base
    steps = _steps(engine, image, here)
    changed = _changed_outside(cat, there)
    suite = max((at for at, step in enumerate(steps) if step.startswith("RUN")), default=-1)
    layers = []
    for at, (was, now) in enumerate(zip_longest(there.diff_ids, here.diff_ids)):
        if at >= base and was != now:
            step = steps[at] if at < len(steps) else ""
            ran = _moved(here.drift, image if at >= own else None, step)
            layers.append(Layer(at + 1, _shown(step), (*ran, *(changed if at == suite else ()))))
    problems = [
        f"layer {one.number} ({one.step}) differs, and ran nothing that moved" for one in layers if not one.because
    ]
    if members[-1].name not in here.drift and there.diff_ids[:base] != here.diff_ids[:base]:
        problems.insert(0, "its base is another one, and has not drifted")
    if here.diff_ids == there.diff_ids and not here.drift and here.config != there.config:
        problems.append("its configuration is another one")
    said = str(here.drift[members[-1].name]) if members[-1].name in here.drift else ""
    return Against(image.name, there.date, len(here.diff_ids) - base, said, tuple(layers), tuple(problems))


def _moved(drift: dict[str, Drift], image: Image | None, step: str) -> tuple[str, ...]:
    """What moved of the packages that a step ran; ``image`` is the one whose own step it is, None for a stack's."""
    if not step.startswith("RUN"):
        return ()
    compiles = bool(image and (image.sources or image.built)) or bool(_COMPILES.search(step))
    tools = image.build_tools.name if image and image.build_tools else None
    found = []
    for name, moved in drift.items():
        if name == tools:
            found.append(f"{name} {moved}")
        else:
            found += [str(change) for change in moved.changes if _ran(change, compiles=compiles)]
    return tuple(found)


def _ran(change: Change, *, compiles: bool) -> bool:
    return bool(_PYTHON.fullmatch(change.package) or (compiles and _COMPILERS.fullmatch(change.package)))


def _changed_outside(cat: Catalog, there: Standing) -> tuple[str, ...]:
    """The files of the suite that are others since, and that the certificate does not depend on."""
    if there.record is None or there.image.framework is None:
        return ()
    was, now = there.record.outside, records.outside(cat.root, there.image.framework.name)
    return tuple(
        f"smoke/{name}, which no certificate depends on"
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    )


def _steps(engine: Engine, image: Image, built: Built) -> list[str]:
    """The step of each layer, as the image's configuration has it."""
    for _, blob in engine.content(tag(image.name, "latest"), [built.config]):
        config = msgspec.json.decode(blob.read(), type=_Config)
        return [step.created_by for step in config.history if not step.empty_layer]
    return []


def _shown(step: str) -> str:
    """A step without its arguments and what the engine adds."""
    words = step.partition("/bin/sh -c ")[2] or step
    line = " ".join(words.removesuffix("# buildkit").split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
