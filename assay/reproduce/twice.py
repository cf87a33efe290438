"""Build images of this checkout twice, and compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from assay.build import Options, View, build, tidy
from assay.catalog import Built, Catalog
from assay.catalog.built import repository
from assay.engine import Engine
from assay.errors import BuildFailed
from assay.reproduce.verdict import Sameness, sameness

SCHEMA = 1


@dataclass(frozen=True)
class Reproduced:
    """One image, built twice."""

    name: str
    first: Built
    again: Built

    @property
    def sameness(self) -> Sameness:
        """Configuration and DiffIDs decide; the manifest digest tells whether it was compressed alike too."""
        return sameness_of(self.first, self.again)


def sameness_of(one: Built, other: Built) -> Sameness:
    """How much of two builds of one image is the same."""
    content = (one.config, one.diff_ids) == (other.config, other.diff_ids)
    return sameness(manifests=one.digest == other.digest, content=content)


def reproduce(cat: Catalog, engine: Engine, names: Iterable[str], view: View) -> list[Reproduced]:
    """Build images once more with no cache, from a base bootstrapped anew, and compare what came out.

    Images that were never built are built first. The second build leaves nothing behind. Both are of what is locked:
    drift raises `BuildFailed`, as another day's build of it would give other bits.
    """
    order = cat.order(names)
    first = build(cat, engine, names, view, Options(locked=True)).images
    trial = Options(no_cache=True, locked=True, suffix="-trial")
    try:
        again = build(cat, engine, names, view, trial).images
    finally:
        for image in reversed(order):
            for name in engine.tags(repository(image.name, trial.suffix)):
                engine.remove(name)
        tidy(engine)
    return [Reproduced(image.name, first[image.name], again[image.name]) for image in order]


def require_same(rows: Iterable[Reproduced]) -> None:
    """Raise `BuildFailed` unless every image came out with the same configuration and the same DiffIDs."""
    other = [row.name for row in rows if not row.sameness.holds]
    if other:
        raise BuildFailed(
            f"{', '.join(other)}: a second build gave other content",
            "Compare the two with a tool such as diffoci; something in a step depends on time or place.",
        )


def row(one: Reproduced) -> dict[str, object]:
    """For programs (schema 1)."""
    return {
        "schema": SCHEMA,
        "image": one.name,
        "same": one.sameness.holds,
        "cache": one.first.cache or None,  # of the first; the second has none
        "verdict": one.sameness.value,
        "digests": [one.first.digest, one.again.digest],
        "configs": [one.first.config, one.again.config],
        "diff_ids": [list(one.first.diff_ids), list(one.again.diff_ids)],
    }
