"""A real image from one real registry through a file into the other, and what other tools make of the file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from assay import engine
from tests.integration.conftest import Newcomer, assay, publish
from tests.registries import Registry

pytestmark = pytest.mark.engine


Tell = Callable[..., dict[str, object]]


@pytest.fixture
def told(installed: Path) -> Tell:
    """Run a command of an installed Assay that knows the newcomer's suite, and return what it says."""

    def tell(folder: Path, *arguments: str) -> dict[str, object]:
        done = assay(folder, *arguments, "--json", PYTHONPATH=str(installed))
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    return tell


@pytest.mark.parametrize("back", [False, True], ids=["to-referrers-api", "to-fallback-tag"])
def test_an_image_is_carried(
    certified: Newcomer,
    told: Tell,
    registry: Registry,
    referrers_registry: Registry,
    tmp_path: Path,
    key: Path,
    back: bool,
    record_property: Callable[[str, object], None],
) -> None:
    first, second = (referrers_registry, registry) if back else (registry, referrers_registry)
    folder, public = tmp_path / "carried", ("--key", str(key.with_suffix(".pub")))
    folder.mkdir()
    (made,) = publish(certified, first, key)
    (tag, *_) = made["tags"]  # type: ignore[misc]
    out = told(folder, "export", f"{first.host}/team/newcomer:{tag}", "image.tar", *public)
    assert (out["attached"], out["left_out"]) == (4, [])
    into = told(folder, "import", "image.tar", f"{second.host}/there", *public)
    assert (into["attached"], into["tags"]) == (4, out["tags"])
    record_property("carried", {"out": out, "into": into})
    for wanted in out["tags"]:  # type: ignore[attr-defined]
        seen = told(folder, "verify", f"{second.host}/there/newcomer:{wanted}", *public, "--layers")
        assert (seen["digest"], seen["level"]) == (certified.built.digest, "E2")
    assert told(folder, "import", "image.tar", f"{second.host}/there", *public)["bytes"] == 0
    told(folder, "export", f"{second.host}/there/newcomer:{tag}", "again.tar")
    assert (folder / "again.tar").read_bytes() == (folder / "image.tar").read_bytes()

    with (folder / "image.tar").open("r+b") as file:
        file.truncate(out["bytes"] - 1)  # type: ignore[operator]
    cut = assay(folder, "import", "image.tar", f"{second.host}/cut", *public)
    assert cut.returncode == 5
    assert "it was cut" in cut.stderr
    assert second.tags("cut/newcomer") == []


def test_others_read_the_file(
    certified: Newcomer,
    told: Tell,
    registry: Registry,
    key: Path,
    programs: Path,
    running: engine.Engine,
    tmp_path: Path,
) -> None:
    (made,) = publish(certified, registry, key)
    (tag, *_) = made["tags"]  # type: ignore[misc]
    told(tmp_path, "export", f"{registry.host}/team/newcomer:{tag}", "image.tar")
    layout = ("--oci-layout", f"image.tar:{tag}")

    def oras(*arguments: str) -> str:
        argv = [str(programs / "oras"), *arguments]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    fetched = json.loads(oras("manifest", "fetch", "--descriptor", *layout))
    assert fetched["digest"] == certified.built.digest
    assert len(json.loads(oras("discover", "--format", "json", *layout))["manifests"]) == 4
    there = f"{registry.host}/copied/newcomer:{tag}"
    oras("cp", "-r", "--from-oci-layout", "--to-plain-http", f"image.tar:{tag}", there)
    seen = told(tmp_path, "verify", there, "--key", str(key.with_suffix(".pub")), "--layers")
    assert seen["level"] == "E2"

    name = f"assay/newcomer:{tag}"
    before = running.digest(name)
    subprocess.run(
        ["docker", "load", "--input", tmp_path / "image.tar"],
        env=running.environment,
        check=True,
        capture_output=True,
    )
    assert running.digest(name) == certified.built.digest
    if before is None:
        running.remove(name)
