"""Images for another processor than this machine's: what the engine is told, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import build, catalog
from assay.build import Options
from assay.catalog.platforms import AMD64, ARM64
from assay.errors import BuildFailed
from assay.host import emulation, machine
from tests.unit.place import Place, View
from tests.unit.repository import STACK_LOCK, B

BOTH = 'platforms = ["linux/amd64", "linux/arm64"]\nsummary'
LOCK = STACK_LOCK + f"torch==2.1 --hash=sha256:{B}\n"


@pytest.fixture
def both(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A framework that is built for two platforms, on a machine of the first one."""
    monkeypatch.setattr(machine, "architecture", lambda: "x86_64")
    for name in ("base/trixie", "cuda/1.0", "torchy"):
        path = place.root / "images" / name / "image.toml"
        path.write_text(path.read_text().replace("summary", BOTH, 1))
    place.write("images/cuda/1.0/requirements.arm64.lock", STACK_LOCK)
    place.write("images/torchy/requirements.arm64.lock", LOCK)
    place.write("images/torchy/patch", "a patch")
    place.write("images/torchy/old/image.toml", '[image]\nparent = "base/trixie"\nsummary = "A variant"\n')
    return place


def go(place: Place) -> dict[str, dict[str, str]]:
    """Build for the second platform; what each image's context held while it was built."""
    seen: dict[str, dict[str, str]] = {}

    def look(name: str) -> None:
        context = place.engine.requests[-1].context
        files = {path.relative_to(context).as_posix(): path for path in context.rglob("*") if path.is_file()}
        seen[name] = {at: path.read_text() for at, path in files.items()}

    place.engine.on_build = look
    place.view, place.engine.requests = View(), []
    cat = catalog.load(place.root, platform="linux/arm64")
    options = Options(suffix=build.suffix_of(cat.platform))
    build.build(cat, place.engine, ["torchy"], place.view, options)  # type: ignore[arg-type]
    return seen


def test_they_are_told_the_platform_and_find_their_own_lock(both: Place) -> None:
    seen = go(both)
    assert [request.platform for request in both.engine.requests] == ["linux/arm64"] * 3
    assert seen["torchy"]["requirements.lock"] == LOCK
    assert seen["torchy"]["patch"] == "a patch"
    assert not [at for at in seen["torchy"] if at.startswith("old/") or "arm64" in at]
    labels = both.engine.requests[-1].labels
    assert labels["org.opencontainers.image.version"] == "2.1"


def test_they_have_names_of_their_own_and_are_no_images_of_this_machine(both: Place) -> None:
    go(both)
    assert {request.tag for request in both.engine.requests} == {
        "assay-arm64/base/trixie:latest",
        "assay-arm64/cuda/1.0:latest",
        "assay-arm64/torchy:latest",
    }
    assert not both.known()


def test_this_machine_s_are_built_as_ever(both: Place) -> None:
    go(both)
    both.engine.on_build = lambda name: None
    both.build("torchy")
    (torchy,) = [request for request in both.engine.requests if request.tag.startswith("assay/torchy")]
    assert (torchy.platform, torchy.context) == (None, both.root / "images/torchy")
    assert both.known().keys() == {"base/trixie", "cuda/1.0", "torchy"}


def test_on_such_a_machine_nothing_is_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "architecture", lambda: "aarch64")
    assert (build.suffix_of(ARM64), build.suffix_of(AMD64)) == ("", "-amd64")
    build.require_runs(ARM64)


def test_without_an_emulator_none_is_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "architecture", lambda: "x86_64")
    monkeypatch.setattr(emulation, "REGISTERED", tmp_path)
    with pytest.raises(BuildFailed, match=r"^nothing here runs programs for aarch64\nInstall qemu-user-binfmt"):
        build.require_runs(ARM64)
