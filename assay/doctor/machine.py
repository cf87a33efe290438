"""What this machine has for images: driver, GPUs, engine, room. What is not enough has a remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assay import engine
from assay.doctor.compatibility import Machine
from assay.doctor.finding import GIB, Finding
from assay.doctor.nvidia import driver_finding, gpu_findings, machine_of
from assay.engine.embedded import EmbeddedEngine, install_hint
from assay.host import cache, gpus, machine, paths
from assay.host.gpus import Nvidia
from assay.host.machine import Room

ROOM_FOR_ONE = 20 * GIB  # an image, compressed and unpacked, while it is pulled
SHM_FOR_WORKERS = GIB


@dataclass(frozen=True)
class Tools:
    """What would run a container here: Docker's way to GPUs, and the words that a docker command begins with.

    ``network`` is the one to name to docker, where a container gets none by itself.
    """

    docker: tuple[str, ...] | None = None
    gpu_access: str | None = None
    podman: str = ""
    apptainer: str = ""
    network: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """All that is asked of this machine, before anything is judged."""

    nvidia: Nvidia
    engine: engine.Status
    architecture: str
    cdi: bool
    shm: Room | None
    disk: Room | None
    podman: str
    apptainer: str
    cache: Mapping[str, int] = field(default_factory=dict)  # by kind, the bytes that the cache folder holds

    @classmethod
    def here(cls) -> Surroundings:
        """Ask. Nothing is started but what answers a question."""
        status = engine.status()
        embedded = EmbeddedEngine.here()
        return cls(
            nvidia=gpus.nvidia(),
            engine=status,
            architecture=machine.architecture(),
            cdi=machine.cdi_specifications(),
            shm=machine.room(Path("/dev/shm")),  # noqa: S108 - its size is asked for
            disk=machine.room(embedded.data if status.used == "embedded" else Path("/var/lib/docker")),
            podman=machine.version_of("podman"),
            apptainer=machine.version_of("apptainer", "singularity"),
            cache=cache.sizes(),
        )

    def machine(self) -> Machine:
        """What an image meets. A GPU whose compute capability the driver does not say is left out."""
        return machine_of(self.nvidia, self.architecture)

    def tools(self) -> Tools:
        """What would run a container here."""
        embedded = EmbeddedEngine.here()
        own = (f"DOCKER_HOST={embedded.address}", str(embedded.programs / "usr/bin/docker"))
        commands = {"system": ("docker",), "embedded": own}
        return Tools(
            docker=commands.get(self.engine.used or ""),
            gpu_access=self.engine.gpu_access,
            podman=self.podman,
            apptainer=self.apptainer,
            network="host" if self.engine.used == "embedded" else None,
        )


def this_machine() -> Machine:
    """What an image meets here."""
    return machine_of(gpus.nvidia(), machine.architecture())


def findings(found: Surroundings) -> Iterable[Finding]:
    """Everything that was looked at, in the order of the table."""
    yield driver_finding(found.nvidia)
    yield from gpu_findings(found.nvidia)
    yield _engine(found)
    if found.nvidia.gpus:
        yield _gpu_access(found)
    yield _shared_memory(found.shm)
    yield _disk(found.disk)
    yield _cache(found.cache)
    yield _program("podman", found.podman)
    yield _program("apptainer", found.apptainer)


def _engine(found: Surroundings) -> Finding:
    status = found.engine
    if status.used == "system":
        return Finding("engine", "ok", f"Docker {status.system}")
    if status.used == "embedded":
        lacks = f" (Docker {status.system} will not do: {'; '.join(status.system_lacks)})" if status.system else ""
        return Finding("engine", "ok", f"the embedded engine{lacks}")
    if found.podman or found.apptainer:
        return Finding("engine", "warn", f"no Docker Engine; images run with {found.podman or found.apptainer}")
    return Finding("engine", "fail", "no container engine answers", install_hint())


def _gpu_access(found: Surroundings) -> Finding:
    names = {"cdi": "by its CDI specification", "nvidia-runtime": "by the NVIDIA runtime"}
    access = found.engine.gpu_access or ("cdi" if found.cdi and found.podman else None)
    if access:
        return Finding("gpu-access", "ok", f"containers are handed the GPUs {names[access]}")
    if found.apptainer and found.engine.used is None:
        return Finding("gpu-access", "ok", f"{found.apptainer} hands over the GPUs with --nv")
    remedy = (
        "Install the NVIDIA Container Toolkit, and run: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
        " (Docker before 28 also needs: nvidia-ctk runtime configure --runtime=docker)."
    )
    message = "containers cannot be handed the GPUs: no CDI specification and no NVIDIA runtime"
    return Finding("gpu-access", "fail", message, remedy)


def _shared_memory(room: Room | None) -> Finding:
    if room is None or not room.size:
        return Finding("shm", "warn", "there is no /dev/shm", "Mount one: mount -t tmpfs tmpfs /dev/shm.")
    message = f"{room.path} has {_size(room.size)}; a container gets 64 MiB unless told otherwise"
    if room.size < SHM_FOR_WORKERS:
        return Finding("shm", "warn", message, "Make it larger: mount -o remount,size=50% /dev/shm.")
    return Finding("shm", "ok", message)


def _disk(room: Room | None) -> Finding:
    if room is None:
        return Finding("disk", "warn", "the room for images is not known", "Look at it with df -h.")
    message = f"{room.path} has {_size(room.free)} free"
    if room.free < ROOM_FOR_ONE:
        remedy = "Make room, or move the engine's data: an image takes up to 9 GiB, and as much again while pulled."
        return Finding("disk", "warn", message, remedy)
    return Finding("disk", "ok", message)


def _cache(held: Mapping[str, int]) -> Finding:
    kinds = ", ".join(f"{kind} {_size(count)}" for kind, count in held.items())
    total = f"{_size(sum(held.values()))}: {kinds}; `assay clean` makes room" if held else "nothing"
    return Finding("cache", "ok", f"{paths.cache()} holds {total}")


def _program(name: str, version: str) -> Finding:
    return Finding(name, "ok", version or "not installed")


def _size(count: int) -> str:
    return f"{count / GIB:.0f} GiB" if count >= 10 * GIB else f"{count / GIB:.1f} GiB"
