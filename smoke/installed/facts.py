"""The facts about an image: what is gathered in this package, and judged in ``smoke.checks.static``.

Whoever has these facts can judge them without the image: nothing here reads a file. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Optional

from smoke.installed import elf, fatbin
from smoke.installed.served import Served

_NO_NAMES, _NO_CODE = elf.Names("", ()), fatbin.Coverage(())


class File(NamedTuple):
    """A line of a RECORD: the file, and its digest and size where the line has them ("" and -1 where not).

    The path is a text: there are tens of thousands of them, and Path objects would take seconds.
    """

    path: str
    digest: str
    size: int


@dataclass(frozen=True)
class Distribution:
    """An installed distribution. ``files`` is None without a RECORD; ``damage`` says why one cannot be read."""

    name: str
    version: str
    site: Path
    files: Optional[tuple[File, ...]]
    damage: str = ""


@dataclass(frozen=True)
class Library:
    """A CUDA library, or one that uses CUDA. ``real`` is its path without links.

    ``damage`` is not empty for a file that is no readable ELF file.
    """

    path: Path
    real: Path
    nvidia: bool
    names: elf.Names = _NO_NAMES
    owner: Optional[Distribution] = None
    code: fatbin.Coverage = _NO_CODE
    damage: str = ""

    @property
    def soname(self) -> str:
        """The library's own name, or that of its file where it has none."""
        return self.names.soname or self.path.name


@dataclass(frozen=True)
class Survey:
    """A whole environment. ``shared`` maps the names of all shared libraries in it to their files."""

    root: Path
    distributions: tuple[Distribution, ...]
    libraries: tuple[Library, ...]
    shared: Mapping[str, tuple[Path, ...]]
    files: frozenset[str]

    @property
    def own_libraries(self) -> tuple[Library, ...]:
        """The framework's libraries with code in them. NVIDIA's are left out: they choose among their kernels
        themselves, keep some outside these sections, and have containers that are for one architecture by design.
        """
        return tuple(library for library in self.libraries if library.code.containers and not library.nvidia)

    @property
    def served(self) -> Served:
        """Which GPUs the framework's libraries have code for."""
        return Served(tuple(library.code for library in self.own_libraries))


class Outcome(NamedTuple):
    """What came of loading one library.

    ``version`` and ``cuda`` are its own answers, empty where it has no such call. ``lacks`` is the name of a library
    that it needs and that is nowhere; ``helped`` counts those that were found only because they lie in the
    environment (the framework loads them first). ``crashed`` says which of its version calls ended the process and
    how: the library loaded, and whoever asks it for its version ends as well.
    """

    path: str
    loaded: bool
    why: str = ""
    lacks: str = ""
    version: str = ""
    cuda: str = ""
    helped: int = 0
    crashed: str = ""


class Loader(NamedTuple):
    """A library that loads others by name: the names in its text, and the files that lie beside it."""

    path: Path
    names: frozenset[str]
    beside: frozenset[str]


@dataclass(frozen=True)
class Closure:
    """The libraries of an environment, and what came of loading each.

    ``missing`` are the shared libraries that a RECORD lists and that are not there.
    """

    survey: Survey
    outcomes: Mapping[Path, Outcome]
    missing: tuple[tuple[Distribution, Path], ...]
    loaders: tuple[Loader, ...]

    @property
    def runtime(self) -> str:
        """The CUDA runtime's own version; empty if none answered."""
        runtimes = (outcome for path, outcome in self.outcomes.items() if path.name.startswith("libcudart."))
        return max((outcome.version for outcome in runtimes), default="")


@dataclass(frozen=True)
class Hidden:
    """A view of an environment without one of its libraries. ``whole`` is True if nothing else is missing there."""

    library: Path
    view: Closure
    whole: bool


class Pip(NamedTuple):
    """How ``pip check`` ended, and what it printed."""

    code: int
    text: str


@dataclass(frozen=True)
class Packages:
    """The installed packages. ``distributions`` are those that Python imports from.

    ``changed`` are the files that are not as their RECORD has them, each with what is wrong; ``unlisted`` are those
    that no RECORD lists; ``versions`` maps the normal name of each distribution to its versions. ``outside`` are
    those that Python finds beside the environment, with the folder of each.
    """

    distributions: tuple[Distribution, ...]
    changed: tuple[str, ...]
    unlisted: tuple[str, ...]
    versions: Mapping[str, set[str]]
    pip: Pip
    outside: Mapping[str, str] = field(default_factory=dict)


class Libcuda(NamedTuple):
    """A library of the driver's name, in a folder that the loader searches.

    ``real`` is its path without links, ``soname`` the name that it bears (empty if it cannot be read), and ``last``
    is True in the last of the folders that Debian's loader searches by itself.
    """

    path: Path
    real: Path
    soname: str
    last: bool


@dataclass(frozen=True)
class Surroundings:
    """The process as it was started; ``prefix`` is the environment's folder, ``suite`` the smoke suite's own.

    ``driver`` is the version of the driver that runs. ``cached`` are the files that the loader's cache names, which
    come before any folder that it searches by itself; ``last_folder`` is the last of these folders.
    """

    environment: Mapping[str, str]
    home_writable: bool
    uid: int
    prefix: Path
    suite: Path
    python: tuple[int, ...]
    libcudas: tuple[Libcuda, ...]
    driver: Optional[str]
    cached: frozenset[Path]
    last_folder: Path


class Mapped(NamedTuple):
    """A CUDA library that is mapped into this process; ``real`` is its path without links.

    ``version`` is its own answer, ``cuda`` the CUDA that it was made for; empty where it cannot be asked.
    """

    path: Path
    real: Path
    version: str
    cuda: str


@dataclass(frozen=True)
class Loaded:
    """What a process that has trained has loaded.

    ``described`` are the framework's own words; ``imports`` maps the modules beside the framework to what importing
    each raised (empty if nothing).
    """

    libraries: tuple[Mapped, ...]
    survey: Survey
    described: Mapping[str, Any]
    imports: Mapping[str, str]
