"""What is said of a machine's driver and GPUs, and what an image meets there."""

from __future__ import annotations

from collections.abc import Iterable

from assay.doctor import names
from assay.doctor.compatibility import Gpu, Machine
from assay.doctor.cuda import Capability, dotted, numbers
from assay.doctor.drivers import LINUX, WINDOWS
from assay.doctor.finding import GIB, Finding
from assay.host.gpus import Listed, Nvidia

ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
NO_GPU = "No devices were found"

# What to do, by what nvidia-smi says.
_REMEDIES = {
    "communicate with": "Load its kernel module (modprobe nvidia); if this kernel has none, install the driver anew.",
    "version mismatch": "Start the machine again: the driver was updated while the older one was loaded.",
    "device handle": "Start the machine again, and look for Xid in `dmesg`: the driver has lost a GPU.",
    NO_GPU: "Look for NVRM in `dmesg`: it says why the driver takes no GPU, such as one that it does not know.",
}
_OTHERWISE = "Run nvidia-smi; after a driver's update the machine has to be started again."
_SAY_IT = "Say it: --driver VERSION --compute-capability X.Y (developer.nvidia.com/cuda-gpus lists it)."
_IN_WSL = "Update NVIDIA's driver in Windows, install none in WSL, and run `wsl --update` and `wsl --shutdown` there."


def machine_of(nvidia: Nvidia, architecture: str) -> Machine:
    """What an image meets. A GPU whose compute capability neither driver nor name says is left out."""
    known = (Gpu(gpu.name, found, gpu.memory) for gpu in nvidia.gpus if (found := capability(gpu)))
    return Machine(
        driver=numbers(nvidia.driver) or None,
        gpus=tuple(known) if not nvidia.problem else (),
        seen=True,
        architecture=ARCHITECTURES.get(architecture, architecture),
        windows=nvidia.windows,
        cuda=nvidia.cuda,
        obstacle=f"the driver {_refuses(nvidia)}" if nvidia.problem else "",
    )


def capability(gpu: Listed) -> Capability | None:
    """A GPU's compute capability: as the driver says it, else by the GPU's name."""
    return gpu.capability or names.capability(gpu.name)


def driver_finding(nvidia: Nvidia) -> Finding:
    """What is said of the driver."""
    if nvidia.problem:
        message = f"the driver {_refuses(nvidia)}: {nvidia.problem}"
        return Finding("driver", "fail", message, _IN_WSL if nvidia.windows else remedy_of(nvidia.problem))
    if nvidia.driver:
        have, drivers = numbers(nvidia.driver), WINDOWS if nvidia.windows else LINUX
        newest = nvidia.cuda or drivers.newest_of(have)
        came = f", came with CUDA {dotted(newest)}" if newest else ""
        of_windows = " of Windows, for WSL," if nvidia.windows else ""
        return Finding("driver", "ok", f"{nvidia.driver}{of_windows} serves {drivers.serves(have)}{came}")
    if nvidia.on_bus:
        message = f"{nvidia.on_bus} NVIDIA device(s) on the bus, and no driver"
        return Finding("driver", "fail", message, "Install NVIDIA's driver; the newest runs every image.")
    if nvidia.windows:
        message = "WSL has no NVIDIA driver of Windows: images run on the CPU"
        return Finding("driver", "warn", message, f"If Windows has an NVIDIA GPU: {_IN_WSL}")
    return Finding("driver", "ok", "no NVIDIA driver, and no NVIDIA GPU on the bus: images run on the CPU")


def remedy_of(problem: str) -> str:
    """What to do about a message of nvidia-smi."""
    return next((todo for words, todo in _REMEDIES.items() if words in problem), _OTHERWISE)


def gpu_findings(nvidia: Nvidia, remedy: str = _SAY_IT) -> Iterable[Finding]:
    """What is said of each GPU; ``remedy`` is for one whose compute capability is not known."""
    for gpu in nvidia.gpus:
        memory = f", {gpu.memory / GIB:.0f} GiB" if gpu.memory else ""
        found = capability(gpu)
        if found is None:
            yield Finding("gpu", "warn", f"{gpu.name}{memory}: the driver does not say its capability", remedy)
        else:
            by_name = "" if gpu.capability else " by its name"
            yield Finding("gpu", "ok", f"{gpu.name}, compute capability {dotted(found)}{by_name}{memory}")


def _refuses(nvidia: Nvidia) -> str:
    return "finds no GPU" if nvidia.problem.startswith(NO_GPU) else "does not answer"
