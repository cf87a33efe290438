"""Gathers the closure: every CUDA library loaded in its own process, and what is missing beside it.

Standard library only.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from smoke.installed import loading
from smoke.installed.facts import Closure, Distribution, Hidden, Library, Loader, Outcome, Survey
from smoke.installed.survey import is_shared, named_within, survey

# Those whose text names the libraries that they load by themselves.
LOADERS = re.compile(r"lib(cudnn|cudnn_graph|nvrtc)\.(alt\.)?so\.")


def gather_closure(found: Survey) -> Closure:
    """Loads the survey's libraries. Raises NotElf, OSError, and RuntimeError if the helper process does not work."""
    return Closure(found, _load(found), tuple(_missing(found)), tuple(_loaders(found)))


def _load(found: Survey) -> dict[Path, Outcome]:
    chosen = [library.path for library in found.libraries if not library.damage]
    shared = {name: paths[0] for name, paths in found.shared.items()}
    outcomes = {Path(outcome.path): outcome for outcome in loading.load_all(chosen, shared)}
    return {
        library.path: _with_version(library, outcomes[library.path])
        for library in found.libraries
        if library.path in outcomes
    }


def _with_version(library: Library, outcome: Outcome) -> Outcome:
    """The outcome with the CUDA runtime's version in any case: CUDA 11's answers only where there is a driver."""
    if not outcome.loaded or outcome.version or not library.soname.startswith("libcudart.") or not library.owner:
        return outcome
    return outcome._replace(version=".".join(library.owner.version.split(".")[:2]))


def _missing(found: Survey) -> Iterator[tuple[Distribution, Path]]:
    for distribution in found.distributions:
        for file in distribution.files or ():
            if is_shared(file.path.rpartition("/")[2]) and not Path(file.path).exists():
                yield distribution, Path(file.path)


def _loaders(found: Survey) -> Iterator[Loader]:
    for library in found.libraries:
        if LOADERS.match(library.soname) and not library.damage:
            beside = frozenset(path.name for path in library.path.parent.iterdir() if path.exists())
            yield Loader(library.path, frozenset(named_within(library.path)), beside)


def hide_one(found: Survey, folder: Path) -> Optional[Hidden]:
    """Gathers the closure of a view of the environment, made in ``folder``, that lacks one library.

    It is the library that is missed the least. The view holds that library's package and the CUDA runtime, so that
    nothing else is wrong with it. None if there is no library to hide.
    """
    owner, hidden = _least_missed(found)
    if owner is None:
        return None
    runtimes = (one for one in found.libraries if one.nvidia and one.soname.startswith("libcudart."))
    owners = {owner, *(library.owner for library in runtimes)}
    for library in found.libraries:
        if library.nvidia and library.path != hidden:
            _link(library.path, folder / library.path.relative_to(owner.site))
    files = [file.path for one in owners if one for file in one.files or ()]
    for about in owner.site.glob("*.dist-info"):
        if any(path.startswith(f"{about}/") for path in files):
            _link(about, folder / about.name)
    view = survey(folder, code=False)
    owned = tuple(library for library in view.libraries if library.owner is not None)
    whole = len(owned) == sum(library.owner in owners for library in found.libraries) - 1
    return Hidden(hidden, gather_closure(dataclasses.replace(view, libraries=owned)), whole)


def _least_missed(found: Survey) -> tuple[Optional[Distribution], Path]:
    """A library that none is linked with, of the package that is loaded in the most parts: cuDNN where it is."""
    linked = {name for library in found.libraries for name in library.names.needed}
    for stem in ("libcudnn_engines", "libcudnn_", "libnvrtc-builtins", "libcublasLt", "libcudart"):
        for library in found.libraries:
            loose = library.soname not in linked or stem in ("libcublasLt", "libcudart")
            if library.nvidia and library.owner and library.path.name.startswith(stem) and loose:
                return library.owner, library.path
    return None, Path()


def _link(target: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
