"""A Debian root file system from exact package versions: mmdebstrap makes the same tar for the same packages."""

from __future__ import annotations

import os
import re
import shlex
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from assay.catalog import Image, Tools
from assay.catalog.platforms import Platform
from assay.engine import apt
from assay.errors import BuildFailed, EngineMissing
from assay.host import emulation, files, machine, paths, process
from assay.rootfs.packages_lock import SOURCE, Package
from assay.rootfs.sources import Archive

# Every file in every image that a build touches carries this time: 2026-01-01T00:00:00Z.
SOURCE_DATE_EPOCH = 1767225600

TOOLS = (apt.Wanted("mmdebstrap", host_suite=True), apt.Wanted("debian-archive-keyring"))


def bootstrap(
    image: Image, pins: Mapping[str, str], archive: Archive, work: Path, on_step: Callable[[str], None]
) -> tuple[Path, tuple[Package, ...]]:
    """Run mmdebstrap in the folder ``work``, with these versions pinned; return the tar there and what is in it."""
    argv = _mmdebstrap(image, pins, archive, work)
    _run(image.name, argv, on_step)
    return work / "rootfs.tar", _installed(work)


def require_possible(image: Image) -> None:
    """Raise `BuildFailed` on a host that cannot bootstrap."""
    if not apt.available():
        raise BuildFailed(
            f"{image.name} cannot be bootstrapped: that takes Linux, root and apt",
            "Build on a Debian or Ubuntu host as root, or put a kept copy of the base into the cache folder.",
        )
    wanted = image.built_for
    if not emulation.runs(wanted.machine, machine.architecture()):
        raise BuildFailed(
            f"{image.name} cannot be bootstrapped{wanted.suffix}: nothing here runs programs for {wanted.machine}",
            f"{emulation.REMEDY}, or do it on such a machine.",
        )


def programs_folder() -> Path:
    """Return where mmdebstrap and Debian's keyrings are unpacked."""
    return paths.cache() / "tools" / f"debian-{apt.key_of(TOOLS)}"


def programs(tell: files.Tell = files.silent, stop: threading.Event | None = None) -> Path:
    """Return the folder with mmdebstrap and Debian's keyrings, unpacked when first asked for."""
    folder = programs_folder()
    try:
        apt.unpack(TOOLS, folder, tell, stop)
    except EngineMissing as error:
        raise BuildFailed(f"mmdebstrap cannot be had: {error.what}", error.todo) from error
    return folder


def keys(folder: Path) -> Path:
    """Return the folder of the keyrings in that of the programs."""
    return folder / "usr/share/keyrings"


def _mmdebstrap(image: Image, pins: Mapping[str, str], archive: Archive, work: Path) -> list[str]:
    tools = programs()
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
        *_foreign(image.built_for),
        f"--keyring={keys(tools)}",
        # The cache may be a folder that apt's own user cannot read, root's home for one.
        '--aptopt=APT::Sandbox::User "root"',
        # An index that cannot be fetched would be a warning, and an older version the newest one.
        '--aptopt=APT::Update::Error-Mode "any"',
        *(['--aptopt=Acquire::http::Timeout "10"'] if archive.public else []),
        *([f"--include={','.join(image.include)}"] if image.include else []),
        # A root file system that is lost half-made is made again: dpkg need not wait for the disk at each file.
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*/LC_MESSAGES/*",
        "--dpkgopt=path-exclude=/usr/share/info/*",
        f"--setup-hook=cp {work}/preferences $1/etc/apt/preferences.d/locked",
        f"--customize-hook=chroot $1 apt-cache dumpavail > {work}/available",
        f"--customize-hook=chroot $1 dpkg-query -W -f '${{Package}} ${{Version}}\\n' > {work}/installed",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in image.exclude),
        *(_extras(image.tools, pins, work) if image.tools else []),
        f"--customize-hook={_byte_code(image)}",
        f"--customize-hook={_SOURCES}",
        image.suite or "",
        str(work / "rootfs.tar"),
        *archive.lines,
    ]


def _foreign(platform: Platform) -> list[str]:
    """What mmdebstrap is told of another processor than this machine's, whose programs are emulated here."""
    if platform.machine == machine.architecture():
        return []
    return [f"--architectures={platform.architecture}", "--skip=check/qemu"]  # `require_possible` has looked


def _extras(tools: Tools, pins: Mapping[str, str], work: Path) -> list[str]:
    """What build tools have besides: packages unpacked alone, sources, and paths that are left out of both."""
    options: list[str] = []
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
    script = image.folder.parents[image.name.count("/")] / "common/install/byte_compile.py"
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


def _run(name: str, argv: list[str], on_step: Callable[[str], None]) -> None:
    tools = Path(argv[0]).parent
    said: list[str] = []

    def read(line: str) -> None:
        said.append(line)
        if line.startswith("I: "):
            on_step(line[3:].strip())

    # It hands its environment to each package's own scripts, which write files by it: Python its byte code, for one.
    environment = process.plain_environment(
        SOURCE_DATE_EPOCH=str(SOURCE_DATE_EPOCH),
        PATH=f"{tools}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
        LC_ALL="C.UTF-8",
        DEBIAN_FRONTEND="noninteractive",
        PYTHONDONTWRITEBYTECODE="1",  # only py3compile writes it: an import would write another kind
    )
    if process.stream(argv, read, env=environment, cwd=Path("/")) == 0:
        return
    text = "\n".join(said)
    reason = next((line for line in said if re.match(r"E: (?!mmdebstrap|run_chroot|setup failed)", line)), "")
    if "no space left" in text.lower():
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
    return Package(f"{SOURCE}{fields['Source']}", fields["Version"], files.sha256(dsc))
