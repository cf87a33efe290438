"""NVIDIA's driver and GPUs on this machine, from nvidia-smi, NVML, the kernel and the PCI bus; judges nothing."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from assay import scripts
from assay.host import process
from assay.host.machine import LARGEST_OUTPUT, SECONDS, in_wsl, read_text

QUERY = ("--query-gpu=name,driver_version,compute_cap,memory.total", "--format=csv,noheader")
SMI = ("nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi")  # WSL's is not where sudo looks for programs
NVIDIA_VENDOR = "0x10de"
_DRIVER = re.compile(r"\d{1,5}(?:\.\d{1,5}){1,3}", re.ASCII)
_CAPABILITY = re.compile(r"(\d{1,2})\.(\d)", re.ASCII)
_MEMORY = re.compile(r"(\d{1,9}) MiB", re.ASCII)
# "NVIDIA UNIX x86_64 Kernel Module  535.104.05", "NVIDIA UNIX Open Kernel Module for x86_64  580.65.06"
_KERNEL_MODULE = re.compile(r"Kernel Module(?: +for +\S+)? +(\d{1,5}(?:\.\d{1,5}){1,3})", re.ASCII)


@dataclass(frozen=True)
class Listed:
    """A GPU as the driver lists it. Without an answer ``capability`` is None and ``memory`` (bytes) is 0."""

    name: str
    capability: tuple[int, int] | None
    memory: int


@dataclass(frozen=True)
class Nvidia:
    """The driver: its version, that of the kernel's module, its GPUs, and its message where it gives no answer.

    ``on_bus`` counts NVIDIA's display and compute devices on the PCI bus, with a driver or without. ``windows``: the
    driver is that of Windows, as in WSL, where no NVIDIA device is on the bus. ``cuda`` is the driver's, as
    nvidia-smi names it; None where it was not asked.
    """

    driver: str = ""
    kernel: str = ""
    gpus: tuple[Listed, ...] = ()
    problem: str = ""
    on_bus: int = 0
    windows: bool = False
    cuda: tuple[int, int] | None = None


def nvidia(proc: Path = Path("/proc"), bus: Path = Path("/sys/bus/pci/devices")) -> Nvidia:
    """Ask nvidia-smi; ask NVML itself where there is no nvidia-smi, or where it does not know the question."""
    kernel = kernel_module(read_text(proc / "driver/nvidia/version"))
    on_bus = devices_on(bus)
    asked = _ask_smi()
    driver, gpus = listed(asked.stdout) if asked.returncode == 0 else ("", ())
    if not gpus or any(gpu.capability is None for gpu in gpus):
        # -I keeps modules of the current folder and of PYTHONPATH out.
        nvml = process.run([sys.executable, "-I", str(scripts.NVML)], timeout=SECONDS)
        if nvml.returncode == 0:
            driver, gpus = listed(nvml.stdout)
    problem = "" if driver or asked.returncode == 127 else refusal(asked)
    return Nvidia(driver or kernel, kernel, gpus, problem, on_bus, in_wsl(proc))


def _ask_smi() -> process.Completed:
    """The answer of the first nvidia-smi that there is."""
    answers = (process.run([program, *QUERY], timeout=SECONDS) for program in SMI)
    return next((answer for answer in answers if answer.returncode != 127), process.Completed(127, "", ""))


def listed(output: str) -> tuple[str, tuple[Listed, ...]]:
    """Return the driver's version and the GPUs from nvidia-smi's lines; whatever else it prints is ignored."""
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
    """Return nvidia-smi's own message, in one line, where it gave no answer; it prints the message on stdout."""
    lines = [line.strip() for line in (asked.stdout + "\n" + asked.stderr).splitlines() if line.strip()]
    return lines[0][:300] if lines else f"nvidia-smi ended with status {asked.returncode}"


def kernel_module(text: str) -> str:
    """Return the version of the kernel's module from /proc/driver/nvidia/version; empty if none is loaded."""
    found = _KERNEL_MODULE.search(text)
    return found[1] if found else ""


def devices_on(bus: Path) -> int:
    """Count NVIDIA's GPUs on the bus: display controllers and 3D controllers, not their audio functions."""
    try:
        devices = list(bus.iterdir())
    except OSError:
        return 0
    return sum(
        read_text(device / "vendor").strip() == NVIDIA_VENDOR and read_text(device / "class").startswith("0x03")
        for device in devices
    )
