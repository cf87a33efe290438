"""What this machine has, as its own programs and files tell: NVIDIA's driver and GPUs, container programs, room.

Nothing here judges, and nothing is started but programs that answer a question.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from assay.host import process

SECONDS = 20  # for a driver to answer; a GPU that sleeps takes a few
QUERY = ("--query-gpu=name,driver_version,compute_cap,memory.total", "--format=csv,noheader")
NVIDIA_VENDOR = "0x10de"
LARGEST_OUTPUT = 2**16
_DRIVER = re.compile(r"\d{1,5}(?:\.\d{1,5}){1,3}", re.ASCII)
_CAPABILITY = re.compile(r"(\d{1,2})\.(\d)", re.ASCII)
_MEMORY = re.compile(r"(\d{1,9}) MiB", re.ASCII)
# "NVIDIA UNIX x86_64 Kernel Module  535.104.05", "NVIDIA UNIX Open Kernel Module for x86_64  580.65.06"
_KERNEL_MODULE = re.compile(r"Kernel Module(?: +for +\S+)? +(\d{1,5}(?:\.\d{1,5}){1,3})", re.ASCII)


@dataclass(frozen=True)
class Listed:
    """A GPU as the driver lists it; ``capability`` is None and ``memory`` (bytes) 0 where it does not say."""

    name: str
    capability: tuple[int, int] | None
    memory: int


@dataclass(frozen=True)
class Nvidia:
    """The driver: its version, the kernel module's, its GPUs, and what it says where it does not answer.

    ``on_bus`` counts NVIDIA's display and compute devices on the PCI bus, driver or not.
    """

    driver: str = ""
    kernel: str = ""
    gpus: tuple[Listed, ...] = ()
    problem: str = ""
    on_bus: int = 0


@dataclass(frozen=True)
class Room:
    """A file system: the bytes that it has and those that are free."""

    path: Path
    size: int
    free: int


def nvidia(proc: Path = Path("/proc"), bus: Path = Path("/sys/bus/pci/devices")) -> Nvidia:
    """Ask nvidia-smi, and NVML itself where there is none or it does not know the question."""
    kernel = kernel_module(_text(proc / "driver/nvidia/version"))
    on_bus = devices_on(bus)
    asked = process.run(["nvidia-smi", *QUERY], timeout=SECONDS)
    driver, gpus = listed(asked.stdout) if asked.returncode == 0 else ("", ())
    if not gpus or any(gpu.capability is None for gpu in gpus):
        # -I: no module of the current folder or of PYTHONPATH comes in the way.
        nvml = process.run([sys.executable, "-I", str(Path(__file__).with_name("nvml.py"))], timeout=SECONDS)
        if nvml.returncode == 0:
            driver, gpus = listed(nvml.stdout)
    problem = "" if driver or asked.returncode == 127 else refusal(asked)
    return Nvidia(driver or kernel, kernel, gpus, problem, on_bus)


def listed(output: str) -> tuple[str, tuple[Listed, ...]]:
    """The driver's version and the GPUs from nvidia-smi's lines; whatever else it prints is left out."""
    driver, gpus = "", []
    for line in output[:LARGEST_OUTPUT].splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) < 4 or not _DRIVER.fullmatch(cells[-3]):
            continue
        driver = driver or cells[-3]
        name = ", ".join(cells[:-3])
        if name == "-":
            continue
        capability, memory = _CAPABILITY.fullmatch(cells[-2]), _MEMORY.fullmatch(cells[-1])
        gpus.append(
            Listed(
                name=name or "GPU",
                capability=(int(capability[1]), int(capability[2])) if capability else None,
                memory=int(memory[1]) << 20 if memory else 0,
            )
        )
    return driver, tuple(gpus)


def refusal(asked: process.Completed) -> str:
    """What nvidia-smi says instead of an answer, in one line; it says it on stdout."""
    lines = [line.strip() for line in (asked.stdout + "\n" + asked.stderr).splitlines() if line.strip()]
    return lines[0][:300] if lines else f"nvidia-smi ended with status {asked.returncode}"


def kernel_module(text: str) -> str:
    """The version of the kernel's module, from /proc/driver/nvidia/version; empty if none is loaded."""
    found = _KERNEL_MODULE.search(text)
    return found[1] if found else ""


def devices_on(bus: Path) -> int:
    """How many of NVIDIA's GPUs the bus has: display controllers and 3D controllers, not their audio functions."""
    try:
        devices = list(bus.iterdir())
    except OSError:
        return 0
    return sum(
        _text(device / "vendor").strip() == NVIDIA_VENDOR and _text(device / "class").startswith("0x03")
        for device in devices
    )


def architecture() -> str:
    """The machine's architecture, as the kernel calls it."""
    return platform.machine()


def version_of(*programs: str) -> str:
    """The first of these programs that is installed, and its version: "apptainer 1.3.4"; empty if none is."""
    for program in programs:
        if shutil.which(program):
            said = process.run([program, "--version"], timeout=SECONDS)
            found = re.search(r"\d{1,5}(\.\d{1,5}){1,2}", said.stdout[:LARGEST_OUTPUT], re.ASCII)
            return f"{program} {found[0] if found else '(of unknown version)'}"
    return ""


def cdi_specifications(folders: tuple[Path, ...] = (Path("/etc/cdi"), Path("/var/run/cdi"))) -> bool:
    """Whether a CDI specification of NVIDIA's GPUs is there, for engines that read it (Podman, Docker)."""
    files = [path for folder in folders for end in ("yaml", "json") for path in sorted(folder.glob(f"*.{end}"))]
    return any("nvidia.com/gpu" in _text(path) for path in files)


def room(path: Path) -> Room | None:
    """The file system that holds ``path``, or the closest folder upwards that is there; None if it says nothing."""
    place = next((one for one in (path, *path.parents) if one.exists()), path)
    try:
        facts = os.statvfs(place)
    except OSError:
        return None
    return Room(place, facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize)


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST_OUTPUT)
    except (OSError, ValueError):
        return ""
