"""Whether an image runs on a machine, and why: pure decisions on what is known of the two, by NVIDIA's rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from assay.certificate import RANK
from assay.doctor.cuda import EMBEDDED, Capability, Library, Version, dotted, numbers
from assay.doctor.drivers import LINUX, WINDOWS, Drivers, driver, older

Runs = Literal["gpu", "cpu", "no"]
Served = Literal["wholly", "partly", "not"]


@dataclass(frozen=True)
class Gpu:
    """One GPU; ``memory`` in bytes, 0 where it is not known."""

    name: str
    capability: Capability
    memory: int = 0


@dataclass(frozen=True)
class Machine:
    """What an image meets.

    ``seen``: the driver lists these GPUs itself, so it knows them. ``windows``: the driver is that of Windows, which
    serves WSL. ``cuda`` is the driver's own, where that is known. ``obstacle``: why no image can use a GPU.
    """

    driver: Version | None = None
    gpus: tuple[Gpu, ...] = ()
    seen: bool = False
    architecture: str = "amd64"
    windows: bool = False
    cuda: tuple[int, int] | None = None
    obstacle: str = ""

    @property
    def drivers(self) -> Drivers:
        """The drivers of its operating system."""
        return WINDOWS if self.windows else LINUX


@dataclass(frozen=True)
class Certified:
    """What an image's certificates say of it.

    ``module`` is what Python imports for its framework; ``modules`` are that and all backends and companions that it
    is certified with. ``toolkit`` is the CUDA that the framework, and its PTX, was built with; ``levels`` follow from
    the evidence, by device; ``certified_on`` are the GPUs of its GPU certificates; ``reference`` is what a container
    engine takes; ``declares`` are the platforms that its folder says, where that is here.
    """

    image: str
    digest: str
    reference: str
    framework: str = ""
    module: str = ""
    modules: frozenset[str] = frozenset()
    python: str = ""
    architecture: str = "amd64"
    declares: tuple[str, ...] = ()
    cuda: tuple[int, int] | None = None
    toolkit: tuple[int, int] | None = None
    least_driver: Version = ()
    libraries: tuple[Library, ...] = ()
    wholly: frozenset[Capability] = frozenset()
    partly: frozenset[Capability] = frozenset()
    levels: Mapping[str, str] = field(default_factory=dict)
    shortcoming: str = ""
    certified_on: tuple[str, ...] = ()
    created: str = ""
    ended: str = ""

    @property
    def own(self) -> list[Library]:
        """The framework's libraries, without CUDA's."""
        return [library for library in self.libraries if not library.nvidias]


@dataclass(frozen=True)
class Answer:
    """Whether and on what the image runs, why, and what else is worth knowing."""

    runs: Runs
    why: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Meeting:
    """A machine that has a driver and GPUs, and an image that has CUDA and code for GPUs."""

    machine: Machine
    image: Certified
    driver: Version
    cuda: tuple[int, int]

    @property
    def drivers(self) -> Drivers:
        return self.machine.drivers

    def compiles(self, toolkit: tuple[int, int] | None) -> bool:
        """Whether the driver compiles PTX of this toolkit: as it says itself, or by the table."""
        told = self.machine.cuda is not None and toolkit is not None and toolkit <= self.machine.cuda
        return told or self.drivers.compiles(self.driver, toolkit)


def judge(machine: Machine, image: Certified) -> Answer:
    """Whether ``image`` runs on ``machine``."""
    if machine.architecture != image.architecture:
        return Answer("no", _elsewhere(machine, image))
    best = max(image.levels.values(), key=RANK.__getitem__, default="E0")
    if RANK[best] < RANK["E2"]:
        shortcoming = f": {image.shortcoming}" if image.shortcoming else ""
        return Answer("no", f"its certificate amounts to {best} only{shortcoming}")
    met = _meet(machine, image)
    if isinstance(met, str):
        return Answer("cpu", met)
    obstacle = _driver_too_old(met)
    return Answer("cpu", obstacle) if obstacle else _on_gpus(met)


def _elsewhere(machine: Machine, image: Certified) -> str:
    """Why an image that is certified for another processor does not run, and whether it can be built for this one."""
    why = f"it is built for {image.architecture}, and this machine is {machine.architecture}"
    platform = f"linux/{machine.architecture}"
    can = f"; there it can be built and certified: assay build --platform {platform} {image.image}"
    return why + can if platform in image.declares else why


def served(gpu: Capability, image: Certified) -> Served:
    """How far the framework's code serves a GPU: each part of it, some parts of each library, or not.

    The suite has asked this of the GPUs that it knows. For another, the libraries' code is asked, library by library:
    that a part is served is then certain, that all is is not. A GPU in an embedded processor, which the suite does
    not know, is served by what was made for that very one, or by PTX.
    """
    if gpu in EMBEDDED and image.architecture == "arm64":
        exact = bool(image.own) and all(library.serves_exactly(gpu) for library in image.own)
        return "partly" if exact else "not"
    if gpu in image.wholly:
        return "wholly"
    by_libraries = bool(image.own) and all(library.serves(gpu) != "not" for library in image.own)
    return "partly" if gpu in image.partly or by_libraries else "not"


def order(image: Certified, answer: Answer) -> tuple[object, ...]:
    """The key that sorts images: those that run on the GPU come first, then those that run on the CPU.

    Among these, the newer CUDA comes first, then the newer Python, then the later day of certification.
    """
    rank = ("no", "cpu", "gpu").index(answer.runs)
    ages = (dotted(image.cuda or (0,)), image.python or "0", image.created or "0")
    return (-rank, *(tuple(-number for number in numbers(text)) for text in ages), image.image)


def _meet(machine: Machine, image: Certified) -> _Meeting | str:
    """The two together, or why no GPU is used whatever the driver's version."""
    if image.cuda is None:
        return "it has no CUDA"
    if not image.wholly and not image.partly:
        return "its framework has no code for any GPU"
    if machine.obstacle:
        return machine.obstacle
    if not machine.gpus:
        return "there is no NVIDIA GPU" if machine.driver is None else "the driver lists no GPU"
    if machine.driver is None:
        return "there is no NVIDIA driver"
    return _Meeting(machine, image, machine.driver, image.cuda)


def _driver_too_old(met: _Meeting) -> str | None:
    least = met.drivers.least.get(met.cuda[0], met.image.least_driver)
    if not least:
        return f"which driver CUDA {dotted(met.cuda)} needs is not known"
    if older(met.driver, least):
        return (
            f"driver {dotted(met.driver)} serves {met.drivers.serves(met.driver)}, "
            f"and CUDA {dotted(met.cuda)} needs {driver(least)} or later"
        )
    return None


def _on_gpus(met: _Meeting) -> Answer:
    """The GPUs one by one: the driver is there, and new enough for the image's CUDA."""
    obstacles = {gpu.capability: _obstacle(gpu.capability, met) for gpu in met.machine.gpus}
    usable = [gpu for gpu in met.machine.gpus if not obstacles[gpu.capability]]
    reasons = tuple(dict.fromkeys(reason for reason in obstacles.values() if reason))
    if not usable:
        return Answer("cpu", "; ".join(reasons))
    names = ", ".join(dict.fromkeys(f"{gpu.name} ({dotted(gpu.capability)})" for gpu in usable))
    notes = (
        *(f"not on all of the GPUs: {reason}" for reason in reasons),
        *_notes(met, sorted({gpu.capability for gpu in usable})),
    )
    return Answer("gpu", f"code and driver serve {names}", notes)


def _obstacle(gpu: Capability, met: _Meeting) -> str | None:
    """Why this GPU is of no use to the image; None if it is."""
    image = met.image
    unknown = None if met.machine.seen else met.drivers.unknown_to(met.driver, gpu)
    if unknown:
        return unknown
    if served(gpu, image) == "not":
        theirs = ", ".join(map(dotted, sorted(image.wholly | image.partly)))
        return f"no machine code for compute capability {dotted(gpu)}; served: {theirs}"
    if _compiled_by_driver(gpu, image) and not met.compiles(image.toolkit):
        toolkit = dotted(image.toolkit or ())
        return (
            f"for compute capability {dotted(gpu)} there is only PTX of CUDA {toolkit}, which driver "
            f"{dotted(met.driver)} cannot compile; {met.drivers.that_compiles(image.toolkit)} can"
        )
    return None


def _compiled_by_driver(gpu: Capability, image: Certified) -> bool:
    return any(library.serves(gpu) == "ptx" for library in image.own)


def _notes(met: _Meeting, usable: Iterable[Capability]) -> Iterable[str]:
    have, image = met.driver, met.image
    for gpu in usable:
        if served(gpu, image) == "partly":
            yield f"a part of its code does not serve compute capability {dotted(gpu)}: some functions may fail"
        lacking = ", ".join(sorted(library.stem for library in image.libraries if library.lacks(gpu)))
        if lacking:
            yield f"CUDA's own {lacking} have no code for compute capability {dotted(gpu)}: what needs them fails"
        if _compiled_by_driver(gpu, image):
            yield f"compute capability {dotted(gpu)} is served by PTX: the driver compiles it, the first use is slow"
    if not met.compiles(met.cuda):
        newest = met.machine.cuda or met.drivers.newest_of(have)
        known = f"CUDA {dotted(newest)}" if newest else "an older CUDA"
        yield f"{driver(have)} came with {known}: CUDA {dotted(met.cuda)} runs by minor-version compatibility"
    least = met.drivers.assumed(have)
    if least:
        yield f"any release of branch {have[0]} was assumed; it has to be {driver(least)} or later"
    yield _certified_on(image)


def _certified_on(image: Certified) -> str:
    if image.certified_on:
        return f"certified on {', '.join(image.certified_on)}"
    if "gpu" in image.levels:
        return f"its certificate on a GPU amounts to {image.levels['gpu']} only"
    return "certified on the CPU; that it runs on the GPU follows from driver and machine code"
