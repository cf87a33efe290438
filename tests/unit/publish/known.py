"""How the tests of publishing publish, and the engine that they do it with."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Generator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import pytest

from assay import catalog, publish, scripts
from assay.catalog import Built, Catalog, write_images
from assay.catalog.support import supports
from assay.certificate import Suite, Suites
from assay.engine import Engine, RunRequest, RunResult
from assay.errors import VerificationFailed
from assay.publish import Candidate, Destination, Signers
from tests.conftest import ROOT
from tests.fake_registry import FakeRegistry
from tests.published import Image, key, name, suites
from tests.published import suite as suite_then

HOME = f"team/{name()}"
# What is attached to it: its certificate, the test result, the provenance, the SBOM, and what is said of its support.
ATTACHED = 4 + (name() in supports(ROOT))


@cache
def suite_of_it() -> Suite:
    """The suite of the certificate, as one that looks at all that this checkout's images promise."""
    then, now = suite_then(), suites().current
    return msgspec.structs.replace(then, levels=msgspec.structs.replace(then.levels, promises=now.levels.promises))


class LocalEngine:
    """What publishing asks of an engine, answered from memory."""

    def __init__(self, made: Image) -> None:
        self.made = made
        self.handed_over: list[str] = []
        self.runs: list[RunRequest] = []
        self.on_run: Callable[[Path], object] = lambda path: None
        self.ended = RunResult(0, False, False, "", 1.0)

    def digest(self, reference: str) -> str | None:
        return self.made.digest

    def content(self, reference: str, digests: Collection[str]) -> Generator[tuple[str, IO[bytes]], None, None]:
        for digest in digests:
            self.handed_over.append(digest)
            yield digest, io.BytesIO({**self.made.blobs, self.made.digest: self.made.manifest.data}[digest])

    files = content

    def run(self, request: RunRequest) -> RunResult:
        self.runs.append(request)
        (inventory,) = request.mounts
        shared = inventory.parent
        assert request.command == ("python", "/run/assay/inventory.py", "/run/assay/inventory.json")
        assert (shared / "inventory.py").read_bytes() == scripts.INVENTORY.read_bytes()
        packages = [{"name": "bash", "version": "5", "licences": ["GPL-3.0-or-later"], "architecture": "amd64"}]
        (shared / "inventory.json").write_text(json.dumps({"schema": 1, "debian": packages, "python": []}))
        self.on_run(shared / "inventory.json")
        return self.ended


class Watched:
    """A view that keeps what it is told; ``on_phase`` may break in."""

    def __init__(self, on_phase: Callable[[str, str], None] = lambda image, text: None) -> None:
        self.on_phase = on_phase
        self.sizes: dict[str, int] = {}
        self.counts: dict[str, list[int]] = {}
        self.whole: list[str] = []

    def phase(self, image: str, text: str) -> None:
        self.on_phase(image, text)

    def sending(self, image: str, sizes: Mapping[str, int]) -> None:
        self.sizes = dict(sizes)

    def gone(self, image: str, digest: str, count: int) -> None:
        self.counts.setdefault(digest, []).append(count)

    def sent(self, image: str, digest: str) -> None:
        self.whole.append(digest)


@lru_cache(maxsize=1)
def images_of(checkout: Path) -> Catalog:
    """The images of a checkout, read once for each test: they are this repository's, and no test changes them."""
    return catalog.load(checkout)


def certify(checkout: Path, data: Any, device: str = "cpu") -> None:
    path = checkout / "build/certificates" / name() / f"{device}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))


def certified(root: Path, folder: Path, made: Image) -> Path:
    """Make of a folder a checkout with the images of this repository, one of them built and certified."""
    (folder / "images").symlink_to(root / "images")
    (folder / "build").mkdir()
    manifest = made.manifest.image()
    facts = made.certificate["predicate"]["image"]
    built = Built(
        key="k",
        suite=made.certificate["predicate"]["suite"]["digest"]["sha256"],
        digest=made.digest,
        config=manifest.config.digest,
        diff_ids=tuple(facts["diffIDs"]),
        layers=tuple((one.digest, one.size) for one in manifest.layers),
        compressed_bytes=1,
        uncompressed_bytes=1,
        seconds=1.0,
        built="2026-11-22T17:00:00Z",
    )
    write_images(folder, {name(): built})
    cat = images_of(folder)
    plan = catalog.plan(cat.get(name()))
    made.certificate["predicate"]["plan"] = {**plan, "engine": "docker"}
    facts["inputs"] = catalog.inputs(cat, cat.get(name()))
    certify(folder, made.certificate)
    return folder


def chosen(checkout: Path, suite: Suites | None = None) -> tuple[list[Candidate], list[publish.Refused]]:
    return publish.candidates(images_of(checkout), suite or Suites(suite_of_it()), [name()])


def refused(checkout: Path, suite: Suites | None = None) -> str:
    good, bad = chosen(checkout, suite)
    assert not good
    with pytest.raises(VerificationFailed, match="was not published"):
        publish.require_none_refused(bad)
    return bad[0].why


def go(
    checkout: Path,
    fake: FakeRegistry,
    made: Image,
    engine: LocalEngine | None = None,
    view: publish.View | None = None,
    *,
    dated: bool = False,
) -> publish.Published:
    good, _ = chosen(checkout)
    done, failed = publish.publish(
        images_of(checkout),
        cast(Engine, engine or LocalEngine(made)),
        Signers(key()),
        good,
        Destination(f"{fake.host}/team", dated=dated),
        view or Watched(),
    )
    for error in failed.values():
        raise error
    (one,) = done
    return one
