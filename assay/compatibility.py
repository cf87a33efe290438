"""Whether an image runs on a machine, and why: pure decisions on what is known of the two.

The rules are NVIDIA's. A driver runs everything older. Within one CUDA major, from 11 on, it also runs what is newer
than itself (minor-version compatibility), but it compiles PTX only of toolkits that it knows. Machine code serves its
own major from its minor up, PTX all that is not older, the "a" kind its own capability, the "f" kind its family.
Forward compatibility (the cuda-compat packages) is not assumed: it needs a data-centre GPU, and a library that no
image carries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Runs = Literal["gpu", "cpu", "no"]
Served = Literal["wholly", "partly", "not"]
Capability = tuple[int, int]
Version = tuple[int, ...]

# The oldest driver of each CUDA major, by minor-version compatibility. docs.nvidia.com/deploy/cuda-compatibility
LEAST_DRIVER: Mapping[int, Version] = {11: (450, 80, 2), 12: (525, 60, 13), 13: (580,)}

# The driver that each toolkit came with, on Linux: it compiles that toolkit's PTX. CUDA release notes, table 3.
TOOLKIT_DRIVER: Mapping[tuple[int, int], Version] = {
    (10, 0): (410, 48), (10, 1): (418, 39), (10, 2): (440, 33),
    (11, 0): (450, 36, 6), (11, 1): (455, 23), (11, 2): (460, 27, 3), (11, 3): (465, 19, 1), (11, 4): (470, 42, 1),
    (11, 5): (495, 29, 5), (11, 6): (510, 39, 1), (11, 7): (515, 43, 4), (11, 8): (520, 61, 5),
    (12, 0): (525, 60, 13), (12, 1): (530, 30, 2), (12, 2): (535, 54, 3), (12, 3): (545, 23, 6),
    (12, 4): (550, 54, 14), (12, 5): (555, 42, 2), (12, 6): (560, 28, 3), (12, 8): (570, 26), (12, 9): (575, 51, 3),
    (13, 0): (580, 65, 6), (13, 1): (590, 44, 1), (13, 2): (595, 45, 4),
}  # fmt: skip

# The first toolkit, and with it the first driver, that knows a GPU; and the last driver branch that still does.
# From NVIDIA's "CUDA Toolkit, Driver, and Architecture Matrix" and nvcc's list of architectures.
FIRST_TOOLKIT: Mapping[Capability, tuple[int, int]] = {
    (7, 5): (10, 0), (8, 0): (11, 0), (8, 6): (11, 1), (8, 9): (11, 8), (9, 0): (11, 8),
    (10, 0): (12, 8), (10, 3): (12, 9), (12, 0): (12, 8), (12, 1): (12, 9),
}  # fmt: skip
LAST_BRANCH: Mapping[int, int] = {3: 470, 5: 580, 6: 580, 7: 580}
STILL_SERVED = (7, 5)  # the oldest capability that no driver has dropped

# NVIDIA's own libraries choose among their kernels themselves; what an image serves is asked of the framework's.
_NVIDIAS = re.compile(r"(?:.*/)?lib(?:cu(?:blas|dart|dnn|fft|file|pti|rand|solver|sparse|tensor)|nccl|npp|nv)")
_CODE = re.compile(r"(\d{1,2})\.(\d)([af]?)", re.ASCII)
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Code:
    """Machine code or PTX for an architecture; ``only`` is ``a`` for that one alone, ``f`` for its family."""

    capability: Capability
    only: str = ""

    @classmethod
    def parse(cls, text: str) -> Code:
        """From the certificate's notation: 9.0, 9.0a, 10.0f. Raises `ValueError` for anything else."""
        found = _CODE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no compute capability")
        return cls((int(found[1]), int(found[2])), found[3])

    def serves(self, gpu: Capability, *, ptx: bool) -> bool:
        """Whether a GPU of this compute capability can run it, given a driver that can."""
        if self.only == "a":
            return gpu == self.capability
        if ptx and not self.only:
            return gpu >= self.capability
        return gpu[0] == self.capability[0] and gpu >= self.capability


@dataclass(frozen=True)
class Library:
    """One library's code for GPUs."""

    name: str
    cubin: frozenset[Code]
    ptx: frozenset[Code]

    def serves(self, gpu: Capability) -> Literal["cubin", "ptx", "not"]:
        """By what it serves a GPU: its machine code, PTX that the driver has to compile, or not at all."""
        if any(code.serves(gpu, ptx=False) for code in self.cubin):
            return "cubin"
        return "ptx" if any(code.serves(gpu, ptx=True) for code in self.ptx) else "not"

    @property
    def stem(self) -> str:
        """Its name in a sentence: libcudnn_ops."""
        return self.name.rpartition("/")[2].partition(".")[0]

    def lacks(self, gpu: Capability) -> bool:
        """Whether a part of CUDA has no code for a GPU; one of a single architecture keeps its kernels elsewhere."""
        return self.nvidias and len(self.cubin | self.ptx) > 1 and self.serves(gpu) == "not"

    @property
    def nvidias(self) -> bool:
        """Whether it is a part of CUDA rather than of the framework."""
        return _NVIDIAS.match(self.name) is not None


@dataclass(frozen=True)
class Gpu:
    """One GPU; ``memory`` in bytes, 0 where it is not known."""

    name: str
    capability: Capability
    memory: int = 0


@dataclass(frozen=True)
class Machine:
    """What an image meets. ``seen``: the driver lists these GPUs itself, so it knows them."""

    driver: Version | None = None
    gpus: tuple[Gpu, ...] = ()
    seen: bool = False
    architecture: str = "amd64"


@dataclass(frozen=True)
class ImageFacts:
    """What an image's certificates say of it.

    ``toolkit`` is the CUDA that the framework, and its PTX, was built with; ``levels`` follow from the evidence, by
    device; ``certified_on`` are the GPUs of its GPU certificates; ``reference`` is what a container engine takes.
    """

    image: str
    digest: str
    reference: str
    framework: str = ""
    python: str = ""
    architecture: str = "amd64"
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


@dataclass(frozen=True)
class Verdict:
    """Whether and on what the image runs, why, and what else is worth knowing."""

    runs: Runs
    why: str
    notes: tuple[str, ...] = ()


# The decision


def judge(machine: Machine, image: ImageFacts) -> Verdict:
    """Whether ``image`` runs on ``machine``."""
    if machine.architecture != image.architecture:
        return Verdict("no", f"it is built for {image.architecture}, and this machine is {machine.architecture}")
    if not any(level >= "E2" for level in image.levels.values()):
        best = max(image.levels.values(), default="E0")
        shortcoming = f": {image.shortcoming}" if image.shortcoming else ""
        return Verdict("no", f"its certificate amounts to {best} only{shortcoming}")
    obstacle = _no_gpu(machine, image) or _driver_too_old(machine, image)
    if obstacle:
        return Verdict("cpu", obstacle)
    return _on_gpus(machine, image)


def _no_gpu(machine: Machine, image: ImageFacts) -> str | None:
    if image.cuda is None:
        return "it has no CUDA"
    if not image.wholly and not image.partly:
        return "its framework has no code for any GPU"
    if not machine.gpus:
        return "there is no NVIDIA GPU" if machine.driver is None else "the driver lists no GPU"
    return "there is no NVIDIA driver" if machine.driver is None else None


def _driver_too_old(machine: Machine, image: ImageFacts) -> str | None:
    assert machine.driver is not None  # noqa: S101 - asked before
    assert image.cuda is not None  # noqa: S101
    least = LEAST_DRIVER.get(image.cuda[0], image.least_driver)
    if not least:
        return f"which driver CUDA {dotted(image.cuda)} needs is not known"
    if _older(machine.driver, least):
        return (
            f"driver {dotted(machine.driver)} serves {serves(machine.driver)}, "
            f"and CUDA {dotted(image.cuda)} needs {driver(least)} or later"
        )
    return None


def _on_gpus(machine: Machine, image: ImageFacts) -> Verdict:
    """The GPUs one by one: the driver is there, and new enough for the image's CUDA."""
    assert machine.driver is not None  # noqa: S101 - asked before
    obstacles = {gpu.capability: _obstacle(gpu.capability, machine, image) for gpu in machine.gpus}
    usable = [gpu for gpu in machine.gpus if not obstacles[gpu.capability]]
    reasons = tuple(dict.fromkeys(reason for reason in obstacles.values() if reason))
    if not usable:
        return Verdict("cpu", "; ".join(reasons))
    names = ", ".join(dict.fromkeys(f"{gpu.name} ({dotted(gpu.capability)})" for gpu in usable))
    notes = (
        *(f"not on all of the GPUs: {reason}" for reason in reasons),
        *_notes(machine.driver, sorted({gpu.capability for gpu in usable}), image),
    )
    return Verdict("gpu", f"code and driver serve {names}", notes)


def _obstacle(gpu: Capability, machine: Machine, image: ImageFacts) -> str | None:
    """Why this GPU is of no use to the image; None if it is."""
    assert machine.driver is not None  # noqa: S101 - asked before
    unknown = None if machine.seen else _unknown_to(machine.driver, gpu)
    if unknown:
        return unknown
    if served(gpu, image) == "not":
        theirs = ", ".join(map(dotted, sorted(image.wholly | image.partly)))
        return f"no machine code for compute capability {dotted(gpu)}; served: {theirs}"
    if _compiled_by_driver(gpu, image) and not _compiles(machine.driver, image.toolkit):
        toolkit = dotted(image.toolkit or ())
        return (
            f"for compute capability {dotted(gpu)} there is only PTX of CUDA {toolkit}, which driver "
            f"{dotted(machine.driver)} cannot compile; {_toolkit_driver(image.toolkit)} can"
        )
    return None


def served(gpu: Capability, image: ImageFacts) -> Served:
    """How far the framework's code serves a GPU: each part of it, some parts of each library, or not.

    The suite has asked this of the GPUs that it knows. For another, the libraries' code is asked, library by library:
    that a part is served is then certain, that all is is not.
    """
    if gpu in image.wholly:
        return "wholly"
    own = _own(image)
    return "partly" if gpu in image.partly or (own and all(one.serves(gpu) != "not" for one in own)) else "not"


def _own(image: ImageFacts) -> list[Library]:
    return [one for one in image.libraries if not one.nvidias]


def _compiled_by_driver(gpu: Capability, image: ImageFacts) -> bool:
    return any(one.serves(gpu) == "ptx" for one in _own(image))


def _compiles(have: Version, toolkit: tuple[int, int] | None) -> bool:
    """Whether the driver compiles PTX of this toolkit. Of a toolkit that is not in the table: if a later one's is."""
    if toolkit is None:
        return False
    needed = [version for known, version in sorted(TOOLKIT_DRIVER.items()) if known >= toolkit]
    return bool(needed) and not _older(have, needed[0])


def _toolkit_driver(toolkit: tuple[int, int] | None) -> str:
    later = [version for known, version in sorted(TOOLKIT_DRIVER.items()) if toolkit and known >= toolkit]
    return f"{driver(later[0])} or later" if later else "a newer one"


def _unknown_to(have: Version, gpu: Capability) -> str | None:
    """Whether the driver does not know the GPU yet, or no longer."""
    first = FIRST_TOOLKIT.get(gpu)
    if first and _older(have, TOOLKIT_DRIVER[first]):
        needed = driver(TOOLKIT_DRIVER[first])
        return f"driver {dotted(have)} does not know compute capability {dotted(gpu)}, which needs {needed} or later"
    last = LAST_BRANCH.get(gpu[0])
    if last and gpu < STILL_SERVED and have[0] - have[0] % 10 > last:  # 585 is a release of branch 580
        return f"driver {dotted(have)} no longer knows compute capability {dotted(gpu)}: {last} was the last to"
    return None


def _notes(have: Version, usable: Iterable[Capability], image: ImageFacts) -> Iterable[str]:
    for gpu in usable:
        if served(gpu, image) == "partly":
            yield f"a part of its code does not serve compute capability {dotted(gpu)}: some functions may fail"
        lacking = ", ".join(sorted(one.stem for one in image.libraries if one.lacks(gpu)))
        if lacking:
            yield f"CUDA's own {lacking} have no code for compute capability {dotted(gpu)}: what needs them fails"
        if _compiled_by_driver(gpu, image):
            yield f"compute capability {dotted(gpu)} is served by PTX: the driver compiles it, the first use is slow"
    if image.cuda and not _compiles(have, image.cuda):
        newest = cuda_of(have)
        known = f"CUDA {dotted(newest)}" if newest else "an older CUDA"
        yield f"{driver(have)} came with {known}: CUDA {dotted(image.cuda)} runs by minor-version compatibility"
    if len(have) == 1 and any(have == least[:1] for least in LEAST_DRIVER.values() if len(least) > 1):
        least = driver(next(one for one in LEAST_DRIVER.values() if one[:1] == have))
        yield f"any release of branch {have[0]} was assumed; it has to be {least} or later"
    yield _certified(image)


def _certified(image: ImageFacts) -> str:
    if image.certified_on:
        return f"certified on {', '.join(image.certified_on)}"
    if "gpu" in image.levels:
        return f"its certificate on a GPU amounts to {image.levels['gpu']} only"
    return "certified on the CPU; that it runs on the GPU follows from driver and machine code"


# Versions


def cuda_of(have: Version) -> tuple[int, int] | None:
    """The newest CUDA toolkit that a driver knows, as far as the table goes."""
    return max((toolkit for toolkit, version in TOOLKIT_DRIVER.items() if not _older(have, version)), default=None)


def serves(have: Version) -> str:
    """Up to which CUDA a driver serves images: a whole major, from 11 on."""
    major = max((number for number, least in LEAST_DRIVER.items() if not _older(have, least)), default=None)
    newest = cuda_of(have)
    if major is not None:
        return f"CUDA up to {major}.x"
    return f"CUDA up to {dotted(newest)}" if newest else "no CUDA that is known here"


def _older(have: Version, needed: Version) -> bool:
    """Whether a driver is older. A branch alone (550) stands for its latest release."""
    return have < needed[: len(have)] if len(have) == 1 else have < needed


def numbers(text: str) -> Version:
    """A version as numbers, to be compared. One of thousands of digits, of which Python makes no number, is cut."""
    return tuple(int(one) for one in re.findall(r"\d{1,18}", text))


def dotted(version: Iterable[int]) -> str:
    """A CUDA version, a compute capability or a driver's version as it is written."""
    parts = list(version)
    return ".".join(str(one) if len(parts) < 3 or index == 0 else f"{one:02}" for index, one in enumerate(parts))


def driver(version: Version) -> str:
    """A driver in a sentence."""
    return f"driver {dotted(version)}"


def order(image: ImageFacts, verdict: Verdict) -> tuple[object, ...]:
    """Sorts the newest that runs first: on the GPU before the CPU; then by CUDA, Python and day of certification."""
    rank = ("no", "cpu", "gpu").index(verdict.runs)
    return (-rank, *(tuple(-one for one in numbers(text)) for text in _ages(image)), image.image)


def _ages(image: ImageFacts) -> tuple[str, ...]:
    return (dotted(image.cuda or (0,)), image.python or "0", image.created or "0")
