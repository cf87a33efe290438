"""Containers: one image run to its end, in bounded time."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests
from docker.models.containers import Container
from docker.utils import parse_bytes

from assay.engine.connection import Connection, answered
from assay.errors import AssayError, EngineMissing, UsageError

LOG_BYTES = 2**16  # kept of what a container printed
# What one container may take of the machine, far above what training needs. A file's size also bounds what it writes
# outside itself, into a file that is mounted.
MOST_PROCESSES = 8192  # threads count too, and each library starts one per core
MOST_OF_TMP = "size=4g,nr_inodes=256k"  # in memory
LARGEST_FILE = 2**30
LOGGED = {"max-size": "8m", "max-file": "2"}  # of its output, which the engine writes to the disk
# parse_bytes takes more than docker does: nothing, fractions, no number at all.
_SIZE = re.compile(r"(?=.*[1-9])[0-9]{1,15}[kmg]?", re.IGNORECASE)


@dataclass(frozen=True)
class RunRequest:
    """One container to run to its end, without network, on a read-only root, by default as a user without a name.

    ``given`` are paths of this machine, and where the container can read them; ``mounts``, where it can also write.
    ``cpus`` are the only processors that it may run on, such as 0-1; None: all.
    """

    image: str
    command: tuple[str, ...]
    user: str = "12345:12345"
    device: str = "cpu"
    given: Mapping[Path, str] = field(default_factory=dict)
    mounts: Mapping[Path, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    shm_bytes: int = 64 * 2**20
    memory_bytes: int | None = None
    seconds: float = 900
    entrypoint: tuple[str, ...] | None = None
    folder: str | None = None  # in which it is started; None: the image says
    cpus: str | None = None


@dataclass(frozen=True)
class RunResult:
    """How a container ended. ``output`` is the end of what it printed."""

    exit_code: int
    out_of_memory: bool
    timed_out: bool
    output: str
    seconds: float


def parse_size(text: str) -> int:
    """Return the bytes of a size as docker writes it, such as 512m or 8g. Raises `UsageError` for anything else."""
    if not _SIZE.fullmatch(text):
        raise UsageError(f"{text!r} is no size", "Write a number with k, m or g behind it, such as 8g.")
    return int(parse_bytes(text))


class Containers(Connection):
    """Runs containers."""

    def run(self, request: RunRequest) -> RunResult:
        """Run a container to its end, but no longer than ``request.seconds``, and remove it.

        Raises `UsageError` when there is no such image, or when this engine cannot give the GPU that is asked for.
        """
        started = time.monotonic()
        try:
            container = self.client.containers.create(request.image, list(request.command), **self._options(request))
            try:
                container.start()
                exit_code, timed_out = _wait(container, request.seconds)
                container.reload()
                state = container.attrs["State"]
                output = container.logs(tail=1000)[-LOG_BYTES:].decode(errors="replace")
            finally:
                with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                    container.remove(force=True, v=True)
        except docker.errors.ImageNotFound as error:
            raise UsageError(f"{request.image} is not built", "Run `assay build` first.") from error
        except docker.errors.APIError as error:
            raise _run_error(request, error) from error
        except (requests.RequestException, OSError) as error:
            raise EngineMissing(
                f"the engine went away while {request.image} ran: {error}",
                "Run the command again; `assay engine status` tells how the engine is.",
            ) from error
        out_of_memory = bool(state.get("OOMKilled"))
        return RunResult(exit_code, out_of_memory, timed_out, output, time.monotonic() - started)

    @answered
    def running(self) -> list[str]:
        """Return the names of the containers that run now."""
        return sorted(str(container.name) for container in self.client.containers.list())

    def _options(self, request: RunRequest) -> dict[str, Any]:
        volumes = {str(host): {"bind": inside, "mode": "ro"} for host, inside in request.given.items()}
        volumes |= {str(host): {"bind": inside, "mode": "rw"} for host, inside in request.mounts.items()}
        options: dict[str, Any] = {
            "network_mode": "none",
            "read_only": True,
            "user": request.user,
            "shm_size": request.shm_bytes,
            "tmpfs": {"/tmp": f"rw,exec,mode=1777,{MOST_OF_TMP}"},  # noqa: S108 - the container's own
            "pids_limit": MOST_PROCESSES,
            "ulimits": [docker.types.Ulimit(name="fsize", soft=LARGEST_FILE, hard=LARGEST_FILE)],
            "log_config": docker.types.LogConfig(type=docker.types.LogConfig.types.JSON, config=LOGGED),
            "environment": dict(request.environment),
            "volumes": volumes,
            "security_opt": ["no-new-privileges"],
            "cap_drop": ["ALL"],
        }
        if request.entrypoint is not None:
            options["entrypoint"] = list(request.entrypoint)
        if request.folder is not None:
            options["working_dir"] = request.folder
        if request.cpus is not None:
            options["cpuset_cpus"] = request.cpus
        if request.memory_bytes is not None:
            options |= {"mem_limit": request.memory_bytes, "memswap_limit": request.memory_bytes}
        if request.device == "gpu":
            options |= self._gpu_options()
        return options

    def _gpu_options(self) -> dict[str, Any]:
        access = self.gpu_access()
        if access == "cdi":
            request = docker.types.DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=all"])
            return {"device_requests": [request]}
        if access == "nvidia-runtime":
            request = docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])
            return {"device_requests": [request]}
        raise UsageError(
            "a GPU was asked for and this engine can give none: it has no CDI specification and no NVIDIA runtime",
            "Install the NVIDIA container toolkit and run `nvidia-ctk cdi generate`, or use --device cpu.",
        )


def _wait(container: Container, seconds: float) -> tuple[int, bool]:
    try:
        return int(container.wait(timeout=seconds)["StatusCode"]), False
    except requests.exceptions.ConnectionError as error:
        if "timed out" not in str(error).lower():
            raise
    except requests.exceptions.Timeout:
        pass
    with contextlib.suppress(docker.errors.APIError):  # it has just ended
        container.kill()
    container.wait(timeout=30)
    return 124, True


def _run_error(request: RunRequest, error: docker.errors.APIError) -> AssayError:
    said = str(error.explanation or error)
    if request.device == "gpu":
        return UsageError(
            f"{request.image} cannot be given a GPU: {said}",
            "Check `nvidia-smi` on the host and the NVIDIA container toolkit's CDI specification.",
        )
    return EngineMissing(f"{request.image} cannot be run: {said}", "`assay engine status` tells how the engine is.")
