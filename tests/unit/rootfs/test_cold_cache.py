"""An empty cache folder that four threads and four commands meet in at once: each place is made once, and whole."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.engine import apt
from tests.conftest import ROOT
from tests.unit.rootfs.fake_host import CONTENT, SHA256, FakeHost

SIDE_BY_SIDE = 4
START = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from assay.host import files, paths

def tell(text):
    os.write(1, (text + chr(10)).encode())  # in one piece: others write to the same pipe

def mmdebstrap():
    from assay.rootfs import bootstrap
    return lambda: bootstrap.programs(tell) / "usr/bin/mmdebstrap"

def base():
    from assay import catalog, rootfs
    image = catalog.load(Path(sys.argv[3])).get("base/trixie")
    return lambda: rootfs.rootfs(image, tell).tar

def layout():
    from assay import rootfs
    def made():
        with files.workspace(paths.cache() / "base", "layout") as folder:
            digest = rootfs.layout(Path(sys.argv[3]) / "tar", folder / "layout")
            assert (folder / "layout/blobs" / digest.replace(":", "/")).is_file()
            return digest
    return made

def engine():
    from assay.engine import apt
    from assay.engine.embedded import PACKAGES, EmbeddedEngine
    programs = EmbeddedEngine.here().programs
    def made():
        apt.unpack(PACKAGES, programs, tell)
        return programs / "usr/bin/mmdebstrap"
    return made

def uv():
    from assay.build.contexts import uv_folder
    return lambda: uv_folder(tell) / "uv"

make = globals()[sys.argv[1]]()
threads = int(sys.argv[2])
others = []
for _ in range(threads - 1):
    others.append(os.fork())
    if not others[-1]:
        threads, others = 1, []
        break
# However busy the machine is, nobody begins before all commands are there.
Path(sys.argv[3], f"ready-{os.getpid()}").touch()
while len(list(Path(sys.argv[3]).glob("ready-*"))) < int(sys.argv[2]):
    time.sleep(0.01)
with ThreadPoolExecutor(threads) as pool:
    for made in [pool.submit(make) for _ in range(threads)]:
        place = made.result()
        tell(f"got {place} {place.stat().st_size if isinstance(place, Path) else ''}")
assert [os.waitpid(other, 0)[1] for other in others] == [0] * len(others)
"""

pytestmark = pytest.mark.skipif(not apt.available(), reason="root file systems are made with root and apt only")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    folder = root / "images/base/trixie"
    folder.mkdir(parents=True)
    (root / "images/base/Dockerfile").write_text("FROM scratch")
    (folder / "image.toml").write_text(
        '[image]\nsummary = "Debian"\n[base]\nsuite = "trixie"\nplatform = "x86_64-manylinux_2_40"\n'
        'include = ["libc6"]\n[labels]\npython = "3.13"\n'
    )
    digest = hashlib.sha256(CONTENT.encode()).hexdigest()
    (folder / "packages.lock").write_text(f"# rootfs sha256:{digest}\nlibc6=2.41-12 sha256:{SHA256}\n")
    (root / "tar").write_bytes(os.urandom(2**20))
    return root


def race(host: FakeHost, repository: Path, place: str) -> list[str]:
    """Four commands at once, the first of which has four threads; returns what they said."""
    environment = {**os.environ, "PATH": host.path, "ASSAY_CACHE": str(repository.parent / "cache")}
    # One process that becomes four once it has imported all, which takes longer than what is tried.
    command = subprocess.run(
        [sys.executable, "-c", START, place, str(SIDE_BY_SIDE), str(repository)],
        env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert command.returncode == 0, command.stdout
    lines = command.stdout.splitlines()
    assert len([line for line in lines if line.startswith("got ")]) == 2 * SIDE_BY_SIDE - 1
    return lines


def got(lines: list[str]) -> set[str]:
    return {line for line in lines if line.startswith("got ")}


@pytest.mark.parametrize("place", ["mmdebstrap", "engine"])
def test_programs_are_unpacked_once(host: FakeHost, repository: Path, place: str) -> None:
    lines = race(host, repository, place)
    assert len(got(lines)) == 1
    assert (host.started("update"), host.started("download"), host.started("dpkg-deb")) == (1, 1, 1)
    assert [line for line in lines if line.startswith("waiting for ")]


def test_a_base_is_made_once(host: FakeHost, repository: Path) -> None:
    lines = race(host, repository, "base")
    assert len(got(lines)) == 1
    assert got(lines).pop().endswith(f" {len(CONTENT)}")
    assert host.started("mmdebstrap --mode") == 1
    assert [line for line in lines if line.startswith("waiting for another command that makes base/trixie")]


def test_uv_is_copied_once(host: FakeHost, repository: Path) -> None:
    import uv

    lines = race(host, repository, "uv")
    assert len(got(lines)) == 1
    assert got(lines).pop().endswith(f" {Path(uv.find_uv_bin()).stat().st_size}")
    assert [path.name for path in (repository.parent / "cache/tools").glob("uv-*")] == [
        Path(got(lines).pop().split()[1]).parent.name
    ]


def test_each_build_has_a_layout_of_its_own(host: FakeHost, repository: Path) -> None:
    lines = race(host, repository, "layout")
    assert len(got(lines)) == 2 * SIDE_BY_SIDE - 1
    assert not list((repository.parent / "cache/base").glob("layout-*")), "none is left"
