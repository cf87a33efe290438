"""The images that this checkout has built; what is not built is skipped, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay import catalog, certify, engine
from assay.catalog import Built, Catalog, Image, read_images
from assay.catalog.built import tag, together
from assay.engine import ImageFacts, RunRequest, RunResult
from tests.conftest import ROOT
from tests.images.marks import Marks

CATALOG = catalog.load(ROOT)
IMAGES = together(CATALOG.frameworks())
MARKS = "assay-marks"


@dataclass(frozen=True)
class Subject:
    """One built framework image."""

    image: Image
    built: Built
    facts: ImageFacts
    running: engine.Engine

    def run(self, *command: str, **options: object) -> RunResult:
        """Run a command in it: no network, read-only root, a UID without a passwd entry."""
        return self.running.run(RunRequest(tag(self.image.name, "latest"), command, **options))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def known() -> Catalog:
    """The catalog of this checkout."""
    return CATALOG


@pytest.fixture(scope="session")
def running() -> Iterator[engine.Engine]:
    """The engine, where anything is built at all; nothing is started for tests that would be skipped."""
    if not read_images(ROOT).images:
        pytest.skip("no image is built: run `make build-all`")
    with engine.find() as found:
        yield found


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pack", action="store_true", help="As `assay build --pack`: compress each image when done.")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Marks(ROOT), MARKS)


@pytest.fixture(scope="session", params=[image.name for image in IMAGES])
def subject(request: pytest.FixtureRequest, known: Catalog, running: engine.Engine) -> Iterator[Subject]:
    """Each framework image in turn."""
    name = str(request.param)
    built = read_images(ROOT).images.get(name)
    facts = running.image(tag(name, "latest")) if built else None
    if built is None or facts is None:
        pytest.skip(f"{name} is not built: run `make build-all`")
    marks = request.config.pluginmanager.get_plugin(MARKS)
    assert isinstance(marks, Marks)
    marks.digests[name] = facts.digest
    yield Subject(known.get(name), built, facts, running)
    if request.config.getoption("--pack"):
        certify.pack(running, known.get(name), IMAGES[IMAGES.index(known.get(name)) + 1 :])


def certificate_path(root: Path, name: str) -> Path:
    """Where the CPU certificate of an image is."""
    return root / "build/certificates" / name / "cpu.json"
