"""A host whose apt-get, dpkg-deb and mmdebstrap are small scripts: real processes that take their time."""

from __future__ import annotations

import os
from pathlib import Path

APT_GET = """#!/bin/sh
. /etc/os-release
echo "$$ apt-get $*" >> {log}
case "$*" in
  *indextargets*) echo "http://archive.example/debian/|${{VERSION_CODENAME:-stable}}|main";;
  *update*) sleep 0.1; lists=$(sed -n 's/^Dir::State::lists "\\(.*\\)";$/\\1/p' "$APT_CONFIG")
    printf 'Package: libc6\\nVersion: 2.41-12\\nSHA256: {sha256}\\n\\n' > "$lists/archive_Packages";;
  *download*) sleep 0.1; touch mmdebstrap.deb;;
esac
"""
DPKG_DEB = """#!/bin/sh
echo "$$ dpkg-deb $*" >> {log}
mkdir -p "$3/usr/bin" "$3/usr/share/keyrings"; sleep 0.1; cp {mmdebstrap} "$3/usr/bin/mmdebstrap"
"""
MMDEBSTRAP = """#!/bin/sh
echo "$$ mmdebstrap $*" >> {log}
for word; do case "$word" in */rootfs.tar) tar=$word;; esac; done
folder=$(dirname "$tar")
printf half > "$tar"; sleep 0.1; printf '{content}' > "$tar"
printf 'Package: libc6\\nVersion: 2.41-12\\nSHA256: {sha256}\\n\\n' > "$folder/available"
echo 'libc6 2.41-12' > "$folder/installed"
"""
CONTENT = "the root file system"
SHA256 = "a" * 64


class FakeHost:
    """The folder of the programs, which goes first on PATH, and the log of what was started."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.bin.mkdir()
        values = {"log": self.log, "sha256": SHA256, "content": CONTENT, "mmdebstrap": folder / "mmdebstrap"}
        for name, text in (("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB)):
            (self.bin / name).write_text(text.format(**values))
            (self.bin / name).chmod(0o755)
        (folder / "mmdebstrap").write_text(MMDEBSTRAP.format(**values))
        (folder / "mmdebstrap").chmod(0o755)

    @property
    def path(self) -> str:
        return f"{self.bin}:{os.environ['PATH']}"

    def started(self, *words: str) -> int:
        """How often a program was started with these words."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return sum(all(word in line for word in words) for line in lines)
