"""NVIDIA's rules and tables: which driver knows which toolkit and GPU, and which code runs on which GPU.

A driver runs everything older. Within one CUDA major, from 11 on, it also runs what is newer than itself
(minor-version compatibility), but it compiles PTX only of toolkits that it knows. Machine code serves the GPUs of its
own major, from its minor up. PTX serves every GPU that is not older. Code of the kind "a" serves its own capability
alone, and code of the kind "f" its family. Forward compatibility (the cuda-compat packages) is not assumed: it needs
a data-centre GPU, and a library that no image carries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from assay.host import paths

Capability = tuple[int, int]
Version = tuple[int, ...]


def numbers(text: str) -> Version:
    """Return a version as numbers, to be compared; a number of more than 18 digits is cut.

    Python refuses to make a number of thousands of digits, and a certificate may hold such a text.
    """
    return tuple(int(digits) for digits in re.findall(r"\d{1,18}", text))


class _Shared(msgspec.Struct, frozen=True):
    """What the suite in the images reads too: smoke/cuda.json."""

    schema: Literal[1]
    least_driver: dict[int, str]

    @classmethod
    def read(cls) -> _Shared:
        return msgspec.json.decode((paths.release() / "smoke" / "cuda.json").read_bytes(), type=cls)


# The oldest driver of each CUDA major, by minor-version compatibility. docs.nvidia.com/deploy/cuda-compatibility
LEAST_DRIVER: Mapping[int, Version] = {
    major: numbers(driver) for major, driver in _Shared.read().least_driver.items()
}

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


def newest_of(have: Version) -> tuple[int, int] | None:
    """The newest CUDA toolkit that a driver knows, as far as the table goes."""
    return max((toolkit for toolkit, version in TOOLKIT_DRIVER.items() if not older(have, version)), default=None)


def serves(have: Version) -> str:
    """Up to which CUDA a driver serves images: a whole major, from 11 on."""
    major = max((number for number, least in LEAST_DRIVER.items() if not older(have, least)), default=None)
    newest = newest_of(have)
    if major is not None:
        return f"CUDA up to {major}.x"
    return f"CUDA up to {dotted(newest)}" if newest else "no CUDA that is known here"


def older(have: Version, needed: Version) -> bool:
    """Whether a driver is older. A branch alone (550) stands for its latest release."""
    return have < needed[: len(have)] if len(have) == 1 else have < needed


def assumed(have: Version) -> Version | None:
    """What a driver that is given by its branch alone (550) has to be at least; None where any release will do."""
    if len(have) > 1:
        return None
    return next((least for least in LEAST_DRIVER.values() if len(least) > 1 and least[:1] == have), None)


def dotted(version: Iterable[int]) -> str:
    """A CUDA version, a compute capability or a driver's version as it is written."""
    parts = list(version)
    return ".".join(str(part) if len(parts) < 3 or index == 0 else f"{part:02}" for index, part in enumerate(parts))


def driver(version: Version) -> str:
    """A driver in a sentence."""
    return f"driver {dotted(version)}"


def compiles(have: Version, toolkit: tuple[int, int] | None) -> bool:
    """Whether the driver compiles PTX of this toolkit. Of a toolkit that is not in the table: if a later one's is."""
    if toolkit is None:
        return False
    needed = [version for known, version in sorted(TOOLKIT_DRIVER.items()) if known >= toolkit]
    return bool(needed) and not older(have, needed[0])


def toolkit_driver(toolkit: tuple[int, int] | None) -> str:
    """The driver that compiles PTX of a toolkit, in a sentence."""
    later = [version for known, version in sorted(TOOLKIT_DRIVER.items()) if toolkit and known >= toolkit]
    return f"{driver(later[0])} or later" if later else "a newer one"


def unknown_to(have: Version, gpu: Capability) -> str | None:
    """Whether the driver does not know the GPU yet, or no longer."""
    first = FIRST_TOOLKIT.get(gpu)
    if first and older(have, TOOLKIT_DRIVER[first]):
        needed = driver(TOOLKIT_DRIVER[first])
        return f"driver {dotted(have)} does not know compute capability {dotted(gpu)}, which needs {needed} or later"
    last = LAST_BRANCH.get(gpu[0])
    if last and gpu < STILL_SERVED and have[0] - have[0] % 10 > last:  # 585 is a release of branch 580
        return f"driver {dotted(have)} no longer knows compute capability {dotted(gpu)}: {last} was the last to"
    return None
