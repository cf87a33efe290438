"""NVIDIA's tables of drivers, of Linux and of Windows: which toolkit came with which, and what a driver knows.

A driver runs everything older. Within one CUDA major, from 11 on, it also runs what is newer than itself
(minor-version compatibility), but it compiles PTX only of toolkits that it knows. Forward compatibility (the
cuda-compat packages) is not assumed: it needs a data-centre GPU, and a library that no image carries.

WSL has the driver of Windows. The two systems share the branches (R550), and number the releases in them differently:
550.54.14 of Linux and 551.61 of Windows came with the same CUDA.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from assay.doctor.cuda import Capability, Version, dotted, numbers
from assay.host import paths

Toolkit = tuple[int, int]

# The first toolkit, and with it the first driver, that knows a GPU; and the last driver branch that still does.
# From NVIDIA's "CUDA Toolkit, Driver, and Architecture Matrix" and nvcc's list of architectures.
FIRST_TOOLKIT: Mapping[Capability, Toolkit] = {
    (7, 5): (10, 0), (8, 0): (11, 0), (8, 6): (11, 1), (8, 9): (11, 8), (9, 0): (11, 8),
    (10, 0): (12, 8), (10, 3): (12, 9), (12, 0): (12, 8), (12, 1): (12, 9),
}  # fmt: skip
LAST_BRANCH: Mapping[int, int] = {3: 470, 5: 580, 6: 580, 7: 580}
NUMBERED_SO_SINCE: Version = (450,)
BRANCHES_OF_LINUX = 5  # each is a multiple of it, since then
STILL_SERVED = (7, 5)  # the oldest capability that no driver has dropped


@dataclass(frozen=True)
class Drivers:
    """The drivers of one operating system.

    ``least`` is the oldest of each CUDA major, by minor-version compatibility; ``toolkit`` the one that each toolkit
    came with, which compiles that toolkit's PTX.
    """

    least: Mapping[int, Version]
    toolkit: Mapping[Toolkit, Version]

    def newest_of(self, have: Version) -> Toolkit | None:
        """The newest CUDA toolkit that a driver knows, as far as the table goes."""
        return max((toolkit for toolkit, version in self.toolkit.items() if not older(have, version)), default=None)

    def serves(self, have: Version) -> str:
        """Up to which CUDA a driver serves images: a whole major, from 11 on."""
        major = max((number for number, least in self.least.items() if not older(have, least)), default=None)
        newest = self.newest_of(have)
        if major is not None:
            return f"CUDA up to {major}.x"
        return f"CUDA up to {dotted(newest)}" if newest else "no CUDA that is known here"

    def assumed(self, have: Version) -> Version | None:
        """What a driver given by its branch alone (550) has to be at least; None where any release will do."""
        if len(have) > 1:
            return None
        return next((least for least in self.least.values() if len(least) > 1 and least[:1] == have), None)

    def compiles(self, have: Version, toolkit: Toolkit | None) -> bool:
        """Whether the driver compiles PTX of this toolkit. Of one that is not in the table: if a later one's is."""
        needed = self._first_of(toolkit)
        return needed is not None and not older(have, needed)

    def that_compiles(self, toolkit: Toolkit | None) -> str:
        """The driver that compiles PTX of a toolkit, in a sentence."""
        needed = self._first_of(toolkit)
        return f"{driver(needed)} or later" if needed else "a newer one"

    def unknown_to(self, have: Version, gpu: Capability) -> str | None:
        """Whether the driver does not know the GPU yet, or no longer."""
        first = FIRST_TOOLKIT.get(gpu)
        if first and older(have, self.toolkit[first]):
            needed = driver(self.toolkit[first])
            return f"{driver(have)} does not know compute capability {dotted(gpu)}, which needs {needed} or later"
        last = LAST_BRANCH.get(gpu[0])
        if last and gpu < STILL_SERVED and have[0] - have[0] % 10 > last:  # 585 is a release of branch 580
            return f"{driver(have)} no longer knows compute capability {dotted(gpu)}: {last} was the last to"
        return None

    def _first_of(self, toolkit: Toolkit | None) -> Version | None:
        later = (version for known, version in sorted(self.toolkit.items()) if toolkit and known >= toolkit)
        return next(later, None)


class _Shared(msgspec.Struct, frozen=True):
    """What the suite in the images reads too: smoke/cuda.json."""

    schema: Literal[1]
    least_driver: dict[int, str]

    @classmethod
    def read(cls) -> _Shared:
        return msgspec.json.decode((paths.release() / "smoke" / "cuda.json").read_bytes(), type=cls)


# CUDA release notes: tables 2 (least) and 3 (toolkit); from CUDA 13.1 on they name a branch for Windows, from 13.4 on
# for both. docs.nvidia.com/cuda/cuda-toolkit-release-notes, docs.nvidia.com/deploy/cuda-compatibility
LINUX = Drivers(
    least={major: numbers(least) for major, least in _Shared.read().least_driver.items()},
    toolkit={
        (10, 0): (410, 48), (10, 1): (418, 39), (10, 2): (440, 33),
        (11, 0): (450, 36, 6), (11, 1): (455, 23), (11, 2): (460, 27, 3), (11, 3): (465, 19, 1),
        (11, 4): (470, 42, 1), (11, 5): (495, 29, 5), (11, 6): (510, 39, 1), (11, 7): (515, 43, 4),
        (11, 8): (520, 61, 5), (12, 0): (525, 60, 13), (12, 1): (530, 30, 2), (12, 2): (535, 54, 3),
        (12, 3): (545, 23, 6), (12, 4): (550, 54, 14), (12, 5): (555, 42, 2), (12, 6): (560, 28, 3),
        (12, 8): (570, 26), (12, 9): (575, 51, 3), (13, 0): (580, 65, 6), (13, 1): (590, 44, 1),
        (13, 2): (595, 45, 4), (13, 3): (610, 43, 2), (13, 4): (615,),
    },
)  # fmt: skip
WINDOWS = Drivers(
    least={11: (452, 39), 12: (528, 33), 13: (580,)},
    toolkit={
        (10, 0): (411, 31), (10, 1): (418, 96), (10, 2): (441, 22),
        (11, 0): (451, 22), (11, 1): (456, 38), (11, 2): (460, 82), (11, 3): (465, 89), (11, 4): (471, 11),
        (11, 5): (496, 4), (11, 6): (511, 23), (11, 7): (516, 1), (11, 8): (520, 6),
        (12, 0): (528, 33),  # that of its update 1: 527.41 came with CUDA 12.0, and is too old for CUDA 12 by table 2
        (12, 1): (531, 14), (12, 2): (536, 25), (12, 3): (545, 84), (12, 4): (551, 61), (12, 5): (555, 85),
        (12, 6): (560, 76), (12, 8): (570, 65), (12, 9): (576, 2),
        (13, 0): (580,), (13, 1): (590,), (13, 2): (595,), (13, 3): (610,), (13, 4): (615,),
    },
)  # fmt: skip


def older(have: Version, needed: Version) -> bool:
    """Whether a driver is older. A branch alone (550) stands for its latest release."""
    return have < needed[: len(have)] if len(have) == 1 else have < needed


def driver(version: Version) -> str:
    """A driver in a sentence."""
    return f"driver {dotted(version)}"


def branch(version: Version) -> int:
    """The branch that a release is of: 550 for 550.54.14, and for 551.61 of Windows."""
    return version[0] - version[0] % BRANCHES_OF_LINUX if version else 0


def of_windows(version: Version) -> bool:
    """Whether a driver's number can only be one of Windows: the branches of Linux are multiples of five since 450."""
    return len(version) < 3 and version > NUMBERED_SO_SINCE and version[0] != branch(version)
