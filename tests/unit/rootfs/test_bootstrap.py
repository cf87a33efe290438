from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from assay.base import Package, PackagesLock
from hypothesis import example, given
from hypothesis import strategies as st

from assay import base, catalog
from assay.engine import apt, process
from assay.errors import BuildFailed, EngineMissing, UsageError

RECORDINGS = Path(__file__).parent / "data" / "mmdebstrap"
A, B, C = "a" * 64, "b" * 64, "c" * 64
TAR = b"the root file system"
ROOTFS = hashlib.sha256(TAR).hexdigest()
LOCKED = (Package("libc6", "2.41-12", A), Package("zlib1g", "1:1.3.dfsg+really1.3.1-1+b1", B))


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> catalog.Image:
    folder = tmp_path / "images/base/trixie"
    folder.mkdir(parents=True)
    (tmp_path / "images/base/Dockerfile").write_text("FROM scratch")
    (folder / "image.toml").write_text(
        '[image]\nsummary = "Debian"\n[base]\nsuite = "trixie"\nplatform = "x86_64-manylinux_2_40"\n'
        'include = ["libc6", "zlib1g"]\n[labels]\npython = "3.13"\n'
    )
    (folder / "packages.lock").write_text(PackagesLock(LOCKED, ROOTFS).text("base/trixie"))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return catalog.load(tmp_path).get("base/trixie")


# ---- packages.lock ---------------------------------------------------------------------------------


def read(tmp_path: Path, text: str) -> PackagesLock:
    path = tmp_path / "packages.lock"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return PackagesLock.read(path)


def test_a_lock_reads_back_as_it_was_written(tmp_path: Path) -> None:
    lock = PackagesLock(LOCKED, ROOTFS)
    assert read(tmp_path, lock.text("base/trixie")) == lock


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("libc6=2.41-12", "libc6", ":3 is no exact, hashed package: 'libc6 sha256"),
        ("libc6=", "libc6>=", ":3 is no exact"),
        (f" sha256:{A}", "", ":3 is no exact"),
        (A, A[:-1], ":3 is no exact"),
        (A, A + " # and more", ":3 is no exact"),
        (A, A.upper(), ":3 is no exact"),
        ("libc6=", " libc6=", ":3 is no exact"),
        ("# rootfs", "# tar", "names no packages or no rootfs hash"),
        ("libc6=2.41-12 sha256:" + A + "\n", "", None),
    ],
)
def test_a_damaged_lock(tmp_path: Path, old: str, new: str, words: str | None) -> None:
    text = PackagesLock(LOCKED, ROOTFS).text("base/trixie")
    assert old in text
    if words is None:
        assert len(read(tmp_path, text.replace(old, new)).packages) == 1
        return
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text.replace(old, new))
    assert words in caught.value.what
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("data", [None, b"", b"\xff", f"# rootfs sha256:{A}\n".encode()])
def test_a_lock_that_says_nothing(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "packages.lock").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        PackagesLock.read(tmp_path / "packages.lock")
    assert len(str(caught.value).splitlines()) == 2


SHARED = f"# rootfs sha256:{A}\n"


@given(st.text() | st.lists(st.sampled_from(["a=1 sha256:" + A, SHARED, "#", "", "\x0b", "a=1"])).map("\n".join))
@example(SHARED + f"a=1 sha256:{A}\u2028")
def test_whatever_a_lock_holds_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "locks"
    folder.mkdir(exist_ok=True)
    (folder / "packages.lock").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        lock = PackagesLock.read(folder / "packages.lock")
    except UsageError:
        return
    assert lock.packages
    assert read(folder, lock.text("x")) == lock


# ---- what was made against what was locked -----------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "difference"),
    [
        (LOCKED, None),
        (tuple(reversed(LOCKED)), None),
        (LOCKED[:1], "zlib1g 1:1.3.dfsg+really1.3.1-1+b1 is missing"),
        ((*LOCKED, Package("bash", "5", C)), "bash is new"),
        (
            (dataclasses.replace(LOCKED[0], version="2.41-13"), LOCKED[1]),
            "libc6 2.41-12 was locked and the archive has 2.41-13",
        ),
        ((dataclasses.replace(LOCKED[0], sha256=C), LOCKED[1]), "libc6 2.41-12 has another hash than the locked one"),
    ],
)
def test_the_first_difference(made: tuple[Package, ...], difference: str | None) -> None:
    assert base._difference(LOCKED, made) == difference


# ---- making it -------------------------------------------------------------------------------------


class Bootstrap:
    """Stands for mmdebstrap: makes this tar of these packages."""

    def __init__(self, tar: bytes, packages: tuple[Package, ...]) -> None:
        self.tar = tar
        self.packages = packages
        self.pins: list[dict[str, str]] = []

    def __call__(self, image: catalog.Image, pins: Any, on_step: Any) -> tuple[Path, tuple[Package, ...]]:
        self.pins.append(dict(pins))
        folder = base.paths.cache() / "base"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "made.tar").write_bytes(self.tar)
        return folder / "made.tar", self.packages


def test_a_base_is_made_once_and_kept(image: catalog.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap = Bootstrap(TAR, LOCKED)
    monkeypatch.setattr(base, "bootstrap", bootstrap)
    said: list[str] = []
    for _ in range(2):
        path = base.rootfs(image, said.append)
        assert path == base.kept_copy(ROOTFS)
        assert path.read_bytes() == TAR
    assert bootstrap.pins == [{package.name: package.version for package in LOCKED}]
    assert said == ["kept copy of the root file system"]
    base.rootfs(image, said.append, fresh=True)
    assert len(bootstrap.pins) == 2


def test_a_damaged_kept_copy_is_made_anew(image: catalog.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "bootstrap", Bootstrap(TAR, LOCKED))
    base.rootfs(image, print).write_bytes(TAR[:-1])
    assert base.rootfs(image, print).read_bytes() == TAR


@pytest.mark.parametrize(
    ("tar", "packages", "words"),
    [
        (TAR, LOCKED[:1], "zlib1g 1:1.3.dfsg+really1.3.1-1+b1 is missing"),
        (b"other", LOCKED, f"its tar is sha256:{hashlib.sha256(b'other').hexdigest()}, and sha256:{ROOTFS} was"),
    ],
)
def test_a_base_that_comes_out_otherwise_is_refused(
    image: catalog.Image, monkeypatch: pytest.MonkeyPatch, tar: bytes, packages: tuple[Package, ...], words: str
) -> None:
    monkeypatch.setattr(base, "bootstrap", Bootstrap(tar, packages))
    with pytest.raises(BuildFailed) as caught:
        base.rootfs(image, print)
    assert words in caught.value.what
    assert str(base.kept_copy(ROOTFS)) in caught.value.todo
    assert not list((base.paths.cache() / "base").iterdir())


def test_locking_keeps_the_tar(image: catalog.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "bootstrap", Bootstrap(TAR, LOCKED))
    assert base.lock(image, print) == PackagesLock(LOCKED, ROOTFS)
    assert base.kept_copy(ROOTFS).read_bytes() == TAR


def test_no_root_no_base(image: catalog.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "available", lambda: False)
    with pytest.raises(BuildFailed, match="takes Linux, root and apt"):
        base.rootfs(image, print)


def test_no_mmdebstrap_no_base(image: catalog.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(*_: object) -> None:
        raise EngineMissing("the archive does not answer", "Check it.")

    monkeypatch.setattr(apt, "available", lambda: True)
    monkeypatch.setattr(apt, "unpack", unpack)
    with pytest.raises(BuildFailed, match="mmdebstrap cannot be had: the archive does not answer\nCheck it"):
        base.rootfs(image, print)


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
        base._run("base/trixie", ["/tools/mmdebstrap"], steps.append)
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
        base._run("base/trixie", ["/tools/mmdebstrap"], lambda line: None)


def test_success_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(monkeypatch, ["E: looks bad"], 0)
    base._run("base/trixie", ["/tools/mmdebstrap"], lambda line: None)


def test_the_command_line(image: catalog.Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(base, "_tools", lambda: Path("/tools"))
    monkeypatch.setattr(apt, "host_codename", lambda: "bookworm")
    sources = [("http://a.example", "bookworm-updates", "main"), ("http://a.example", "bookworm", "contrib")]
    monkeypatch.setattr(apt, "host_sources", lambda: sources)
    argv = base._mmdebstrap(image, {"libc6": "2.41-12"}, tmp_path)
    assert argv[0] == "/tools/usr/bin/mmdebstrap"
    assert "--include=libc6,zlib1g" in argv
    assert argv[-3:] == ["trixie", str(tmp_path / "rootfs.tar"), "deb http://a.example trixie-updates main"]
    assert (tmp_path / "preferences").read_text() == ("Package: libc6\nPin: version 2.41-12\nPin-Priority: 1001\n\n")
    plain = base._mmdebstrap(dataclasses.replace(image, include=()), {}, tmp_path)
    assert not [word for word in plain if word.startswith("--include")]


def test_what_is_installed(tmp_path: Path) -> None:
    stanza = "Package: {}\nArchitecture: amd64\nVersion: {}\nSHA256: {}\nDescription: x\n more: Version: 9\n"
    available = [stanza.format("zlib1g", "1.3", B), stanza.format("libc6", "2.41", A), stanza.format("libc6", "3", C)]
    (tmp_path / "available").write_text("\n".join(available) + "\n\n")
    (tmp_path / "installed").write_text("zlib1g 1.3\nlibc6 2.41\n")
    assert base._installed(tmp_path) == (Package("libc6", "2.41", A), Package("zlib1g", "1.3", B))
    (tmp_path / "installed").write_text("libc6 2.42\n")
    with pytest.raises(BuildFailed, match=r"libc6 2\.42 is installed but not in the archive's index"):
        base._installed(tmp_path)


# ---- build tools -----------------------------------------------------------------------------------

DSC = "Format: 3.0 (quilt)\nSource: hello\nBinary: hello\nVersion: 2.10-2\nChecksums-Sha256:\n x\n"


@pytest.fixture
def tools(image: catalog.Image) -> catalog.Image:
    extras = catalog.Tools(("main", "non-free"), ("headers", "more"), ("hello",), ("/usr/lib/*.a",))
    return dataclasses.replace(image, tools=extras)


def test_the_command_line_of_build_tools(
    tools: catalog.Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(base, "_tools", lambda: Path("/tools"))
    monkeypatch.setattr(apt, "host_codename", lambda: "bookworm")
    monkeypatch.setattr(apt, "host_sources", lambda: [("http://a.example", "bookworm", "main")])
    argv = base._mmdebstrap(tools, {"libc6": "2.41-12", "src:hello": "2.10-2"}, tmp_path)
    assert argv[-2:] == ["deb http://a.example trixie main non-free", "deb-src http://a.example trixie main non-free"]
    assert "--dpkgopt=path-exclude=/usr/lib/*.a" in argv
    hooks = [word for word in argv if word.startswith("--customize-hook=")]
    assert [hook for hook in hooks if hook.endswith("apt-get download headers more")]
    assert [hook for hook in hooks if hook.endswith("apt-get source --download-only hello=2.10-2")]
    assert [hook for hook in hooks if "--exclude='./usr/lib/*.a'" in hook]
    assert hooks[-1].endswith(base._SOURCES), "the sources that apt shall have are set when all is downloaded"
    assert (tmp_path / "preferences").read_text() == "Package: libc6\nPin: version 2.41-12\nPin-Priority: 1001\n\n"
    unpinned = base._mmdebstrap(tools, {}, tmp_path)
    assert [word for word in unpinned if word.endswith("apt-get source --download-only hello")]


def test_sources_are_locked_by_the_hash_of_their_dsc(tmp_path: Path) -> None:
    (tmp_path / "available").write_text(f"Package: libc6\nVersion: 2.41\nSHA256: {A}\n\n")
    (tmp_path / "installed").write_text("libc6 2.41\n")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/hello_2.10-2.dsc").write_text(DSC)
    (tmp_path / "sources/hello_2.10.orig.tar.gz").write_bytes(b"its hash is in the other")
    source = Package("src:hello", "2.10-2", hashlib.sha256(DSC.encode()).hexdigest())
    assert base._installed(tmp_path) == (Package("libc6", "2.41", A), source)
    lock = PackagesLock((source,), ROOTFS)
    assert read(tmp_path, lock.text("tools/hello")) == lock
