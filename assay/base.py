"""The Debian root file systems that all images stand on, from exact package versions.

mmdebstrap makes the same tar for the same packages every time, so a base is locked by its packages *and* by
the hash of its tar. A tar that was made once is kept in the cache by that hash: when the archive moves on and
the locked versions vanish from it, the kept copy still builds the very same image.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from assay import paths
from assay.catalog import Image, Tools
from assay.engine import apt
from assay.errors import BuildFailed, EngineMissing, UsageError
from assay.host import process

# Every file in every image that a build touches carries this time: 2026-01-01T00:00:00Z.
SOURCE_DATE_EPOCH = 1767225600

TOOLS = (apt.Wanted("mmdebstrap", host_suite=True), apt.Wanted("debian-archive-keyring"))
# What stands before the name of a source package; its hash is that of its .dsc, which holds those of its files.
SOURCE = "src:"
_LINE = re.compile(
    r"(?P<name>(?:src:)?[a-z0-9][a-z0-9+.-]*)=(?P<version>[0-9A-Za-z.+:~-]+) sha256:(?P<sha256>[0-9a-f]{64})"
)
_ROOTFS = re.compile(r"# rootfs sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Package:
    """A Debian package at an exact version, with the hash of its archive."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class PackagesLock:
    """A ``packages.lock``: what the base holds, and the hash of the tar that mmdebstrap makes of it."""

    packages: tuple[Package, ...]
    rootfs: str

    @classmethod
    def read(cls, path: Path) -> PackagesLock:
        """Read a lock; a line that is neither a comment nor an exact, hashed package is a `UsageError`."""
        packages = []
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}", "Run `assay lock` for its image.") from error
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line)
            if found is None:
                raise UsageError(f"{path}:{number} is no exact, hashed package: {line!r}", "Run `assay lock`.")
            packages.append(Package(**found.groupdict()))
        rootfs = _ROOTFS.search(text)
        if rootfs is None or not packages:
            raise UsageError(f"{path} names no packages or no rootfs hash", "Run `assay lock` for its image.")
        return cls(tuple(packages), rootfs[1])

    def text(self, image: str) -> str:
        """The lock as a file."""
        head = f"# The Debian packages of {image}. Made by: assay lock {image}\n# rootfs sha256:{self.rootfs}\n"
        return head + "".join(f"{p.name}={p.version} sha256:{p.sha256}\n" for p in self.packages)


def rootfs(image: Image, on_step: Callable[[str], None], *, fresh: bool = False) -> Path:
    """The locked base's root file system as a tar: the kept copy (unless ``fresh``), else made anew and kept.

    Raises `BuildFailed` when the archive no longer has the locked versions and no copy is kept.
    """
    if image.packages_lock is None:
        raise UsageError(f"{image.name} has no packages.lock", f"Run `assay lock {image.name}`.")
    lock = PackagesLock.read(image.packages_lock)
    kept = kept_copy(lock.rootfs)
    if not fresh and kept.is_file() and _sha256(kept) == lock.rootfs:
        on_step("kept copy of the root file system")
        return kept
    made, packages = bootstrap(image, {p.name: p.version for p in lock.packages}, on_step)
    problem = _difference(lock.packages, packages)
    digest = _sha256(made)
    if problem is None and digest != lock.rootfs:
        problem = f"its tar is sha256:{digest}, and sha256:{lock.rootfs} was locked"
    if problem is not None:
        made.unlink()
        raise BuildFailed(
            f"{image.name} cannot be made as it was locked: {problem}",
            f"Put a kept copy at {kept}, or name an archive that has them in ASSAY_DEBIAN_SOURCES, "
            f"or `assay lock {image.name}`.",
        )
    return Path(shutil.move(made, kept))


def lock(image: Image, on_step: Callable[[str], None]) -> PackagesLock:
    """Resolve a base anew against the archive as it is today; the tar is kept."""
    made, packages = bootstrap(image, {}, on_step)
    digest = _sha256(made)
    shutil.move(made, kept_copy(digest))
    return PackagesLock(packages, digest)


def kept_copy(digest: str) -> Path:
    """Where the tar of that hash is kept."""
    return paths.cache() / "base" / f"{digest}.tar"


def bootstrap(
    image: Image, pins: Mapping[str, str], on_step: Callable[[str], None]
) -> tuple[Path, tuple[Package, ...]]:
    """Run mmdebstrap for the image's suite, with the given versions pinned; the tar and what is in it."""
    if not apt.available():
        raise BuildFailed(
            f"{image.name} cannot be bootstrapped: that takes Linux, root and apt",
            "Build on a Debian or Ubuntu host as root, or put a kept copy of the base into the cache folder.",
        )
    folder = paths.cache() / "base"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bootstrap-", dir=folder) as name:
        work = Path(name)
        argv = _mmdebstrap(image, pins, work)
        _run(image.name, argv, on_step)
        packages = _installed(work)
        made = Path(shutil.move(work / "rootfs.tar", folder / f"{work.name}.tar"))
    return made, packages


def _mmdebstrap(image: Image, pins: Mapping[str, str], work: Path) -> list[str]:
    assert image.suite is not None  # noqa: S101 - only bases come here
    tools = _tools()
    (work / "preferences").write_text(
        "".join(
            f"Package: {name}\nPin: version {version}\nPin-Priority: 1001\n\n"
            for name, version in pins.items()
            if not name.startswith(SOURCE)
        )
    )
    return [
        str(tools / "usr/bin/mmdebstrap"),
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
        f"--keyring={tools / 'usr/share/keyrings'}",
        # The cache may be a folder that apt's own user cannot read, root's home for one.
        '--aptopt=APT::Sandbox::User "root"',
        *([f"--include={','.join(image.include)}"] if image.include else []),
        # A root file system that is lost half-made is made again: dpkg need not wait for the disk at each file.
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*/LC_MESSAGES/*",
        "--dpkgopt=path-exclude=/usr/share/info/*",
        f"--setup-hook=cp {work}/preferences $1/etc/apt/preferences.d/locked",
        f"--customize-hook=chroot $1 apt-cache dumpavail > {work}/available",
        f"--customize-hook=chroot $1 dpkg-query -W -f '${{Package}} ${{Version}}\\n' > {work}/installed",
        *(_extras(image.tools, pins, work) if image.tools else []),
        f"--customize-hook={_byte_code(image)}",
        f"--customize-hook={_SOURCES}",
        image.suite,
        str(work / "rootfs.tar"),
        *_sources(image),
    ]


def _extras(tools: Tools, pins: Mapping[str, str], work: Path) -> list[str]:
    """What build tools have besides: packages unpacked alone, sources, and paths that are left out of both."""
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in tools.exclude]
    apt_get = f'mkdir -p {work}/{{}} && cd {work}/{{}} && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get {{}}'
    if tools.unpack:
        excludes = " ".join(f"--exclude='.{pattern}'" for pattern in tools.exclude)
        options += [
            f"--customize-hook={apt_get.format('unpack', 'unpack', 'download ' + ' '.join(tools.unpack))}",
            f"--customize-hook=for deb in {work}/unpack/*.deb; do dpkg-deb --fsys-tarfile $deb | "
            f"tar --extract --directory $1 --keep-directory-symlink --anchored {excludes} && "
            f"dpkg-deb --show --showformat='${{Package}} ${{Version}}\n' $deb >> {work}/installed || exit 1; done",
        ]
    if tools.sources:
        names = " ".join(f"{name}={pins[SOURCE + name]}" if SOURCE + name in pins else name for name in tools.sources)
        options += [
            f"--customize-hook={apt_get.format('sources', 'sources', 'source --download-only ' + names)}",
            # Their times are those of the mirror's copies.
            f"--customize-hook=touch --date=@{SOURCE_DATE_EPOCH} {work}/sources/* && "
            f"mkdir -p $1/usr/src/debian && cp --preserve=timestamps {work}/sources/* $1/usr/src/debian",
        ]
    return options


def _byte_code(image: Image) -> str:
    """Compile Python's modules anew where Python is older than 3.11: what its maintainer script compiles varies."""
    script = image.folder.parents[image.name.count("/")] / "common" / "byte-compile"
    return (
        'cd $1; if chroot . /usr/bin/python3 -c "import sys; sys.exit(sys.version_info >= (3, 11))"; then '
        "for folder in usr/lib/python3*; do "
        f"PYTHONHASHSEED=0 chroot . /usr/bin/python3 - /$folder < {shlex.quote(str(script))} || exit 1; done; fi"
    )


# The mirror that this host happens to use has no business in an image: it gets the suite's own sources, as
# apt documents them, and neither pins nor options of ours.
_SOURCES = (
    "rm $1/etc/apt/preferences.d/locked $1/etc/apt/sources.list; "
    "rm -f $1/etc/apt/apt.conf.d/99mmdebstrap $1/etc/dpkg/dpkg.cfg.d/99mmdebstrap; "
    "cd $1/usr/share/doc/apt/examples; "
    "if [ -f debian.sources ]; then cp debian.sources $1/etc/apt/sources.list.d; else cp sources.list $1/etc/apt; fi"
)


def _sources(image: Image) -> list[str]:
    """Where the suite is to come from, as lines of apt's.

    That is what ``ASSAY_DEBIAN_SOURCES`` says, for a suite that the mirrors no longer have; else the host's own
    mirror, where the host is a Debian; else nothing, and mmdebstrap takes its default.
    """
    chosen = os.environ.get("ASSAY_DEBIAN_SOURCES")
    if chosen:
        return _chosen_sources(Path(chosen), image)
    components = " ".join(image.tools.components if image.tools else ("main",))
    kinds = ("deb", "deb-src") if image.tools and image.tools.sources else ("deb",)
    codename = apt.host_codename()
    if codename not in {"bullseye", "bookworm", "trixie", "forky", "sid"}:
        return []
    return [
        f"{kind} {address} {image.suite}{pocket.removeprefix(codename)} {components}"
        for kind in kinds
        for address, pocket, component in apt.host_sources()
        if component == "main" and (pocket == codename or pocket.startswith(f"{codename}-"))
    ]


_SOURCE = re.compile(r"deb(-src)?\s+(\[[^\]]*\]\s+)?\S+\s+(?P<suite>\S+)(\s+\S+)+")


def _chosen_sources(path: Path, image: Image) -> list[str]:
    """The lines of a sources.list, one-line style, that are for the image's suite."""
    todo = f"Write lines for {image.suite} there, as in apt's sources.list: deb ADDRESS {image.suite} main"
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"ASSAY_DEBIAN_SOURCES: {path} cannot be read: {error}", todo) from None
    suites = [(line, found["suite"]) for line in lines for found in [_SOURCE.fullmatch(line)] if found]
    fitting = [line for line, suite in suites if suite.partition("-")[0].partition("/")[0] == image.suite]
    if not fitting:
        raise UsageError(f"ASSAY_DEBIAN_SOURCES: {path} has no line for {image.suite}", todo)
    return fitting


def _tools() -> Path:
    folder = paths.cache() / "tools" / f"debian-{apt.key_of(TOOLS)}"
    try:
        apt.unpack(TOOLS, folder)
    except EngineMissing as error:
        raise BuildFailed(f"mmdebstrap cannot be had: {error.what}", error.todo) from error
    return folder


def _run(name: str, argv: list[str], on_step: Callable[[str], None]) -> None:
    tools = Path(argv[0]).parent
    said: list[str] = []

    def read(line: str) -> None:
        said.append(line)
        if line.startswith("I: "):
            on_step(line[3:].strip())

    environment = process.environment(
        SOURCE_DATE_EPOCH=str(SOURCE_DATE_EPOCH),
        PATH=f"{tools}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
        LC_ALL="C.UTF-8",
    )
    if process.stream(argv, read, env=environment, cwd=Path("/")) == 0:
        return
    text = "\n".join(said)
    reason = next((line for line in said if re.match(r"E: (?!mmdebstrap|run_chroot|setup failed)", line)), "")
    if "No space left" in text:
        raise BuildFailed(f"the disk is full: {name} was not made", f"Make room below {paths.cache()}.")
    vanished = re.search(r"Version '([^']+)' for '([^']+)' was not found", text)
    if vanished:
        reason = f"the archive no longer has {vanished[2]} {vanished[1]}"
    raise BuildFailed(
        f"{name} cannot be bootstrapped: {reason or (said or ['mmdebstrap said nothing'])[-1]}",
        "Check that the package archive answers, or name one that has the suite in ASSAY_DEBIAN_SOURCES; "
        f"`assay lock {name}` resolves the base anew.",
    )


def _installed(work: Path) -> tuple[Package, ...]:
    """What dpkg says is installed, with the hashes that the signed index gives."""
    hashes = {}
    for stanza in (work / "available").read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|SHA256): (.+)$", stanza, re.MULTILINE))
        if len(fields) == 3:
            hashes[fields["Package"], fields["Version"]] = fields["SHA256"]
    packages = []
    for line in (work / "installed").read_text().splitlines():
        name, version = line.split()
        if (name, version) not in hashes:
            raise BuildFailed(f"{name} {version} is installed but not in the archive's index", "Run it again.")
        packages.append(Package(name, version, hashes[name, version]))
    packages += [_source_package(path) for path in sorted(work.glob("sources/*.dsc"))]
    return tuple(sorted(packages, key=lambda package: package.name))


def _source_package(dsc: Path) -> Package:
    fields = dict(re.findall(r"^(Source|Version): (\S+)$", dsc.read_text(encoding="utf-8"), re.MULTILINE))
    return Package(f"{SOURCE}{fields['Source']}", fields["Version"], _sha256(dsc))


def _difference(locked: tuple[Package, ...], made: tuple[Package, ...]) -> str | None:
    """The first package that is not as it was locked, in words."""
    was, now = ({package.name: package for package in packages} for packages in (locked, made))
    for name in sorted(was.keys() | now.keys()):
        old, new = was.get(name), now.get(name)
        if old is None:
            return f"{name} is new"
        if new is None:
            return f"{name} {old.version} is missing"
        if old.version != new.version:
            return f"{name} {old.version} was locked and the archive has {new.version}"
        if old.sha256 != new.sha256:
            return f"{name} {old.version} has another hash than the locked one"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
