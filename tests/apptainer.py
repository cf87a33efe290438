"""The real Apptainer, as an ordinary user of a cluster has it.

Apptainer is in Debian's unstable suite only, and needs that suite's libc. So a root file system of it is made, and
entered in a mount namespace; in there an ordinary user unpacks images and runs them in a user namespace.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.engine import apt
from assay.rootfs import bootstrap
from tests.registries import tool_missing

USER = "12345"
BECOME = ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups")
USERS = ("PATH=/usr/bin:/bin", "HOME=/home/researcher", "USER=researcher")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
# Apptainer refuses a chroot, so the root is pivoted to. /dev is the machine's own; what follows a -- is the command.
ENTER = """
root=$1; shift
mount --bind "$root" "$root"; mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"; mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do (umask 022; mkdir -p "$root$1"); mount --bind "$1" "$root$1"; shift; done; shift
cd "$root"; mkdir -p old; pivot_root . old; umount --lazy /old; cd /; exec "$@"
"""


@dataclass(frozen=True)
class Machine:
    """A root file system with Apptainer in it and one ordinary user."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home/researcher"

    def run(self, command: str, seconds: int = 300) -> subprocess.CompletedProcess[str]:
        """A command line of the user's, in his home."""
        argv = [*self._enter(), *BECOME, "env", "-i", *USERS, "sh", "-c", f"cd; {command}"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)

    def program(self, path: Path, *shared: Path) -> Path:
        """Write a program that is `apptainer` outside, with these folders of the outside under their own names.

        On a cluster whoever submits a job is who runs it; here root submits, so the job's own folder is handed over.
        """
        # What is for the container comes in variables; this machine's libraries and proxies are no matter of its.
        unset = [word for name in (*PROXIES, "LD_LIBRARY_PATH") for word in ("-u", name)]
        argv = [*self._enter(*shared), *BECOME, "env", *unset, *USERS, "apptainer"]
        hand_over = f'[ -z "${{TMPDIR-}}" ] || chown -R {USER} "$TMPDIR"'
        path.write_text(f'#!/bin/sh\n{hand_over}\nexec {shlex.join(argv)} "$@"\n')
        path.chmod(0o755)
        return path

    def _enter(self, *shared: Path) -> list[str]:
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", ENTER, "enter", str(self.root)]
        return [*enter, *map(str, shared), "--"]


def bootstrapped(root: Path) -> Machine:
    """Debian unstable with Apptainer, bootstrapped anew into a folder that is not there yet."""
    if not apt.available():
        pytest.skip("bootstrapping a Debian needs Linux, root and apt")
    if subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no user namespaces, which Apptainer works with")
    tools = bootstrap.programs()
    mirrors = sorted({address for address, suite, _ in apt.host_sources() if suite == apt.host_codename()})
    argv = [
        *(str(tools / "usr/bin/mmdebstrap"), "--mode=root", "--variant=minbase", "--include=apptainer"),
        f"--keyring={tools / 'usr/share/keyrings'}",
        # A mirror that is frozen in time serves an unstable suite whose index has expired; it is signed all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--aptopt=APT::Sandbox::User "root"',
        *("sid", str(root), *(f"deb {mirror} sid main" for mirror in mirrors[:1])),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        tool_missing(["apptainer"], last[0] if last else done.stderr[-200:])
    made = Machine(root)
    for name, text in (("hosts", "127.0.0.1 localhost\n"), ("resolv.conf", "")):
        (root / "etc" / name).unlink(missing_ok=True)
        (root / "etc" / name).write_text(text)
    with (root / "etc/passwd").open("a") as passwd:
        passwd.write(f"researcher:x:{USER}:{USER}::/home/researcher:/bin/sh\n")
    made.home.mkdir()
    os.chown(made.home, int(USER), int(USER))
    return made
