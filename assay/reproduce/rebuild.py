"""Build a published image again from what its signed provenance says, and compare: anyone can check mark R.

The sources come from the git repository of the checkout that the command runs in, at the commit that the provenance
names; its inputs are held against the provenance's hashes before anything is built. Where the digests differ, the
published layers are unpacked straight from the registry: either they hold the very content of the rebuilt ones and
were only compressed by another engine, or each file that differs is named.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assay import build, catalog, verify
from assay.attestation import PROVENANCE, Keys
from assay.build import Options, View
from assay.catalog.built import repository, tag
from assay.engine import Engine
from assay.errors import VerificationFailed
from assay.registry import Reference, Repository
from assay.reproduce.differences import Comparison, LayerDifference
from assay.reproduce.source import check_inputs, exported, source_of
from assay.reproduce.verdict import Sameness, sameness

SCHEMA = 1
SUFFIX = "-rebuild"


@dataclass(frozen=True)
class Rebuilt:
    """The published image and the one built again, by their manifest digests.

    ``layers`` and ``configuration`` are what differs; ``recompressed`` are the numbers of the layers, from 1, that
    hold the same and are other bytes. The published one may have layers from ``caches``, the
    rebuilt one has none.
    """

    reference: str
    image: str
    commit: str
    published: str
    rebuilt: str
    layers: tuple[LayerDifference, ...] = ()
    configuration: tuple[str, ...] = ()
    recompressed: tuple[int, ...] = ()
    caches: tuple[str, ...] = ()

    @property
    def sameness(self) -> Sameness:
        """Configuration and content of the layers decide; the manifest tells if they were compressed alike too."""
        same = self.published == self.rebuilt
        return sameness(manifests=same, content=same or not (self.layers or self.configuration))


def rebuild(
    root: Path, reference: Reference, key: Keys, engine: Engine, view: View, *, plain_http: bool = False
) -> Rebuilt:
    """Build again, without any cache, what a reference names; ``root`` is a checkout whose history has the commit."""
    digest, statements = verify.evidence(reference, key, PROVENANCE, plain_http=plain_http)
    source = source_of(statements[0])
    with exported(root, source.commit) as tree:
        check_inputs(source, tree)
        cat = catalog.load(tree, platform=source.platform)
        build.require_runs(cat.platform)
        order = cat.order([source.image])
        name = tag(source.image, "latest", SUFFIX)
        try:
            options = Options(no_cache=True, locked=True, suffix=SUFFIX)
            made = build.build(cat, engine, [source.image], view, options).images[source.image]
            found = Rebuilt(str(reference), source.image, source.commit, digest, made.digest, caches=source.caches)
            if found.sameness is Sameness.SAME:
                return found
            with Repository(reference, plain_http=plain_http) as there:
                layers, configuration, recompressed = Comparison(there, engine, name, made).of(digest)
            return dataclasses.replace(found, layers=layers, configuration=configuration, recompressed=recompressed)
        finally:
            for image in reversed(order):
                for each in engine.tags(repository(image.name, SUFFIX)):
                    engine.remove(each)
            build.tidy(engine)


def require_rebuilt(found: Rebuilt) -> None:
    """Raise `VerificationFailed` (exit 5) unless the same files and configuration came out."""
    if not found.sameness.holds:
        raise VerificationFailed(
            f"{found.reference}: built again it is {found.rebuilt[:19]}, and {found.published[:19]} is published",
            "What differs stands above; say so to whoever publishes it.",
        )


def as_json(found: Rebuilt) -> dict[str, Any]:
    """For programs (schema 1)."""
    return {"schema": SCHEMA, "same": found.sameness.holds, "verdict": found.sameness.value, **asdict(found)}
