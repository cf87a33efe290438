"""Build images of this checkout twice, and compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from assay.build import Options, View, build, tidy
from assay.catalog import Catalog
from assay.engine import Engine
from assay.errors import BuildFailed
from assay.images import repository


@dataclass(frozen=True)
class Reproduced:
    """One image, built twice."""

    name: str
    first: str
    again: str

    @property
    def same(self) -> bool:
        """Whether both builds gave the same manifest digest."""
        return self.first == self.again


def reproduce(cat: Catalog, engine: Engine, names: Iterable[str], view: View) -> list[Reproduced]:
    """Build images once more with no cache, from a base bootstrapped anew, and compare manifest digests.

    Images that were never built are built first. The second build leaves nothing behind.
    """
    order = cat.order(names)
    first = build(cat, engine, names, view).images
    trial = Options(no_cache=True, suffix="-trial")
    try:
        again = build(cat, engine, names, view, trial).images
    finally:
        for image in reversed(order):
            for name in engine.tags(repository(image.name, trial.suffix)):
                engine.remove(name)
        tidy(engine)
    return [Reproduced(image.name, first[image.name].digest, again[image.name].digest) for image in order]


def require_same(rows: Iterable[Reproduced]) -> None:
    """Raise `BuildFailed` unless every image came out the same."""
    other = [row.name for row in rows if not row.same]
    if other:
        raise BuildFailed(
            f"{', '.join(other)}: a second build gave another digest",
            "Compare the two with a tool such as diffoci; something in a step depends on time or place.",
        )
