"""Building a real, small image: the newcomer's, on the real base."""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay import build, catalog, engine, reproduce
from assay.catalog import read_images
from assay.catalog.pins import read_pins
from assay.errors import BuildFailed
from tests.integration.conftest import Newcomer, Quiet, assay, copy_of_newcomer

pytestmark = pytest.mark.engine


def test_a_newcomer_adds_a_folder_and_three_files_and_touches_nothing_else(newcomer: Newcomer, root: Path) -> None:
    added = set()
    for top in ("images", "smoke"):
        for path in (newcomer.checkout / top).rglob("*"):
            inside = path.relative_to(newcomer.checkout)
            original = root / inside
            if path.is_file() and "__pycache__" not in path.parts:
                if not original.exists():
                    added.add(inside.as_posix())
                elif path.read_bytes() != original.read_bytes():
                    pytest.fail(f"{inside} was changed")
    assert added == {
        "images/newcomer/image.toml",
        "images/newcomer/requirements.in",
        "images/newcomer/requirements.lock",
        "smoke/everyday/newcomer.py",
        "smoke/frameworks/newcomer.py",
        "smoke/ranks/newcomer.py",
    }
    assert newcomer.built.digest.startswith("sha256:")


def test_nothing_changed_builds_nothing(newcomer: Newcomer, running: engine.Engine) -> None:
    view = Quiet()
    again = build.build(catalog.load(newcomer.checkout), running, ["newcomer"], view).images
    assert view.fresh == []
    assert (again["newcomer"].key, again["newcomer"].digest) == (newcomer.built.key, newcomer.built.digest)


def test_a_changed_suite_costs_only_the_last_layer(
    newcomer: Newcomer, running: engine.Engine, tmp_path: Path
) -> None:
    checkout = copy_of_newcomer(newcomer, tmp_path)
    (checkout / "smoke/data/note.txt").write_text("one more file\n")
    view = Quiet()
    changed = build.build(catalog.load(checkout), running, ["newcomer"], view).images["newcomer"]
    assert view.fresh == ["newcomer"]
    assert changed.digest != newcomer.built.digest
    assert changed.diff_ids[:-2] == newcomer.built.diff_ids[:-2]


@pytest.fixture
def other_habits(newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another user's environment and umask, and a checkout made under it; each setting is another than ours."""
    if "PYTHONDONTWRITEBYTECODE" in os.environ:
        monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    else:
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    odd = {
        "PYTHONHASHSEED": "7", "PYTHONOPTIMIZE": "2", "PYTHONPYCACHEPREFIX": "/var/pycache", "TZ": "Asia/Tokyo",
        "LANG": "de_DE.UTF-8", "SOURCE_DATE_EPOCH": "1", "DOCKER_DEFAULT_PLATFORM": "linux/arm64",
        "BUILDX_BUILDER": "none", "APT_CONFIG": "/none", "DPKG_FORCE": "all", "TAR_OPTIONS": "--mtime=@5",
    }  # fmt: skip
    for name, value in odd.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    for path in (newcomer.checkout / "images", newcomer.checkout / "smoke"):
        subprocess.run(["chmod", "-R", "go-rwx", str(path)], check=True)
    yield
    os.umask(before)
    for path in (newcomer.checkout / "images", newcomer.checkout / "smoke"):
        subprocess.run(["chmod", "-R", "go+rX", str(path)], check=True)


def test_building_again_without_any_cache_gives_the_same_digests(
    newcomer: Newcomer, running: engine.Engine, other_habits: None
) -> None:
    rows = reproduce.reproduce(catalog.load(newcomer.checkout), running, ["newcomer"], Quiet())
    assert [row.name for row in rows] == ["base/trixie", "newcomer"]
    assert all(row.sameness is reproduce.Sameness.SAME for row in rows), rows
    assert running.tags("assay-trial/newcomer") == []
    # The trial's images are the same images: taking its names away must leave theirs.
    assert running.digest("assay/newcomer:latest") == newcomer.built.digest
    assert running.digest("assay/base/trixie:latest") == rows[0].first.digest


def test_what_another_engine_compresses_differently_is_the_same(
    newcomer: Newcomer, running: engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = engine.Engine.build
    levels = []

    def build_at_another_level(self: engine.Engine, request: engine.BuildRequest, on_step: Any) -> str:
        level = 1 if request.tag.startswith("assay-trial/") else request.compression
        levels.append(level)
        return real(self, dataclasses.replace(request, compression=level), on_step)

    monkeypatch.setattr(engine.Engine, "build", build_at_another_level)
    # The kept base, since another bootstrap says nothing of how a layer is compressed.
    monkeypatch.setattr(reproduce.twice, "Options", functools.partial(build.Options, keep_base=True))
    rows = reproduce.reproduce(catalog.load(newcomer.checkout), running, ["newcomer"], Quiet())
    assert 1 in levels
    assert [row.sameness for row in rows] == [reproduce.Sameness.COMPRESSED_DIFFERENTLY] * 2
    assert all(row.first.digest != row.again.digest for row in rows)
    reproduce.require_same(rows)


def test_the_image_is_what_was_promised(newcomer: Newcomer, running: engine.Engine) -> None:
    facts = running.image("assay/newcomer:latest")
    assert facts is not None
    assert facts.digest == newcomer.built.digest
    assert facts.user == "1000:1000"
    assert facts.labels["org.opencontainers.image.version"] == "1.9.1"
    assert facts.labels["assay.python"] == "3.13"
    assert facts.environment["PATH"].split(":")[:2] == ["/opt/assay/bin", "/opt/env/bin"]
    assert facts.environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"


def test_no_file_is_newer_than_the_epoch(newcomer: Newcomer, running: engine.Engine) -> None:
    from assay.rootfs import SOURCE_DATE_EPOCH

    newer = []
    with running.saved("assay/newcomer:latest") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if member.size < 1000 or stream is None:
                continue
            newer += [f"{found.name}" for found in _layer(stream.read()) if found.mtime > SOURCE_DATE_EPOCH]
    assert newer == []


def _layer(data: bytes) -> list[tarfile.TarInfo]:
    import zstandard

    if not data.startswith(b"\x28\xb5\x2f\xfd"):
        return []
    plain = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as layer:
        return layer.getmembers()


def test_an_image_above_its_limit_is_refused(newcomer: Newcomer, tmp_path: Path) -> None:
    checkout = copy_of_newcomer(newcomer, tmp_path)
    toml = checkout / "images/newcomer/image.toml"
    toml.write_text(toml.read_text().replace("size_gb = 1\n", "size_gb = 0.3\n"))
    done = assay(checkout, "build", "newcomer")
    assert done.returncode == 4, done.stderr
    assert "its limit is 0.3 GB" in done.stderr


def test_too_little_room_is_found_before_anything_is_built(newcomer: Newcomer, tmp_path: Path) -> None:
    checkout = copy_of_newcomer(newcomer, tmp_path)
    toml = checkout / "images/newcomer/image.toml"
    toml.write_text(toml.read_text().replace("size_gb = 1\n", "size_gb = 900000\n"))
    done = assay(checkout, "build", "newcomer")
    assert done.returncode == 4, done.stderr
    assert "are needed below" in done.stderr
    assert "building" not in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("autograd==1.9.1", "autograd==1.9.999", "autograd"),
        ("--hash=sha256:", "--hash=sha256:0000", "hash"),
    ],
    ids=["vanished", "no-hash"],
)
def test_a_package_that_vanished_or_a_malformed_hash(
    old: str, new: str, said: str, newcomer: Newcomer, tmp_path: Path
) -> None:
    checkout = copy_of_newcomer(newcomer, tmp_path)
    lock = checkout / "images/newcomer/requirements.lock"
    lock.write_text(lock.read_text().replace(old, new, 1))
    done = assay(checkout, "build", "newcomer")
    assert done.returncode in {2, 4}, done.stderr
    assert said in done.stderr
    assert "newcomer" not in read_images(checkout).images
    assert "Traceback" not in done.stderr


def test_a_hash_that_does_not_match_is_refused(newcomer: Newcomer, running: engine.Engine, tmp_path: Path) -> None:
    checkout = copy_of_newcomer(newcomer, tmp_path)
    lock = checkout / "images/newcomer/requirements.lock"
    pins = read_pins(lock)
    text = lock.read_text()
    for digest in pins["autograd"].hashes:
        text = text.replace(digest, "sha256:" + "0" * 64)
    lock.write_text(text)
    with pytest.raises(BuildFailed, match=r"(?i)hash"):
        build.build(catalog.load(checkout), running, ["newcomer"], Quiet())
    assert "newcomer" not in read_images(checkout).images
