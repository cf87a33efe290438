"""`assay outdated` against a real, signed archive on loopback, with a security archive beside it."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay import catalog, rootfs
from assay.engine import apt
from assay.rootfs import Package, PackagesLock, Update
from tests.integration.archives import Key, Server, package, packed, sha256, stanza
from tests.integration.test_archives import SUITE, TOML

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not apt.available(), reason="archives are asked with root and apt only"),
    pytest.mark.skipif(shutil.which("gpg") is None, reason="archives are signed with gpg"),
]


def with_changelog(folder: Path, name: str, version: str, text: str) -> Path:
    """A package that has a changelog."""
    deb = package(folder, name, version)
    tree = folder / f"{name}-{version}"
    documents = tree / "usr/share/doc" / name
    documents.mkdir(parents=True)
    (documents / "changelog.Debian.gz").write_bytes(gzip.compress(text.encode()))
    return packed(tree, deb)


CHANGES = """\
one (1.0-1.1) tiny-security; urgency=high

  * Fix CVE-2026-12345.

one (1.0-1) tiny; urgency=low

  * Fixed CVE-2020-1111.
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "served") as found:
        yield found


def test_what_is_newer_and_which_of_it_is_for_security(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, debs = Key(tmp_path / "key"), tmp_path / "debs"
    debs.mkdir()
    old = [package(debs, name, "1.0-1") for name in ("one", "two", "bare")] + [package(debs, "same", "1.0")]
    newer = [with_changelog(debs, "one", "1.0-1.1", CHANGES), package(debs, "bare", "1.0-2")]
    plain = package(debs, "two", "1.1")
    address = server.archive("mirror", SUITE, map(stanza, [*old, plain]), key)
    server.archive("mirror", f"{SUITE}-security", map(stanza, newer), key)
    for deb in (*newer, plain):
        server.pool("mirror", deb)
    lines = (f"deb [signed-by={key.public}] {address} {suite} main\n" for suite in (SUITE, f"{SUITE}-security"))
    (tmp_path / "sources.list").write_text("".join(lines))
    monkeypatch.setenv("ASSAY_DEBIAN_SOURCES", str(tmp_path / "sources.list"))
    monkeypatch.setenv("ASSAY_DEBIAN_ARCHIVES", "none")
    (tmp_path / "images/base/tiny").mkdir(parents=True)
    (tmp_path / "images/base/Dockerfile").write_text("FROM scratch")
    (tmp_path / "images/base/tiny/image.toml").write_text(TOML)
    image = catalog.load(tmp_path, locked=False).get("base/tiny")
    names = [tuple(deb.name.split("_")[:2]) for deb in old]
    locked = tuple(Package(*each, sha256(deb)) for each, deb in zip(names, old, strict=True))
    found = rootfs.updates(image, PackagesLock(locked, "c" * 64), print)
    assert sorted(found, key=lambda update: update.package) == [
        Update("bare", "1.0-1", "1.0-2", security=True, note="bare has no changelog of its own"),
        Update("one", "1.0-1", "1.0-1.1", security=True, cves=("CVE-2026-12345",)),
        Update("two", "1.0-1", "1.1"),
    ]
