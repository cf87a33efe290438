"""A container that a person works in: on his terminal, with his folder, as himself."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker.errors
import requests

from assay.engine.connection import Connection
from assay.engine.embedded import EmbeddedEngine
from assay.engine.recipe import GPUS, Recipe, csv_line
from assay.errors import EngineMissing, RegistryFailed, UsageError
from assay.host import process

FOLDER = "/work"  # where the folder that the command was called in is found
HOME = "/home/assay"
OF_US = "assay.run"


@dataclass(frozen=True)
class Session:
    """What is run, and what of this machine it is given.

    Without a ``name``, docker finds one. ``folder`` is its working folder, ``home`` its home, unless a volume is.
    ``environment``, ``volumes`` and ``ports`` are as docker has them on its command line. ``network`` is docker's
    name of one; None: the engine's own choice.
    """

    name: str
    image: str
    command: tuple[str, ...]
    folder: Path
    home: Path | None
    user: str
    shm_bytes: int
    gpu: bool = False
    terminal: bool = False
    network: str | None = None
    environment: tuple[str, ...] = field(default=())
    volumes: tuple[str, ...] = field(default=())
    ports: tuple[str, ...] = field(default=())


class Sessions(Connection):
    """Runs containers that a person works in."""

    def session(self, wanted: Session) -> int:
        """Run a session to its end, and return the exit code of its command. Nothing of it is left.

        Raises `UsageError` where ports are asked for and the engine has no network to open them to, `EngineMissing`
        where it is not of this Assay.
        """
        if self.kind == "embedded" and not EmbeddedEngine.here().is_ours():
            what = "the embedded engine that runs was started by an older Assay, and lacks what a session needs"
            raise EngineMissing(what, "Stop it with `assay engine down`: the next command starts the new one.")
        argv = ["docker", *self.session_argv(wanted)]
        try:
            return process.attached(argv, env=process.environment(**self.environment))
        finally:
            # docker removes it, unless docker was ended itself, or ended between creating and starting it.
            with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                self.client.api.remove_container(wanted.name, force=True)

    def pull(self, reference: str) -> None:
        """Fetch an image, with the logins of the user. Raises `RegistryFailed` where docker does not get it."""
        usual = {"DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))}
        status = process.attached(
            ["docker", "pull", reference], env={**process.environment(**self.environment), **usual}
        )
        if status:
            raise RegistryFailed(f"{reference} was not pulled", "What docker said is above.")

    def session_argv(self, wanted: Session) -> list[str]:
        """The words that follow ``docker``."""
        self._require_ports(wanted)
        return [*_argv(wanted, self._network(wanted), self.gpu_access())]

    def _require_ports(self, wanted: Session) -> None:
        if self.kind == "embedded" and wanted.ports:
            raise UsageError(
                "the embedded engine opens no ports: it has no network of its own",
                "Leave -p out: without it, the container shares this machine's network and its ports.",
            )

    def session_line(self, wanted: Session) -> str:
        """The whole command, for a shell on this machine."""
        own = ["docker"]
        if self.kind == "embedded":
            settings = [f"{name}={self.environment[name]}" for name in ("DOCKER_HOST", "DOCKER_CONFIG")]
            own = ["env", *settings, shutil.which("docker", path=self.environment.get("PATH")) or "docker"]
        # The line may be run more than once, and at the same time: it gives the container no name.
        return shlex.join([*own, *self.session_argv(dataclasses.replace(wanted, name=""))])

    def session_recipe(self, wanted: Session, image: str) -> Recipe:
        """The same for other tools that this engine is told by; ``image`` is a name that the engine knows it by."""
        self._require_ports(wanted)
        return Recipe(
            image=image,
            command=wanted.command,
            gpu=wanted.gpu,
            network=self._network(wanted),
            environment=wanted.environment,
            volumes=wanted.volumes,
            ports=wanted.ports,
            cdi=self.gpu_access() == "cdi",
            user=wanted.user,
            home=wanted.home,
        )

    def _network(self, wanted: Session) -> str | None:
        return wanted.network or ("host" if self.kind == "embedded" else None)


def _argv(wanted: Session, network: str | None, gpu_access: str | None) -> Iterator[str]:
    yield from ("run", "--rm", "--init", "--interactive")
    if wanted.name:
        yield from ("--name", wanted.name, "--label", f"{OF_US}=1")
    if wanted.terminal:
        yield "--tty"
    yield from ("--user", wanted.user, "--env", f"HOME={HOME}", "--shm-size", str(wanted.shm_bytes))
    yield from ("--mount", _mount(wanted.folder, FOLDER), "--workdir", FOLDER)
    if wanted.home:
        yield from ("--mount", _mount(wanted.home, HOME))
    if network:
        yield from ("--network", network)
    if wanted.gpu:
        yield from ("--device", GPUS) if gpu_access == "cdi" else ("--gpus", "all")
    for option, values in (("--env", wanted.environment), ("--volume", wanted.volumes), ("--publish", wanted.ports)):
        for value in values:
            yield from (option, value)
    yield wanted.image
    yield from wanted.command


def _mount(source: Path, target: str) -> str:
    """A bind mount as docker reads it: a line of CSV, so a name may have commas, colons and quotes."""
    if "\n" in str(source) or any("\ud800" <= letter <= "\udfff" for letter in str(source)):
        what = f"docker mounts no folder whose name has a line break or is no UTF-8: {str(source)!a}"
        raise UsageError(what, "Rename it, or call this from another folder.")
    return csv_line(["type=bind", f"source={source}", f"target={target}"])
