from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from assay import catalog
from assay.catalog.platforms import ARM64
from assay.engine import apt
from assay.errors import BuildFailed
from assay.host import emulation, machine, process
from assay.rootfs import Package, PackagesLock, bootstrap
from tests.unit.rootfs.known import MIRROR, A, B, C

RECORDINGS = Path(__file__).parent.parent / "data" / "mmdebstrap"


AVAILABLE = f"Package: libc6\nVersion: 2.41-12\nSHA256: {A}\n\n"


class Mmdebstrap:
    """Stands for the program: says what was recorded, ends with a status, and leaves what it has put in."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.lines: list[str] = []
        self.status = 0
        self.available = AVAILABLE
        self.installed = "libc6 2.41-12\n"
        self.sources: dict[str, bytes] = {}
        self.steps: list[str] = []
        self.argv: list[str] = []
        self.environment: dict[str, str] = {}

    def stream(self, argv: list[str], on_line: Callable[[str], None], *, env: dict[str, str], cwd: Path) -> int:
        self.argv, self.environment = argv, env
        for line in self.lines:
            on_line(line)
        (self.work / "available").write_text(self.available)
        (self.work / "installed").write_text(self.installed)
        for name, data in self.sources.items():
            (self.work / "sources").mkdir(exist_ok=True)
            (self.work / "sources" / name).write_bytes(data)
        return self.status

    def run(self, image: catalog.Image, pins: dict[str, str] | None = None) -> tuple[Package, ...]:
        """Bootstrap with it; returns what is installed."""
        tar, packages = bootstrap.bootstrap(image, pins or {}, MIRROR, self.work, self.steps.append)
        assert tar == self.work / "rootfs.tar"
        return packages


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mmdebstrap:
    (tmp_path / "work").mkdir()
    made = Mmdebstrap(tmp_path / "work")
    monkeypatch.setattr(bootstrap, "programs", lambda: Path("/tools"))
    monkeypatch.setattr(process, "stream", made.stream)
    return made


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unreachable", r"cannot be bootstrapped: E: Failed to fetch http://127\.0\.0\.1:9/.*Connection refused"),
        ("unknown", "cannot be bootstrapped: E: Unable to locate package nosuch-package"),
        ("version", r"cannot be bootstrapped: the archive no longer has hello 9\.9-9"),
    ],
)
def test_why_mmdebstrap_failed(image: catalog.Image, program: Mmdebstrap, name: str, reason: str) -> None:
    program.lines, program.status = (RECORDINGS / f"{name}.txt").read_text().splitlines(), 25
    with pytest.raises(BuildFailed, match=f"base/trixie {reason}") as caught:
        program.run(image)
    assert len(str(caught.value).splitlines()) == 2
    assert "running apt-get update..." in program.steps


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["I: x", "dpkg: error: cannot copy: failed to write (No space left on device)", "E: x"], "the disk is full"),
        (["something odd"], "cannot be bootstrapped: something odd"),
        ([], "cannot be bootstrapped: mmdebstrap said nothing"),
    ],
)
def test_other_failures(image: catalog.Image, program: Mmdebstrap, lines: list[str], reason: str) -> None:
    program.lines, program.status = lines, 1
    with pytest.raises(BuildFailed, match=reason):
        program.run(image)


def test_what_looks_bad_is_none_where_it_ends_well(image: catalog.Image, program: Mmdebstrap) -> None:
    program.lines = ["E: looks bad"]
    assert program.run(image) == (Package("libc6", "2.41-12", A),)


def test_what_the_packages_scripts_see_is_the_same_for_everybody(
    image: catalog.Image, program: Mmdebstrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONDONTWRITEBYTECODE", "HTTPS_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    program.run(image)
    usual = program.environment
    for name in ("PYTHONHASHSEED", "PYTHONOPTIMIZE", "TZ", "LANG", "APT_CONFIG", "DPKG_FORCE", "ANYTHING"):
        monkeypatch.setenv(name, "1")
    program.run(image)
    assert program.environment == usual
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    program.run(image)
    assert program.environment == {**usual, "HTTPS_PROXY": "http://proxy.example"}


def test_the_command_line(image: catalog.Image, program: Mmdebstrap) -> None:
    program.run(image, {"libc6": "2.41-12"})
    assert program.argv[0] == "/tools/usr/bin/mmdebstrap"
    assert "--include=libc6,zlib1g" in program.argv
    assert program.argv[-4:] == ["trixie", str(program.work / "rootfs.tar"), *MIRROR.lines]
    assert '--aptopt=APT::Update::Error-Mode "any"' in program.argv
    pins = (program.work / "preferences").read_text()
    assert pins == "Package: libc6\nPin: version 2.41-12\nPin-Priority: 1001\n\n"
    program.run(dataclasses.replace(image, include=()))
    assert not [word for word in program.argv if word.startswith("--include")]


def test_what_is_installed(image: catalog.Image, program: Mmdebstrap) -> None:
    stanza = "Package: {}\nArchitecture: amd64\nVersion: {}\nSHA256: {}\nDescription: x\n more: Version: 9\n"
    several = [stanza.format("zlib1g", "1.3", B), stanza.format("libc6", "2.41", A), stanza.format("libc6", "3", C)]
    program.available = "\n".join(several) + "\n\n"
    program.installed = "zlib1g 1.3\nlibc6 2.41\n"
    assert program.run(image) == (Package("libc6", "2.41", A), Package("zlib1g", "1.3", B))
    program.installed = "libc6 2.42\n"
    with pytest.raises(BuildFailed, match=r"libc6 2\.42 is installed but not in the archive's index"):
        program.run(image)


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
    return dataclasses.replace(image, tools=extras, exclude=extras.exclude)


def test_the_command_line_of_build_tools(tools: catalog.Image, program: Mmdebstrap) -> None:
    program.run(tools, {"libc6": "2.41-12", "src:hello": "2.10-2"})
    assert "--dpkgopt=path-exclude=/usr/lib/*.a" in program.argv
    hooks = [word for word in program.argv if word.startswith("--customize-hook=")]
    assert [hook for hook in hooks if hook.endswith("apt-get download headers more")]
    assert [hook for hook in hooks if hook.endswith("apt-get source --download-only hello=2.10-2")]
    assert [hook for hook in hooks if "--exclude='./usr/lib/*.a'" in hook]
    assert "$1/etc/apt/sources.list" in hooks[-1], "the sources that apt shall have are set when all is downloaded"
    pins = (program.work / "preferences").read_text()
    assert pins == "Package: libc6\nPin: version 2.41-12\nPin-Priority: 1001\n\n"
    program.run(tools)
    assert [word for word in program.argv if word.endswith("apt-get source --download-only hello")]


def test_sources_are_locked_by_the_hash_of_their_dsc(
    tools: catalog.Image, program: Mmdebstrap, tmp_path: Path
) -> None:
    program.sources = {"hello_2.10-2.dsc": DSC.encode(), "hello_2.10.orig.tar.gz": b"its hash is in the other"}
    source = Package("src:hello", "2.10-2", hashlib.sha256(DSC.encode()).hexdigest())
    assert program.run(tools) == (Package("libc6", "2.41-12", A), source)
    lock = PackagesLock((source,), "c" * 64)
    (tmp_path / "packages.lock").write_text(lock.text("tools/hello"))
    assert PackagesLock.read(tmp_path / "packages.lock") == lock


def test_the_command_line_for_another_processor(
    image: catalog.Image, program: Mmdebstrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "architecture", lambda: "x86_64")
    program.run(image)
    assert not [word for word in program.argv if word.startswith(("--architectures", "--skip"))]
    program.run(dataclasses.replace(image, built_for=ARM64))
    assert {"--architectures=arm64", "--skip=check/qemu"} <= set(program.argv)


def test_another_processor_needs_an_emulator(
    image: catalog.Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(apt, "available", lambda: True)
    monkeypatch.setattr(machine, "architecture", lambda: "x86_64")
    monkeypatch.setattr(emulation, "REGISTERED", tmp_path)
    bootstrap.require_possible(image)
    with pytest.raises(BuildFailed, match=r"base/trixie cannot be bootstrapped on linux/arm64: nothing here runs"):
        bootstrap.require_possible(dataclasses.replace(image, built_for=ARM64))
