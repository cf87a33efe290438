"""A real engine, and a small real image of the tests' own: a framework added as a newcomer would add it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver

from assay import build, catalog, engine
from assay.catalog import Built, drifts
from assay.engine import apt, embedded
from assay.engine.embedded import EmbeddedEngine
from assay.host import paths
from tests import apptainer, registries
from tests.browser import driver
from tests.registries import ReferrersRegistry, Registry

NEWCOMER = Path(__file__).parent / "newcomer"
PASSWORD = {"ASSAY_PASSWORD": "a password"}
ASSAY = str(Path(sys.executable).parent / "assay")


class Quiet:
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.fresh: list[str] = []
        self.steps: list[str] = []

    def start(self, name: str) -> None:
        pass

    def phase(self, name: str, text: str) -> None:
        pass

    def step(self, name: str, text: str) -> None:
        self.steps.append(text)

    def done(self, name: str, built: Built, fresh: bool) -> None:
        self.fresh += [name] if fresh else []

    def failed(self, name: str, error: Exception | None) -> None:
        pass


def add_newcomer(checkout: Path) -> None:
    """What a newcomer adds, and nothing else: a folder, and three files of the suite."""
    shutil.copytree(NEWCOMER / "images/newcomer", checkout / "images/newcomer")
    for place in ("frameworks", "everyday", "ranks"):
        shutil.copy(checkout / f"smoke/{place}/autograd.py", checkout / f"smoke/{place}/newcomer.py")


def copy_of(root: Path, target: Path) -> Path:
    """A checkout without what was built in it."""
    for name in ("images", "smoke"):
        shutil.copytree(root / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    add_newcomer(target)
    return target


@pytest.fixture(scope="session")
def running() -> Iterator[engine.Engine]:
    """The engine that `assay` would use here."""
    found = engine.find()
    yield found
    found.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Remote]:
    """A browser for all tests of a run: each opens the page that it is about."""
    if not apt.available():
        pytest.skip("a browser is bootstrapped, which needs Linux, root and apt")
    with driver(tmp_path_factory.mktemp("browser") / "log") as started:
        opened = started.open()
        yield opened
        opened.quit()


@dataclass(frozen=True)
class Newcomer:
    """A checkout in which the newcomer is built."""

    checkout: Path
    built: Built


@pytest.fixture(scope="session")
def own_checkout(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the newcomer in which nothing is built."""
    return copy_of(root, tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def first_newcomer(
    root: Path, running: engine.Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Newcomer]:
    """The newcomer's image, built with the host's own code; where the archive has moved on, of bases locked anew.

    A drifted image is neither published nor reproduced, and these tests are of what is.
    """
    checkout = copy_of(root, tmp_path_factory.mktemp("checkout"))
    images = build.build(catalog.load(checkout), running, ["newcomer"], Quiet()).images
    moved = drifts({"newcomer": images["newcomer"]})
    if moved:
        locked = assay(checkout, "lock", *moved)
        assert locked.returncode == 0, locked.stderr
        images = build.build(catalog.load(checkout), running, ["newcomer"], Quiet()).images
    assert not images["newcomer"].drift
    yield Newcomer(checkout, images["newcomer"])
    for name in running.tags("assay/newcomer"):
        running.remove(name)


@pytest.fixture
def newcomer(first_newcomer: Newcomer, running: engine.Engine) -> Newcomer:
    """The newcomer's image under its own name, whatever the test before built under it."""
    if running.digest("assay/newcomer:latest") != first_newcomer.built.digest:
        build.build(catalog.load(first_newcomer.checkout), running, ["newcomer"], Quiet())
    return first_newcomer


def copy_of_newcomer(newcomer: Newcomer, target: Path) -> Path:
    """A checkout in which the base is built and the newcomer is not."""
    for name in ("images", "smoke", "build"):
        shutil.copytree(newcomer.checkout / name, target / name)
    path = target / "build/images.json"
    data = json.loads(path.read_text())
    del data["images"]["newcomer"]
    path.write_text(json.dumps(data))
    return target


def assay(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a checkout, as a person would."""
    return subprocess.run(
        [ASSAY, *arguments],
        cwd=checkout,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedEngine]:
    """An embedded engine with a cache folder of its own, which a test may treat badly; stopped afterwards."""
    if os.geteuid() != 0:
        pytest.skip("the embedded engine needs root")
    for name, value in embedded_in(tmp_path_factory.mktemp("cache")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    own = EmbeddedEngine.here()
    yield own
    own.down()


def embedded_in(cache: Path) -> dict[str, str]:
    """The environment of an embedded engine in another cache folder, with the programs and the bases of the usual."""
    usual = EmbeddedEngine.here()
    usual.home.mkdir(parents=True, exist_ok=True)
    apt.unpack(embedded.PACKAGES, usual.programs)
    # Hard links: the programs need not be fetched again.
    shutil.copytree(
        usual.programs, cache / usual.programs.relative_to(paths.cache()), copy_function=os.link, symlinks=True
    )
    for shared in ("base", "tools"):
        (paths.cache() / shared).mkdir(exist_ok=True)
        (cache / shared).symlink_to(paths.cache() / shared)
    return {"ASSAY_CACHE": str(cache), "ASSAY_ENGINE": "embedded"}


def pytest_xdist_auto_num_workers() -> int:
    """Two side by side where each has an embedded engine of its own; a system's engine they would share."""
    return 2 if os.geteuid() == 0 and engine.status().used == "embedded" else 0


@pytest.fixture(scope="session", autouse=True)
def engine_of_this_worker(worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Beside others, a cache folder and an engine of one's own: two workers build images of the same names."""
    if worker_id == "master":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, value in embedded_in(tmp_path_factory.mktemp("cache")).items():
            patch.setenv(name, value)
        yield
        EmbeddedEngine.here().down()


@pytest.fixture(scope="session")
def programs() -> Path:
    """Debian's docker-registry, cosign and oras."""
    _require_apt()
    return registries.programs()


def _require_apt() -> None:
    if not apt.available():
        pytest.skip("unpacking Debian's packages needs Linux, root and apt")


@pytest.fixture
def registry(programs: Path, tmp_path: Path) -> Iterator[Registry]:
    """Debian's docker-registry, which lacks the referrers API."""
    with Registry(programs / "docker-registry", tmp_path) as found:
        yield found


@pytest.fixture
def referrers_registry(tmp_path: Path) -> Iterator[Registry]:
    """One that has the referrers API."""
    _require_apt()
    with ReferrersRegistry(registries.compiled(), tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> apptainer.Machine:
    """A machine with Apptainer on it."""
    return apptainer.bootstrapped(tmp_path_factory.mktemp("apptainer") / "root")


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    made = assay(folder, "keygen", **PASSWORD)
    assert made.returncode == 0, made.stderr
    assert assay(folder, "keygen", "--out", "other", **PASSWORD).returncode == 0
    return folder / "assay.key"


@pytest.fixture
def certified(newcomer: Newcomer) -> Newcomer:
    done = assay(newcomer.checkout, "smoke", "newcomer")
    assert done.returncode == 0, done.stdout + done.stderr
    return newcomer


def publish(certified: Newcomer, registry: Registry, key: Path) -> list[dict[str, object]]:
    done = assay(
        certified.checkout, "publish", "newcomer", "--registry", f"{registry.host}/team", "--key", str(key), "--json",
        **PASSWORD,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="session")
def installed(root: Path, first_newcomer: Newcomer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout that the newcomer is in, unpacked: what a researcher would have."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(root / "assay", folder / "assay", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "certificates", folder / "certificates")
    for name in ("images", "smoke"):
        shutil.copytree(first_newcomer.checkout / name, folder / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, folder / name)
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True, timeout=120)
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"
