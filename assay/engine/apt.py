"""Debian packages without installing them: a private apt in the cache folder, signatures checked.

Assay needs a few programs that a fresh machine lacks (an engine, mmdebstrap). They come from the
distribution's own signed archive, are unpacked into the cache, and leave the system as it was: no package
is installed, no source list edited, no index of the host refreshed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.errors import BuildFailed, EngineMissing
from assay.host import files, paths, process

# Debian 12's docker.io is 20.10 and has no buildx. Debian 13's runs on 12 when merely unpacked, but its runc
# wants a newer libc, so runc stays the host's own. This table may go when Debian 12 leaves support (2028).
NEWER_SUITE = {"bookworm": "trixie", "bullseye": "trixie"}
# Seconds before an index is asked for again: a mirror that is being updated lacks it for a moment.
PAUSES = (2.0, 8.0)
# apt reads the host's configuration after ours, so what must hold stands on the command line. A missing index is only
# a warning by default, and the newest version that apt then knows of is not the archive's newest.
_SETTINGS = (
    "APT::Update::Error-Mode=any",
    "Acquire::Check-Date=true",
    "Acquire::Check-Valid-Until=true",
    "Acquire::GzipIndexes=false",
    "Acquire::AllowInsecureRepositories=false",
    "Acquire::AllowWeakRepositories=false",
    "Acquire::AllowDowngradeToInsecureRepositories=false",
    "APT::Get::AllowUnauthenticated=false",
)
SILENCE = 10
_HELPER = "/usr/lib/apt/apt-helper"
# What apt says, as a mere warning, of a component that a source line names and the archive lacks.
_PART = "doesn't have the component"
_AGAIN = "Try again in a few minutes, or choose another mirror: nothing is resolved from a part of an archive."
LINE = re.compile(r"deb(-src)?\s+(\[(?P<options>[^\]]*)\]\s+)?(?P<address>\S+)\s+(?P<suite>\S+)(\s+\S+)+")
# Options of a source line with which signatures still count; with trusted=yes or allow-insecure=yes they do not.
_OPTION = re.compile(
    r"(arch|by-hash|check-valid-until|lang|pdiffs|signed-by|target|valid-until-(min|max))[+-]?=[^\s\"']+"
)
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def unsigned(line: str) -> str:
    """Return the first option of a source line with which apt may take what nobody has signed; empty without one."""
    found = LINE.fullmatch(line)
    options = (found["options"] or "").split() if found else []
    return next((option for option in options if not _OPTION.fullmatch(option)), "")


class IndexFailed(BuildFailed):
    """An index of an archive could not be had whole. ``absent``: the archive answers, and has no such suite."""

    def __init__(self, what: str, todo: str, *, absent: bool = False) -> None:
        super().__init__(what, todo)
        self.absent = absent


@dataclass(frozen=True)
class Wanted:
    """A Debian package, and whether it has to come from the host's own suite."""

    name: str
    host_suite: bool = False


@dataclass(frozen=True)
class PrivateApt:
    """An apt with sources, lists and archives of its own in a folder; the host's proxy and logins are used.

    A server that says nothing for ``silence`` seconds is given up. ``first`` is the address and the suite of the
    first source: where that one is not found, the suite is not there, whatever else the server has.
    """

    folder: Path
    first: tuple[str, str] = ("", "")
    silence: int = 30
    pauses: Sequence[float] = PAUSES

    @classmethod
    def make(
        cls, folder: Path, lines: Iterable[str], *, keys: Path | None = None, impatient: bool = False
    ) -> PrivateApt:
        """Make the folder; ``lines`` as in apt's sources.list, ``keys`` a folder of keyrings instead of the host's.

        An ``impatient`` one asks once, and not at all where its first source says nothing for ten seconds.
        """
        lines = list(lines)
        (folder / "lists" / "partial").mkdir(parents=True)
        (folder / "archives" / "partial").mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text("".join(f"{line}\n" for line in lines))
        trusted = f'Dir::Etc::trusted "/dev/null";\nDir::Etc::trustedparts "{keys}";\n' if keys else ""
        (folder / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{folder}/sources.list";\n'
            'Dir::Etc::sourceparts "-";\n'
            f"{trusted}"
            f'Dir::State::lists "{folder}/lists";\n'
            f'Dir::State::status "{folder}/status";\n'
            f'Dir::Cache "{folder}";\n'
            f'Dir::Cache::archives "{folder}/archives";\n'
            'APT::Sandbox::User "root";\n'
            'Acquire::Languages "none";\n'
        )
        found = LINE.match(lines[0]) if lines else None
        first = (found["address"], found["suite"]) if found else ("", "")
        return cls(folder, first, SILENCE, ()) if impatient else cls(folder, first)

    def run(self, program: str, *arguments: str, cwd: Path | None = None, timeout: float = 600) -> process.Completed:
        """Run a program of apt's with this configuration."""
        settings = (
            *_SETTINGS,
            f"Acquire::Retries={3 if self.pauses else 0}",
            f"Acquire::http::Timeout={self.silence}",
            f"Acquire::https::Timeout={self.silence}",
        )
        argv = [program, *(word for setting in settings for word in ("-o", setting)), *arguments]
        environment = process.environment(APT_CONFIG=str(self.folder / "apt.conf"), LC_ALL="C")
        return process.run(argv, env=environment, cwd=cwd or self.folder, timeout=timeout)

    def update(self, tell: files.Tell) -> None:
        """Fetch every index of every source, or raise `IndexFailed` with the name of one that cannot be had."""
        if not self.pauses:
            self._require_answer()
        for pause in (*self.pauses, None):
            done = self.run("apt-get", "update")
            if done.returncode == 0 and _PART not in done.stderr:
                return
            failure = _index_failure(done, self.first)
            if failure.absent or pause is None:
                raise failure
            tell(f"{failure.what}; asking again in {pause:.0f} s")
            time.sleep(pause)
            tell("asking again")  # or not, where whoever listens ends it here

    def _require_answer(self) -> None:
        """Ask for one small file first: apt tries every file of a silent server for its own ten seconds."""
        address = f"{self.first[0].rstrip('/')}/dists/{self.first[1]}/InRelease"
        answer = self.folder / "answer"
        done = self.run(_HELPER, "download-file", address, str(answer), timeout=SILENCE)
        if done.returncode == 124 and not (answer.is_file() and answer.stat().st_size):
            raise IndexFailed(f"{address} says nothing for {SILENCE} seconds", _AGAIN)
        if done.returncode not in {0, 124}:
            raise IndexFailed(first_error(done).removeprefix("E: "), _AGAIN, absent="404  Not Found" in done.stderr)


def available() -> bool:
    """Whether this host can do it at all: Linux, root, apt and dpkg-deb."""
    return os.name == "posix" and os.geteuid() == 0 and bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def unpack(
    wanted: tuple[Wanted, ...],
    folder: Path,
    tell: files.Tell = files.silent,
    stop: threading.Event | None = None,
) -> None:
    """Unpack the packages into ``folder``, which appears only once it is whole; one thread of one command does it.

    Raises `EngineMissing` when the archive does not answer or a package is not in it, and `UsageError` where another
    user could write there.
    """
    paths.require_own(folder)
    names = ", ".join(package.name for package in wanted)
    files.once(folder, lambda partial: _unpack(wanted, partial, tell), f"{names} to be unpacked", tell, stop)


def _unpack(wanted: tuple[Wanted, ...], folder: Path, tell: files.Tell) -> None:
    private = folder.with_suffix(".apt")
    files.remove(private)
    codename = host_codename()
    newer = NEWER_SUITE.get(codename, codename)
    try:
        apt = PrivateApt.make(private, _source_lines(codename, newer))
        _fetch(apt, [f"{package.name}/{codename if package.host_suite else newer}" for package in wanted], tell)
        folder.mkdir(parents=True)
        for archive in sorted((private / "archives").glob("*.deb")):
            done = process.run(["dpkg-deb", "-x", str(archive), str(folder)])
            if done.returncode != 0:
                raise EngineMissing(
                    f"{archive.name} cannot be unpacked: {done.last_line()}",
                    f"Make room on the disk that holds {folder.parent}, or set ASSAY_CACHE to another.",
                )
    finally:
        files.remove(private)


def _fetch(apt: PrivateApt, names: list[str], tell: files.Tell) -> None:
    try:
        apt.update(tell)
    except IndexFailed as error:
        raise EngineMissing(error.what, error.todo) from error
    done = apt.run("apt-get", "download", *names, cwd=apt.folder / "archives")
    if done.returncode != 0:
        raise EngineMissing(
            f"apt-get download failed: {first_error(done)}",
            "Check that this host reaches its package archive, or install Docker Engine 23 or later with buildx.",
        )


def host_codename() -> str:
    """Return the host's suite, such as ``bookworm``."""
    for line in Path("/etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip().strip('"')
    return "stable"


def host_sources() -> list[tuple[str, str, str]]:
    """Return the host's own Debian sources as (address, suite, component); its mirror is whatever the user chose.

    All that are configured: without --no-release-info apt leaves out what this host has not fetched yet, which can be
    the security archive alone.
    """
    form = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    listing = process.run(["apt-get", "indextargets", "--no-release-info", "--format", form, "Created-By: Packages"])
    rows = [tuple(line.split("|")) for line in listing.stdout.splitlines() if line.count("|") == 2]
    return sorted({(row[0], row[1], row[2]) for row in rows})


def key_of(wanted: tuple[Wanted, ...]) -> str:
    """Return a short name for this set of packages on this host's suite."""
    text = repr((wanted, host_codename(), NEWER_SUITE))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def first_error(done: process.Completed) -> str:
    """Return the first line that apt marks as an error: what follows it is what comes of it."""
    problems = [line for line in done.stderr.splitlines() if line.startswith("E:")]
    return problems[0] if problems else done.last_line()


def _source_lines(codename: str, newer: str) -> list[str]:
    """The host's Debian sources, once for its own suite and once for the newer one."""
    signed = f"[signed-by={_KEYRING}] " if _KEYRING.is_file() else ""
    lines = []
    for address, suite, component in host_sources():
        if suite != codename and not suite.startswith(f"{codename}-"):
            continue
        pocket = suite.removeprefix(codename)
        lines += [f"deb {signed}{address} {name}{pocket} {component}" for name in dict.fromkeys((codename, newer))]
    if not lines:
        raise EngineMissing(
            f"apt on this host lists no source for its own suite, {codename}",
            "Add the distribution's archive to /etc/apt/sources.list.d, or install Docker Engine 23 or later.",
        )
    return lines


def _index_failure(done: process.Completed, first: tuple[str, str]) -> IndexFailed:
    """Say which index failed. The suite is ``absent`` if the server says that it has no file of the first source."""
    said = [line[3:].strip() for line in done.stderr.splitlines() if line[:3] in {"E: ", "W: "}]
    said = [line for line in said if not re.match(r"Some index files failed|Problem executing", line)]
    gone = f"The repository '{first[0]} {first[1]} Release' does not have a Release file."
    if gone in said and re.search(r"^\s+404\s", done.stdout, re.MULTILINE):
        return IndexFailed(gone, "The suite has left that archive, or was never in it.", absent=True)
    parts = [line for line in said if _PART in line]
    reason = (parts or [line for line in said if "://" in line] or said or [done.last_line()])[0]
    return IndexFailed(f"an index cannot be fetched: {reason}", _AGAIN)
