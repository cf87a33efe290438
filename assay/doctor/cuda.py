"""NVIDIA's rules on code: which of it runs on which GPU.

Machine code serves the GPUs of its own major, from its minor up. PTX serves every GPU that is not older. Code of the
kind "a" serves its own capability alone, and code of the kind "f" its family. Which driver it needs is in
`assay.doctor.drivers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Capability = tuple[int, int]
Version = tuple[int, ...]


def numbers(text: str) -> Version:
    """Return a version as numbers, to be compared; a number of more than 18 digits is cut.

    Python refuses to make a number of thousands of digits, and a certificate may hold such a text.
    """
    return tuple(int(digits) for digits in re.findall(r"\d{1,18}", text))


# NVIDIA's own libraries choose among their kernels themselves; what an image serves is asked of the framework's.
_NVIDIAS = re.compile(r"(?:.*/)?lib(?:cu(?:blas|dart|dnn|fft|file|pti|rand|solver|sparse|tensor)|nccl|npp|nv)")
# Of these GPUs, in Jetson's processors, NVIDIA does not promise that they run code of an earlier minor. Source: CUDA
# C++ Programming Guide, "Binary Compatibility".
EMBEDDED = frozenset({(5, 3), (6, 2), (7, 2), (8, 7)})
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

    def serves_exactly(self, gpu: Capability) -> bool:
        """Whether it has machine code for this very GPU, or PTX."""
        own = any(code.capability == gpu for code in self.cubin)
        return own or any(code.serves(gpu, ptx=True) for code in self.ptx)

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


def dotted(version: Iterable[int]) -> str:
    """A CUDA version, a compute capability or a driver's version as it is written.

    Only drivers have majors of three digits; all but the first of their numbers have two digits at least: 520.06.
    """
    parts = list(version)
    padded = len(parts) > 2 or (parts and parts[0] > 99)
    return ".".join(f"{part:02}" if padded and index else str(part) for index, part in enumerate(parts))
