"""Which engine is used: one that answers already, else the embedded one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from assay.engine import apt
from assay.engine.docker import Engine
from assay.engine.embedded import EmbeddedEngine, install_hint
from assay.errors import EngineMissing, UsageError
from assay.host import cache, files, machine, process

CHOICES = ("auto", "system", "embedded")


@dataclass(frozen=True)
class Status:
    """The engines of this machine.

    ``gpu_access`` is how the one that is used gives GPUs to a container: ``cdi``, ``nvidia-runtime``, or None.
    """

    system: str | None
    system_lacks: tuple[str, ...]
    embedded_running: bool
    embedded_possible: bool
    used: str | None
    gpu_access: str | None = None


def find(tell: files.Tell = files.silent) -> Engine:
    """Return the engine to use: the system's if Assay can use it, else the embedded one, which is started as needed.

    ``ASSAY_ENGINE`` may name one of them, ``system`` or ``embedded``. ``tell`` hears what is fetched, started or
    waited for. Raises `EngineMissing` if there is neither.
    """
    choice = _choice()
    lacks: list[str] = []
    if choice != "embedded":
        engine, lacks = _system()
        if engine is not None and not lacks:
            return engine
        if engine is not None:
            engine.close()
    if choice == "system" or not apt.available():
        found = f"the Docker Engine here will not do: {'; '.join(lacks)}" if lacks else "no container engine answers"
        raise EngineMissing(found, install_hint())
    cache.use()
    return find_embedded(tell)


def find_running() -> Engine:
    """Return the engine to use, if it runs already. Raises `EngineMissing` where it does not; starts nothing."""
    now = status()
    if now.used == "embedded" and not now.embedded_running:
        raise EngineMissing("the embedded engine does not run", "Start it: assay engine up")
    return find()


def status() -> Status:
    """Return which engines there are; starts nothing."""
    engine, lacks = _system()
    access = engine.gpu_access() if engine else None
    if engine is not None:
        engine.close()
    running = EmbeddedEngine.here().pid() is not None
    good = engine is not None and not lacks and _choice() != "embedded"
    used = "system" if good else "embedded" if apt.available() and _choice() != "system" else None
    if used == "embedded":
        access = "cdi" if machine.cdi_specifications() else None
    return Status(
        system=engine.version if engine else None,
        system_lacks=tuple(lacks),
        embedded_running=running,
        embedded_possible=apt.available(),
        used=used,
        gpu_access=access if used else None,
    )


def _choice() -> str:
    choice = os.environ.get("ASSAY_ENGINE", "auto")
    if choice not in CHOICES:
        raise UsageError(f"ASSAY_ENGINE is {choice!r}", f"Set it to one of {', '.join(CHOICES)}, or unset it.")
    return choice


def _system() -> tuple[Engine | None, list[str]]:
    """Return the user's own engine, if it answers, and what it lacks."""
    context = process.run(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], timeout=10)
    address = os.environ.get("DOCKER_HOST") or (context.stdout.strip() if context.returncode == 0 else None)
    if address == EmbeddedEngine.here().address:
        return None, []  # the shell has followed `assay engine env`
    socket = Path((address or "unix:///var/run/docker.sock").removeprefix("unix://"))
    if socket.is_absolute() and not socket.exists():
        return None, []
    environment = process.environment(**({"DOCKER_HOST": address} if address else {}))
    try:
        engine = Engine("system", environment, address)
    except EngineMissing:
        return None, []
    return engine, engine.shortcomings()


def find_embedded(tell: files.Tell = files.silent) -> Engine:
    """Return the embedded engine, started as needed. Raises `EngineMissing` where it cannot be."""
    here = EmbeddedEngine.here()
    here.up(tell)
    environment = here.environment()
    environment["ASSAY_CONTAINERD"] = str(here.run / "exec/containerd/containerd.sock")
    return Engine("embedded", environment, here.address)
