"""The embedded engine: Docker Engine, unpacked into the cache folder and started on a socket of its own.

It is for Linux with root and apt, but without Docker. It changes nothing on the system: no package, no bridge, no
firewall rule. Containers run without a network; builds use the host's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from assay.engine import apt, daemon
from assay.errors import EngineMissing
from assay.host import files, paths, process

PACKAGES = (
    apt.Wanted("docker.io"),
    apt.Wanted("docker-cli"),
    apt.Wanted("docker-buildx"),
    apt.Wanted("containerd"),
    apt.Wanted("runc", host_suite=True),
    apt.Wanted("tini"),  # docker-init, for `docker run --init`
)
START_SECONDS = 60


@dataclass(frozen=True)
class EmbeddedEngine:
    """A private daemon: where its files are, and how to start and stop it."""

    home: Path

    @classmethod
    def here(cls) -> EmbeddedEngine:
        """Return the one in this machine's cache folder."""
        return cls(paths.cache() / "engine")

    @property
    def programs(self) -> Path:
        """The folder that the Debian packages are unpacked into."""
        return self.home / f"debian-{apt.key_of(PACKAGES)}"

    @property
    def data(self) -> Path:
        """The daemon's data root: images, layers, build cache."""
        return self.home / "data"

    @property
    def run(self) -> Path:
        """Socket and pid files. Under /run, because a socket's path may have 107 bytes at most."""
        return Path("/run") / f"assay-{hashlib.sha256(str(self.home).encode()).hexdigest()[:12]}"

    @property
    def socket(self) -> Path:
        """The daemon's own socket."""
        return self.run / "docker.sock"

    @property
    def address(self) -> str:
        """The value for DOCKER_HOST."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        """The daemon's log, kept over restarts."""
        return self.home / "dockerd.log"

    def environment(self) -> dict[str, str]:
        """Return the environment in which docker reaches this daemon, without any settings of the user."""
        return process.environment(
            DOCKER_HOST=self.address,
            DOCKER_CONFIG=str(self._client("client", keep=False)),
            PATH=f"{self._path}:{os.environ.get('PATH', os.defpath)}",
        )

    def exports(self) -> str:
        """Return the lines of a shell after which its ``docker`` reaches this daemon; nothing is started.

        What the user tells docker there, such as logins, is kept, but not among the settings of Assay's own builds.
        Raises `EngineMissing` where the engine was never unpacked.
        """
        if not self.programs.is_dir():
            raise EngineMissing(
                "no engine has been unpacked",
                "Run `assay engine up` first." if apt.available() else install_hint(),
            )
        settings = {"DOCKER_HOST": self.address, "DOCKER_CONFIG": str(self._client("shell", keep=True))}
        lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
        return "\n".join([*lines, f'export PATH={shlex.quote(self._path)}:"$PATH"'])

    @property
    def _path(self) -> str:
        return f"{self.programs}/usr/bin:{self.programs}/usr/sbin"

    def _client(self, name: str, *, keep: bool) -> Path:
        """A folder of settings in which docker finds its plugins, with what else is in it or without."""
        folder = self.home / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "config.json"
        needed = {"cliPluginsExtraDirs": [str(self.programs / "usr/libexec/docker/cli-plugins")]}
        before = _settings(path)
        wanted = {**before, **needed} if keep else needed
        if wanted != before:
            path.write_text(json.dumps(wanted))
        return folder

    def pid(self) -> int | None:
        """Return the running daemon's process id, which its pid file has unless that was lost; None for none."""
        return self._pid_of(self.run / "docker.pid", "dockerd")

    def is_ours(self) -> bool:
        """Whether the daemon that runs is of this Assay's programs; an older Assay may have started it."""
        pid = self.pid()
        try:
            return pid is not None and Path(f"/proc/{pid}/exe").resolve().is_relative_to(self.programs.resolve())
        except OSError:
            return False

    def up(self, tell: files.Tell = files.silent) -> None:
        """Start the daemon unless it runs, and unpack it first if need be; two commands may do so at once.

        Raises `EngineMissing` with the last line of the daemon's log when it does not start, or where one lives and
        does not answer, and `UsageError` where another user could have put a program in its place.
        """
        if not apt.available():
            raise EngineMissing("the embedded engine needs Linux, root and apt", install_hint())
        for folder in (paths.cache(), self.home, self.programs):
            paths.require_own(folder)
        with self._alone(tell):
            if not self.programs.is_dir():
                tell("fetching Docker Engine from the distribution's archive")
            apt.unpack(PACKAGES, self.programs, tell)
            if self._answers() or self._answers_late(tell):
                return
            tell("starting")
            self._clear_remains()
            self._start()

    def _answers_late(self, tell: files.Tell) -> bool:
        """Whether a daemon that lives answers after all; False where none lives.

        It has people's containers and builds, so none but `down` ends it. Raises `EngineMissing` for a silent one.
        """
        deadline = time.monotonic() + START_SECONDS
        while self._lives():
            if self._answers():
                return True
            if time.monotonic() > deadline:
                raise EngineMissing(
                    f"the embedded engine runs, and has not answered for {START_SECONDS} seconds",
                    "Wait if the machine is loaded; `assay engine down` ends it, with all that runs in it.",
                )
            tell("waiting for the engine that runs to answer")
            time.sleep(0.5)
        return False

    def _lives(self) -> bool:
        """Whether there is a daemon: its process is seen, or its database is locked by one that is not seen here.

        A process of another PID namespace (a sandbox, a job's step) is not in this /proc.
        """
        return self.pid() is not None or daemon.is_locked(self.data / "volumes/metadata.db")

    def down(self) -> bool:
        """Stop the daemon and what it started; return whether there was one.

        Raises `EngineMissing` for one that lives where this process cannot end it.
        """
        if not self.home.is_dir():
            return False
        with self._alone(files.silent):
            ran = self.pid() is not None
            if not ran and self._lives():
                raise EngineMissing(
                    "the embedded engine runs in another PID namespace, and cannot be ended from this one",
                    "Call `assay engine down` where it was started.",
                )
            self._clear_remains()
            shutil.rmtree(self.run, ignore_errors=True)
            return ran

    def _start(self) -> None:
        self.run.mkdir(parents=True, exist_ok=True, mode=0o711)
        config = self.home / "daemon.json"
        config.write_text(json.dumps(self.settings(), indent=1))
        daemon_pid = process.daemon(
            [str(self.programs / "usr/sbin/dockerd"), "--config-file", str(config)],
            env=self.environment(),
            log=self.log,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._answers():
                return
            if not process.alive(daemon_pid):
                break
            time.sleep(0.1)
        raise EngineMissing(
            f"the embedded engine did not start: {self._last_words()}",
            f"Read {self.log}; then `assay engine down` and try again.",
        )

    def settings(self) -> dict[str, object]:
        """Return the daemon's own configuration."""
        return {
            "hosts": [self.address],
            "data-root": str(self.data),
            "exec-root": str(self.run / "exec"),
            "pidfile": str(self.run / "docker.pid"),
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            # With containerd's snapshotter an image's local manifest digest is the published one. CDI gives GPUs to
            # containers; before Docker 28 it is off unless a setting turns it on.
            "features": {"containerd-snapshotter": True, "cdi": True},
            "builder": {"gc": {"enabled": True, "defaultKeepStorage": "30GB"}},
        }

    def _clear_remains(self) -> None:
        """End a daemon, and a containerd that outlived one; remove their pid files and the socket."""
        files = (
            (self.run / "docker.pid", "dockerd"),
            (self.run / "exec/containerd/containerd.pid", "containerd"),
        )
        for path, program in files:
            pid = self._pid_of(path, program)
            if pid is not None:
                process.end(pid)
            path.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        self._unmount()

    def _unmount(self) -> None:
        """Remove the mounts that a daemon left below its folders, the deepest first."""
        places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for place in sorted(places, key=len, reverse=True):
            ours = Path(place).is_relative_to(self.run) or Path(place).is_relative_to(self.data)
            if ours and not _is_disk_of_its_own(Path(place), self.data):
                process.run(["umount", "--lazy", place])

    def _pid_of(self, path: Path, program: str) -> int | None:
        return daemon.pid_of(path, program, (str(self.run), str(self.home)))

    def _answers(self) -> bool:
        if not self.socket.exists():
            return False
        docker = str(self.programs / "usr/bin/docker")
        asked = process.run(
            [docker, "version", "--format", "{{.Server.Version}}"], env=self.environment(), timeout=10
        )
        return asked.returncode == 0

    def _last_words(self) -> str:
        try:
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            return "it left no log"
        return lines[-1][-300:] if lines else "its log is empty"

    def _alone(self, tell: files.Tell) -> contextlib.AbstractContextManager[None]:
        """One command at a time starts or stops the engine."""
        self.home.mkdir(parents=True, exist_ok=True)
        return files.locked(self.home / "lock", "another command that starts or stops the engine", tell)


def install_hint() -> str:
    """Return the commands that would install an engine on this system."""
    if shutil.which("apt-get"):
        return "Run as root (the engine is then unpacked into the cache), or: apt-get install docker.io docker-buildx"
    if shutil.which("dnf"):
        return "Install Docker Engine 23 or later: dnf install docker-ce docker-buildx-plugin; systemctl start docker"
    if shutil.which("brew"):
        return "Install one: brew install colima docker docker-buildx; colima start"
    return "Install Docker Engine 23 or later with buildx, and start it; set DOCKER_HOST if it is elsewhere."


def _settings(path: Path) -> dict[str, object]:
    """What a file of docker's settings holds; nothing where there is none, or it is none."""
    try:
        held = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _is_disk_of_its_own(place: Path, data: Path) -> bool:
    """Tell a disk that the user mounted as the data folder from the daemon's own bind mount of that folder."""
    return place == data and place.stat().st_dev != place.parent.stat().st_dev
