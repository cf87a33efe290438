"""A machine that is described, not looked at: by driver and GPU, or by what nvidia-smi printed there."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import replace

from assay.doctor import drivers, names, nvidia, smi, spelled
from assay.doctor.compatibility import Gpu, Machine
from assay.doctor.cuda import EMBEDDED, Capability, Version, dotted, numbers
from assay.doctor.finding import Finding
from assay.errors import UsageError
from assay.host.gpus import Listed, Nvidia

LARGEST_TEXT, MOST_LINES = 2**20, 2**15  # nvidia-smi -q of sixteen GPUs takes a quarter of it
QUERY = "nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv"

# Whose machines are aarch64 without a doubt, and whose may be.
ON_ARM = {
    (5, 3): "Jetson Nano and TX1", (6, 2): "Jetson TX2", (7, 2): "Jetson Xavier", (8, 7): "Jetson Orin",
    (11, 0): "Jetson Thor", (12, 1): "DGX Spark (GB10)",
}  # fmt: skip
MAYBE_ON_ARM = {
    (9, 0): "Grace Hopper (GH200)", (10, 0): "Grace Blackwell (GB200)", (10, 3): "Grace Blackwell (GB300)",
}  # fmt: skip
_ANY = "GPU"  # the name of one that has none
_ADD = "Add --compute-capability X.Y (developer.nvidia.com/cuda-gpus lists it)."


def another(driver: str, capabilities: Sequence[str]) -> Machine:
    """A machine with this driver and GPUs of these compute capabilities.

    Raises `UsageError` for what is no driver or no capability.
    """
    have = spelled.driver(driver)
    gpus = tuple(Gpu(_ANY, capability) for capability in map(spelled.capability, capabilities))
    return Machine(have, gpus, architecture=_architecture(gpus), windows=drivers.of_windows(have))


def pasted(text: str, driver: str | None = None, capabilities: Sequence[str] = ()) -> tuple[Machine, list[Finding]]:
    """The machine that nvidia-smi printed this text on, and what is said of it.

    ``driver`` takes the place of the text's; ``capabilities`` are those of GPUs whose names say none: one for all, or
    one for each. Raises `UsageError` where the text and these are not enough for an answer.
    """
    said = _of_one_machine(text)
    if not said.gpus and not capabilities and (said.failure or said.absent or said.undivided):
        return _without_gpu(said)
    version = spelled.driver(driver) if driver else numbers(next(iter(said.drivers), ""))
    windows = said.windows or drivers.of_windows(version)
    cuda, named = (None, "") if driver else _cuda(said, version, windows=windows)
    gpus = _with_capabilities(said.gpus, [spelled.capability(each) for each in capabilities])
    found = Nvidia(dotted(version), gpus=gpus, windows=windows, cuda=cuda)
    machine = nvidia.machine_of(found, "x86_64")
    machine = replace(machine, seen=not driver and bool(said.gpus), architecture=_architecture(machine.gpus))
    _require_enough(machine, gpus)
    on_arm = machine.architecture == "arm64"
    return machine, [
        *([nvidia.driver_finding(found)] if version else []),
        *(_of_cuda(named) if not on_arm else ()),
        *nvidia.gpu_findings(found, _ADD),
        *_of_failure(said),
        *_mig(said),
        *_of_processor(machine),
    ]


def decoded(data: bytes) -> str:
    """What came on standard input, as text; PowerShell writes UTF-16."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")


def remarks(machine: Machine) -> Iterable[Finding]:
    """What is worth saying of a machine that was described by driver and GPU."""
    if machine.windows and machine.driver:
        yield nvidia.driver_finding(Nvidia(dotted(machine.driver), windows=True))
    yield from _of_processor(machine)


def _architecture(gpus: Iterable[Gpu]) -> str:
    on_arm = any(gpu.capability in ON_ARM or names.on_arm(gpu.name) for gpu in gpus)
    return "arm64" if on_arm else "amd64"


def _of_processor(machine: Machine) -> Iterable[Finding]:
    for gpu in dict.fromkeys(machine.gpus):
        capability = f"compute capability {dotted(gpu.capability)}"
        whose = ON_ARM.get(gpu.capability) or (gpu.name if names.on_arm(gpu.name) else "")
        if whose:
            yield Finding("processor", "ok", f"aarch64: {capability} is that of {whose}, beside an Arm processor")
            yield from _of_jetson(gpu)
        elif gpu.name == _ANY and gpu.capability in MAYBE_ON_ARM:
            message = f"taken for x86-64: {MAYBE_ON_ARM[gpu.capability]} has {capability} too, and is aarch64"
            yield Finding("processor", "warn", message, "See `uname -m`: no image for x86-64 runs on aarch64.")


def _of_jetson(gpu: Gpu) -> Iterable[Finding]:
    """What these lack: NVIDIA makes their CUDA apart. That of servers serves Thor from 13.0 on, and none before."""
    if gpu.capability in EMBEDDED:
        message = (
            f"{ON_ARM[gpu.capability]} has the CUDA of JetPack, and NVIDIA's wheels in the images that of servers"
        )
        remedy = "Take NVIDIA's own images for Jetson; images for aarch64 run there on the CPU."
        yield Finding("jetson", "warn", message, remedy)


def _of_one_machine(text: str) -> smi.Said:
    """What nvidia-smi said. Raises `UsageError` where that is nothing, far too much, or of several machines."""
    if len(text) > LARGEST_TEXT or text.count("\n") > MOST_LINES:
        raise UsageError("what came on standard input is too long for nvidia-smi", f"Give it the output of: {QUERY}")
    said = smi.read(text)
    if said is None:
        raise _not_smi(text)
    if len(said.drivers) > 1:
        several = ", ".join(sorted(said.drivers))
        raise UsageError(f"the text names several drivers: {several}", "Give the output of one machine at a time.")
    if said.field and not said.gpus:
        what = f"nvidia-smi there does not know the field {said.field!r}"
        raise UsageError(what, "Give what `nvidia-smi -q` prints in its place.")
    return said


def _not_smi(text: str) -> UsageError:
    todo = f"Give it what `nvidia-smi`, `nvidia-smi -q`, `nvidia-smi -L` or `{QUERY}` prints."
    if not text.strip():
        return UsageError(
            "nothing came on standard input", "Run `nvidia-smi 2>&1 | assay doctor -`, or paste its output."
        )
    first = next(line.strip() for line in text.splitlines() if line.strip())
    return UsageError(f"what came on standard input is not of nvidia-smi: {first[:60]!r}", todo)


def _without_gpu(said: smi.Said) -> tuple[Machine, list[Finding]]:
    """No GPU can be used there: nvidia-smi failed, there is none, or each GPU is divided by MIG into nothing."""
    version = next(iter(said.drivers), "")
    found = Nvidia(version, problem=said.failure, windows=said.windows)
    machine = nvidia.machine_of(found, "x86_64")
    if said.undivided:
        machine = replace(machine, obstacle="MIG is on, and there is no MIG device")
        return machine, [*([nvidia.driver_finding(found)] if version else []), *_mig(said)]
    if said.failure:
        return machine, [nvidia.driver_finding(found)]
    message = "there is no nvidia-smi: no NVIDIA driver, or one whose programs are not on the path"
    remedy = "If there is an NVIDIA GPU, install NVIDIA's driver. In WSL try /usr/lib/wsl/lib/nvidia-smi."
    machine = replace(machine, obstacle="there is no nvidia-smi")
    return machine, [Finding("driver", "warn", message, remedy)]


def _with_capabilities(gpus: Sequence[Listed], given: Sequence[Capability]) -> tuple[Listed, ...]:
    """The GPUs, with what is given for those whose capability is not known: one for all, or one for each."""
    if not gpus:
        return tuple(Listed(_ANY, capability, 0) for capability in given)
    unknown = [gpu for gpu in gpus if nvidia.capability(gpu) is None]
    if given and (not unknown or len(given) not in {1, len(unknown)}):
        raise UsageError(
            f"{len(given)} compute capabilities are given, and {len(unknown)} GPUs of the text lack one",
            "Give --compute-capability once for all of them, once for each in their order, or leave it out.",
        )
    theirs = iter(given if len(given) > 1 else list(given) * len(unknown))
    return tuple(gpu if nvidia.capability(gpu) else replace(gpu, capability=next(theirs, None)) for gpu in gpus)


def _require_enough(machine: Machine, gpus: Sequence[Listed]) -> None:
    """Raise `UsageError` for what an answer needs and neither the text nor an option says."""
    alone = "or give what `nvidia-smi` alone prints."
    if not gpus:
        raise UsageError("the text names no GPU", f"Add --compute-capability X.Y, {alone}")
    if not machine.gpus:
        theirs = ", ".join(dict.fromkeys(gpu.name for gpu in gpus))
        what = f"the compute capability of {theirs} is not known here"
        raise UsageError(what, f"{_ADD} Or give what this prints: {QUERY}")
    if machine.driver is None and machine.architecture == "amd64":
        raise UsageError("the text does not say the driver's version", f"Add --driver VERSION, {alone}")


def _of_failure(said: smi.Said) -> Iterable[Finding]:
    """What nvidia-smi could not say beside what it said."""
    if said.failure:
        yield Finding("gpu", "warn", said.failure, nvidia.remedy_of(said.failure))


def _cuda(said: smi.Said, driver: Version, *, windows: bool) -> tuple[tuple[int, int] | None, str]:
    """The driver's CUDA as nvidia-smi names it; in its place what else it names there, if that is another's."""
    found = numbers(said.cuda)
    if len(found) != 2:
        return None, said.cuda
    table = (drivers.WINDOWS if windows else drivers.LINUX).toolkit
    came_with = table.get((found[0], found[1]), ())
    if came_with and drivers.branch(driver) < drivers.branch(came_with):
        return None, said.cuda
    return (found[0], found[1]), ""


def _of_cuda(named: str) -> Iterable[Finding]:
    """What is said where nvidia-smi names no CUDA version, or another than the driver's."""
    if named[:1].isdigit():
        message = f"nvidia-smi names CUDA {named}, newer than the driver: cuda-compat was there, which no image has"
        yield Finding("cuda", "ok", message)
    elif named:
        remedy = "Install the driver's libcuda; in a container, NVIDIA_DRIVER_CAPABILITIES must hold compute."
        yield Finding("cuda", "warn", f"nvidia-smi finds no CUDA library (CUDA Version: {named})", remedy)


def _mig(said: smi.Said) -> Iterable[Finding]:
    if said.undivided:
        remedy = "Make one (nvidia-smi mig -cgi PROFILE -C), or turn MIG off (nvidia-smi -mig 0)."
        yield Finding("mig", "fail", f"MIG is on for {said.undivided} GPU(s), with no MIG device", remedy)
    if said.mig:
        yield Finding("mig", "ok", "divided by MIG: a container gets one MIG device, with its part of the memory")
