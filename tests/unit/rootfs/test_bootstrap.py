from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay import catalog
from assay.errors import BuildFailed
from assay.host import process
from assay.rootfs import Package, PackagesLock, bootstrap
from tests.unit.rootfs.known import MIRROR, A, B, C

RECORDINGS = Path(__file__).parent.parent / "data" / "mmdebstrap"


def recorded(monkeypatch: pytest.MonkeyPatch, lines: list[str], status: int) -> None:
    def stream(argv: list[str], on_line: Callable[[str], None], **_: Any) -> int:
        for line in lines:
            on_line(line)
        return status

    monkeypatch.setattr(process, "stream", stream)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unreachable", r"cannot be bootstrapped: E: Failed to fetch http://127\.0\.0\.1:9/.*Connection refused"),
        ("unknown", "cannot be bootstrapped: E: Unable to locate package nosuch-package"),
        ("version", r"cannot be bootstrapped: the archive no longer has hello 9\.9-9"),
    ],
)
def test_why_mmdebstrap_failed(monkeypatch: pytest.MonkeyPatch, name: str, reason: str) -> None:
    steps: list[str] = []
    recorded(monkeypatch, (RECORDINGS / f"{name}.txt").read_text().splitlines(), 25)
    with pytest.raises(BuildFailed, match=f"base/trixie {reason}") as caught:
        bootstrap._run("base/trixie", ["/tools/mmdebstrap"], steps.append)
    assert len(str(caught.value).splitlines()) == 2
    assert "running apt-get update..." in steps


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["I: x", "dpkg: error: cannot copy: failed to write (No space left on device)", "E: x"], "the disk is full"),
        (["something odd"], "cannot be bootstrapped: something odd"),
        ([], "cannot be bootstrapped: mmdebstrap said nothing"),
    ],
)
def test_other_failures(monkeypatch: pytest.MonkeyPatch, lines: list[str], reason: str) -> None:
    recorded(monkeypatch, lines, 1)
    with pytest.raises(BuildFailed, match=reason):
        bootstrap._run("base/trixie", ["/tools/mmdebstrap"], lambda line: None)


def test_success_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(monkeypatch, ["E: looks bad"], 0)
    bootstrap._run("base/trixie", ["/tools/mmdebstrap"], lambda line: None)


def test_the_command_line(image: catalog.Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "programs", lambda: Path("/tools"))
    argv = bootstrap._mmdebstrap(image, {"libc6": "2.41-12"}, MIRROR, tmp_path)
    assert argv[0] == "/tools/usr/bin/mmdebstrap"
    assert "--include=libc6,zlib1g" in argv
    assert argv[-4:] == ["trixie", str(tmp_path / "rootfs.tar"), *MIRROR.lines]
    assert '--aptopt=APT::Update::Error-Mode "any"' in argv
    assert (tmp_path / "preferences").read_text() == ("Package: libc6\nPin: version 2.41-12\nPin-Priority: 1001\n\n")
    plain = bootstrap._mmdebstrap(dataclasses.replace(image, include=()), {}, MIRROR, tmp_path)
    assert not [word for word in plain if word.startswith("--include")]


def test_what_is_installed(tmp_path: Path) -> None:
    stanza = "Package: {}\nArchitecture: amd64\nVersion: {}\nSHA256: {}\nDescription: x\n more: Version: 9\n"
    available = [stanza.format("zlib1g", "1.3", B), stanza.format("libc6", "2.41", A), stanza.format("libc6", "3", C)]
    (tmp_path / "available").write_text("\n".join(available) + "\n\n")
    (tmp_path / "installed").write_text("zlib1g 1.3\nlibc6 2.41\n")
    assert bootstrap._installed(tmp_path) == (Package("libc6", "2.41", A), Package("zlib1g", "1.3", B))
    (tmp_path / "installed").write_text("libc6 2.42\n")
    with pytest.raises(BuildFailed, match=r"libc6 2\.42 is installed but not in the archive's index"):
        bootstrap._installed(tmp_path)


# ---- build tools -----------------------------------------------------------------------------------

DSC = "Format: 3.0 (quilt)\nSource: hello\nBinary: hello\nVersion: 2.10-2\nChecksums-Sha256:\n x\n"


@pytest.fixture
def tools(image: catalog.Image) -> catalog.Image:
    extras = catalog.Tools(
        suite="trixie",
        components=("main", "non-free"),
        unpack=("headers", "more"),
        sources=("hello",),
        exclude=("/usr/lib/*.a",),
    )
    return dataclasses.replace(image, tools=extras)


def test_the_command_line_of_build_tools(
    tools: catalog.Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "programs", lambda: Path("/tools"))
    argv = bootstrap._mmdebstrap(tools, {"libc6": "2.41-12", "src:hello": "2.10-2"}, MIRROR, tmp_path)
    assert "--dpkgopt=path-exclude=/usr/lib/*.a" in argv
    hooks = [word for word in argv if word.startswith("--customize-hook=")]
    assert [hook for hook in hooks if hook.endswith("apt-get download headers more")]
    assert [hook for hook in hooks if hook.endswith("apt-get source --download-only hello=2.10-2")]
    assert [hook for hook in hooks if "--exclude='./usr/lib/*.a'" in hook]
    assert hooks[-1].endswith(bootstrap._SOURCES), "the sources that apt shall have are set when all is downloaded"
    assert (tmp_path / "preferences").read_text() == "Package: libc6\nPin: version 2.41-12\nPin-Priority: 1001\n\n"
    unpinned = bootstrap._mmdebstrap(tools, {}, MIRROR, tmp_path)
    assert [word for word in unpinned if word.endswith("apt-get source --download-only hello")]


def test_sources_are_locked_by_the_hash_of_their_dsc(tmp_path: Path) -> None:
    (tmp_path / "available").write_text(f"Package: libc6\nVersion: 2.41\nSHA256: {A}\n\n")
    (tmp_path / "installed").write_text("libc6 2.41\n")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/hello_2.10-2.dsc").write_text(DSC)
    (tmp_path / "sources/hello_2.10.orig.tar.gz").write_bytes(b"its hash is in the other")
    source = Package("src:hello", "2.10-2", hashlib.sha256(DSC.encode()).hexdigest())
    assert bootstrap._installed(tmp_path) == (Package("libc6", "2.41", A), source)
    lock = PackagesLock((source,), "c" * 64)
    (tmp_path / "packages.lock").write_text(lock.text("tools/hello"))
    assert PackagesLock.read(tmp_path / "packages.lock") == lock
