"""What an archive has that is newer than what a base was locked with, and which CVEs its changelogs name."""

from __future__ import annotations

import contextlib
import gzip
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from assay.catalog import Image
from assay.engine import apt
from assay.errors import BuildFailed
from assay.host import process
from assay.host.files import Tell
from assay.rootfs import bootstrap, index, sources
from assay.rootfs.drift import is_older
from assay.rootfs.packages_lock import SOURCE, PackagesLock
from assay.rootfs.sources import Archive

LARGEST_CHANGELOG = 16 * 2**20
_CVE = re.compile(r"\bCVE-\d{4}-\d{4,7}\b")
_ENTRY = re.compile(r"^[a-z0-9][a-z0-9+.-]* \(([0-9A-Za-z.+:~-]+)\) .*;")


@dataclass(frozen=True)
class Update:
    """A newer version of a locked package. ``security``: one of those that are newer is in Debian's security archive.

    ``cves`` are those that the changelog names above ``was``; ``note`` says why none could be read.
    """

    package: str
    was: str
    now: str
    security: bool = False
    cves: tuple[str, ...] = ()
    note: str = ""


def updates(image: Image, lock: PackagesLock, tell: Tell) -> list[Update]:
    """Return what is newer in the archive of today than a base's lock, by package.

    Of security updates the packages are fetched, for their changelogs. Raises `BuildFailed` where no archive answers.
    """
    with tempfile.TemporaryDirectory(prefix="assay-updates-") as folder:
        private = _private(image, Path(folder, "apt"), tell)
        locked = {one.name: one.version for one in lock.packages if not one.name.startswith(SOURCE)}
        found = [
            update
            for name, versions in _versions(private, str(image.suite), locked).items()
            if (update := _newest(name, locked[name], versions))
        ]
        return [_explained(private, update, tell) if update.security else update for update in found]


def _private(image: Image, folder: Path, tell: Tell) -> apt.PrivateApt:
    """An apt with the indices of the mirror, or of the archive of old releases for a suite that left it."""
    keys = bootstrap.keys(bootstrap.programs(tell))
    mirror = sources.mirror(image)
    try:
        return _asked(mirror, folder, keys, tell)
    except apt.IndexFailed as error:
        old = sources.old_releases(image) if error.absent else None
        if old is None:
            raise
        return _asked(old, folder.with_name("old"), keys, tell)


def _asked(archive: Archive, folder: Path, keys: Path, tell: Tell) -> apt.PrivateApt:
    tell(f"asking {archive.name}")
    private = apt.PrivateApt.make(folder, archive.lines, keys=keys, impatient=archive.public)
    private.update(tell)
    return private


def _versions(private: apt.PrivateApt, suite: str, names: Iterable[str]) -> Mapping[str, list[tuple[str, bool]]]:
    """The versions that the indices have of these packages, each with whether it is in the security archive."""
    wanted, found = set(names), dict[str, list[tuple[str, bool]]]()
    for path in sorted((private.folder / "lists").iterdir()):
        if path.name.endswith("_Packages"):
            security = f"_dists_{suite}-security_" in path.name
            for name, version, _ in index.entries(path):
                if name in wanted:
                    found.setdefault(name, []).append((version, security))
    return found


def _newest(name: str, was: str, versions: Iterable[tuple[str, bool]]) -> Update | None:
    newer = [(version, security) for version, security in versions if version != was and is_older(was, version)]
    if not newer:
        return None
    now = newer[0][0]
    for version, _ in newer[1:]:
        now = version if is_older(now, version) else now
    return Update(name, was, now, security=any(security for _, security in newer))


def _explained(private: apt.PrivateApt, update: Update, tell: Tell) -> Update:
    tell(f"reading the changelog of {update.package} {update.now}")
    with tempfile.TemporaryDirectory(prefix="assay-changelog-") as folder:
        try:
            text = _changelog(private, update, Path(folder))
        except BuildFailed as error:
            return replace(update, note=error.what)
    return replace(update, cves=cves(text, update.was))


def _changelog(private: apt.PrivateApt, update: Update, folder: Path) -> str:
    """The changelog in a package. Raises `BuildFailed` where it cannot be fetched, or has none of its own."""
    done = private.run("apt-get", "download", f"{update.package}={update.now}", cwd=folder)
    deb = next(folder.glob("*.deb"), None)
    if done.returncode != 0 or deb is None:
        raise BuildFailed(f"{update.package} cannot be fetched: {apt.first_error(done)}", "Try again later.")
    if process.run(["dpkg-deb", "-x", str(deb), str(folder / "tree")]).returncode != 0:
        raise BuildFailed(f"{deb.name} cannot be unpacked", "Try another mirror.")
    documents = folder / "tree/usr/share/doc" / update.package
    for name in ("changelog.Debian.gz", "changelog.gz"):
        path = documents / name
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            with contextlib.suppress(OSError, EOFError), gzip.open(path) as file:
                return file.read(LARGEST_CHANGELOG).decode("utf-8", errors="replace")
    raise BuildFailed(f"{update.package} has no changelog of its own", "See the Debian security tracker.")


def cves(changelog: str, since: str) -> tuple[str, ...]:
    """Return the CVEs that a Debian changelog names in its entries above the version ``since``, sorted."""
    found = set()
    for version, entry in _entries(changelog):
        if version == since or not is_older(since, version):
            break
        found |= set(_CVE.findall(entry))
    return tuple(sorted(found, key=lambda name: [int(number) for number in name.split("-")[1:]]))


def _entries(changelog: str) -> Iterator[tuple[str, str]]:
    """The entries of a changelog, newest first: each with its version."""
    version, lines = "", list[str]()
    for line in changelog.splitlines():
        header = _ENTRY.match(line)
        if header:
            if version:
                yield version, "\n".join(lines)
            version, lines = header[1], []
        lines.append(line)
    if version:
        yield version, "\n".join(lines)
