"""The connection to one Docker Engine, and what the engine says of itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import docker
import docker.errors
import requests
from docker.tls import TLSConfig

from assay.errors import EngineMissing
from assay.host import process

OLDEST = 23

P = ParamSpec("P")
R = TypeVar("R")


def answered(method: Callable[P, R]) -> Callable[P, R]:
    """Raise `EngineMissing` where an engine goes away or refuses."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise EngineMissing(
                f"the engine went away or refused: {error}",
                "Run the command again; `assay engine status` tells how the engine is.",
            ) from error

    return call


class Connection:
    """An open connection. ``environment`` is what the ``docker`` command needs to reach the same engine."""

    def __init__(
        self, kind: str, environment: Mapping[str, str], address: str | None = None, tls: TLSConfig | None = None
    ) -> None:
        self.kind = kind
        self.environment = dict(environment)
        # What keeps the images of an engine at another kind of address is no folder of this machine.
        self.is_here = address is None or address.startswith("unix://")
        options: dict[str, Any] = {"tls": tls} if tls else {}
        if address and address.startswith("ssh://"):
            options["use_ssh_client"] = True  # with the user's own keys and settings
        try:
            self.client = (
                docker.DockerClient(base_url=address, timeout=120, **options) if address else docker.from_env()
            )
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise EngineMissing(f"no container engine answers: {error}", "Start one, or run as root.") from error
        try:
            facts = self.client.version()
            self.info = self.client.info()
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            self.client.close()
            raise EngineMissing(f"no container engine answers: {error}", "Start one, or run as root.") from error
        self.version = str(facts.get("Version", "0"))
        self.address = self.client.api.base_url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    @property
    def description(self) -> str:
        """The engine's name in certificates."""
        return f"docker {self.version} ({self.kind})"

    def shortcomings(self) -> list[str]:
        """Return why Assay cannot use this engine; empty if it can."""
        lacks = []
        major = self.version.split(".", 1)[0]
        if not major.isdigit() or int(major) < OLDEST:
            lacks.append(f"it is version {self.version}, and {OLDEST} or later is needed")
        if not any(
            "containerd.snapshotter" in str(value) for pair in self.info.get("DriverStatus") or [] for value in pair
        ):
            lacks.append("its containerd image store is off, so local digests are not the published ones")
        buildx = process.run(["docker", "buildx", "version"], env=self.environment, timeout=30)
        if buildx.returncode != 0:
            lacks.append("docker buildx is not installed")
        return lacks

    def identity(self) -> tuple[str, str]:
        """Return what no other engine is called, and its processor as Python's wheels call it."""
        return str(self.info.get("ID", self.address)), str(self.info.get("Architecture", ""))

    def data_root(self) -> Path:
        """Return the folder on the engine's host that holds the images."""
        return Path(str(self.info.get("DockerRootDir", "/var/lib/docker")))

    def gpu_access(self) -> str | None:
        """Return how this engine gives GPUs to a container: ``cdi``, ``nvidia-runtime``, or None."""
        devices = {str(device.get("ID", "")) for device in self.info.get("DiscoveredDevices") or []}
        if "nvidia.com/gpu=all" in devices or any(
            Path(folder, "nvidia.yaml").is_file() or Path(folder, "nvidia.json").is_file()
            for folder in self.info.get("CDISpecDirs") or []
        ):
            return "cdi"
        return "nvidia-runtime" if "nvidia" in (self.info.get("Runtimes") or {}) else None

    def answers(self) -> bool:
        """Tell whether the engine still answers."""
        try:
            return bool(self.client.ping())
        except (docker.errors.DockerException, requests.RequestException, OSError):
            return False
