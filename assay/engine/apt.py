"""Debian packages without installing them: a private apt in the cache folder, signatures checked.

Assay needs a few programs that a fresh machine lacks (an engine, mmdebstrap). They come from the
distribution's own signed archive, are unpacked into the cache, and leave the system as it was: no package
is installed, no source list edited, no index refreshed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from assay.errors import EngineMissing
from assay.host import process

# Debian 12's docker.io is 20.10 and has no buildx. Debian 13's runs on 12 when merely unpacked, but its runc
# wants a newer libc, so runc stays the host's own. This table may go when Debian 12 leaves support (2028).
NEWER_SUITE = {"bookworm": "trixie", "bullseye": "trixie"}


@dataclass(frozen=True)
class Wanted:
    """A Debian package, and whether it has to come from the host's own suite."""

    name: str
    host_suite: bool = False


def available() -> bool:
    """Whether this host can do it at all: Linux, root, apt and dpkg-deb."""
    return os.name == "posix" and os.geteuid() == 0 and bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def unpack(wanted: tuple[Wanted, ...], folder: Path) -> None:
    """Unpack the packages into ``folder``, which appears only once it is whole.

    Raises `EngineMissing` when the archive does not answer or a package is not in it.
    """
    if folder.is_dir():
        return
    private = folder.with_name(folder.name + ".apt")
    partial = folder.with_name(folder.name + ".partial")
    for leftover in (private, partial):
        shutil.rmtree(leftover, ignore_errors=True)
    codename = host_codename()
    newer = NEWER_SUITE.get(codename, codename)
    env = _private_apt(private, codename, newer)
    names = [f"{package.name}/{codename if package.host_suite else newer}" for package in wanted]
    _apt(["apt-get", "update"], env, private)
    _apt(["apt-get", "download", *names], env, private / "archives")
    partial.mkdir(parents=True)
    for archive in sorted((private / "archives").glob("*.deb")):
        done = process.run(["dpkg-deb", "-x", str(archive), str(partial)])
        if done.returncode != 0:
            raise EngineMissing(
                f"{archive.name} cannot be unpacked: {done.last_line()}",
                f"Make room on the disk that holds {folder.parent}, or set ASSAY_CACHE to another.",
            )
    partial.rename(folder)
    shutil.rmtree(private, ignore_errors=True)


def host_codename() -> str:
    """The host's suite, such as ``bookworm``."""
    for line in Path("/etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip().strip('"')
    return "stable"


def host_sources() -> list[tuple[str, str, str]]:
    """The host's own Debian sources as (address, suite, component); its mirror is whatever the user chose."""
    listing = process.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "Created-By: Packages"]
    )
    rows = [tuple(line.split("|")) for line in listing.stdout.splitlines() if line.count("|") == 2]
    return sorted({(row[0], row[1], row[2]) for row in rows})


def key_of(wanted: tuple[Wanted, ...]) -> str:
    """A short name for this set of packages on this host's suite."""
    text = repr((wanted, host_codename(), NEWER_SUITE))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _private_apt(private: Path, codename: str, newer: str) -> dict[str, str]:
    (private / "lists" / "partial").mkdir(parents=True)
    (private / "archives" / "partial").mkdir(parents=True)
    (private / "status").touch()
    (private / "sources.list").write_text("".join(_source_lines(codename, newer)))
    (private / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{private}/sources.list";\n'
        'Dir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{private}/lists";\n'
        f'Dir::State::status "{private}/status";\n'
        f'Dir::Cache "{private}";\n'
        f'Dir::Cache::archives "{private}/archives";\n'
        'APT::Sandbox::User "root";\n'
        'Acquire::Languages "none";\n'
        'Acquire::Retries "3";\n'
    )
    return process.environment(APT_CONFIG=str(private / "apt.conf"), LC_ALL="C")


def _source_lines(codename: str, newer: str) -> list[str]:
    """The host's Debian sources, once for its own suite and once for the newer one."""
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    signed = f"[signed-by={keyring}] " if keyring.is_file() else ""
    lines = []
    for address, suite, component in host_sources():
        if suite != codename and not suite.startswith(f"{codename}-"):
            continue
        pocket = suite.removeprefix(codename)
        lines += [f"deb {signed}{address} {name}{pocket} {component}\n" for name in dict.fromkeys((codename, newer))]
    if not lines:
        raise EngineMissing(
            f"apt on this host lists no source for its own suite, {codename}",
            "Add the distribution's archive to /etc/apt/sources.list.d, or install Docker Engine 23 or later.",
        )
    return lines


def _apt(argv: list[str], env: dict[str, str], cwd: Path) -> None:
    done = process.run(argv, env=env, cwd=cwd, timeout=600)
    if done.returncode != 0:
        problems = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise EngineMissing(
            f"{' '.join(argv[:2])} failed: {problems[0] if problems else done.last_line()}",
            "Check that this host reaches its package archive, or install Docker Engine 23 or later with buildx.",
        )
