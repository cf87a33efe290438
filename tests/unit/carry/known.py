"""How the tests of carrying take an image out of a registry, and bring it into another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from assay import carry
from assay.carry import Carried
from assay.registry import Reference, Repository
from tests.fake_registry import FakeRegistry
from tests.published import name, reference
from tests.unit.publish.known import Watched

HOME = f"team/{name()}"


def took(fake: FakeRegistry, file: Path, *, which: Reference | None = None, called: str | None = None) -> Carried:
    """Write what is published there into a file."""
    with Repository(which or reference(fake.host), pause=0.001) as there:
        return carry.take(there, file, called, Watched())


def brought(file: Path, fake: FakeRegistry, view: Watched | None = None) -> Carried:
    """Push what is in a file, as the command does."""
    with carry.opened(file) as layout:
        layout.check(Watched())
        with Repository(carry.destination(f"{fake.host}/team", layout.content.name), pause=0.001) as there:
            return carry.bring(layout, there, view or Watched())


@dataclass
class Held:
    """What a registry has of the image, but for the list that a fallback tag names."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)


def held(fake: FakeRegistry, repository: str = HOME) -> Held:
    blobs = {digest: data for (where, digest), data in fake.blobs.items() if where == repository}
    manifests = {
        which: found
        for (where, which), found in fake.manifests.items()
        if where == repository and b'"manifests"' not in found[1]
    }
    return Held(blobs, manifests)
