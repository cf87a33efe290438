"""static.closure: all libraries are there, load, and are of one CUDA; and the fault that is put in on purpose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Optional

from smoke.checks.static.judge import REBUILD, judge
from smoke.installed.cuda import CUDA, DRIVER, same
from smoke.installed.facts import Closure, Hidden, Library, Outcome
from smoke.plan import Plan
from smoke.report.result import Fault, Result, metric

# Libraries of a machine's network or of its MPI. NVIDIA's plug-ins for them load only where they are.
FABRIC = re.compile(r"lib(mlx5|ibverbs|rdmacm|fabric|ucs|ucp|uct|ucm|mpi|pmix|pmi2?|oshmem)\.so(\.|$)")


def judge_closure(closure: Closure, plan: Plan) -> Result:
    """Everything that should be there is, loads, is of one CUDA, and can be asked for its version."""
    libraries, outcomes = closure.survey.libraries, closure.outcomes
    tried = [library for library in libraries if library.path in outcomes]
    unloaded = {library.path: _unloaded(library, closure, plan.device) for library in tried}
    states = list(unloaded.values())
    wrong = list(_absent(closure))
    wrong += [f"{library.path.name}: {library.damage}" for library in libraries if library.damage]
    wrong += [f"{path.name}: {state}" for path, state in unloaded.items() if state not in ("", "driver", "fabric")]
    crashed = {one.soname: outcomes[one.path].crashed for one in tried if outcomes[one.path].crashed}
    wrong += [f"{soname}: {how}" for soname, how in sorted(crashed.items()) if soname not in plan.uncalled]
    wrong += [*_disagreeing(closure), *_majors(closure, plan.labels["cuda"])]
    metrics = [
        metric("libraries", len(states), "1", ">="),
        metric("loaded", states.count(""), "1", ">="),
        metric("for_a_driver", states.count("driver")),
        metric("for_a_fabric", states.count("fabric")),
        metric("version_calls_crashed", len(crashed)),
    ]
    return judge("static.closure", wrong, metrics, REBUILD)


def _unloaded(library: Library, closure: Closure, device: str) -> str:
    """Why a library did not load; "driver" or "fabric" if that is all it lacks, empty if it loaded."""
    outcome = closure.outcomes[library.path]
    if outcome.loaded:
        return ""
    if DRIVER.match(outcome.lacks) and device == "cpu":
        others = [name for name in library.names.needed if not DRIVER.match(name)]
        lacking = [name for name in others if name not in closure.survey.shared and not _of_the_system(name, closure)]
        return "it needs {}, which is nowhere".format(", ".join(lacking)) if lacking else "driver"
    if FABRIC.match(outcome.lacks):
        return "fabric"
    if "undefined symbol" in outcome.why and _loads_for_another(library, closure):
        return ""
    return outcome.why


def _of_the_system(name: str, closure: Closure) -> bool:
    """True if a library that did load is linked with it too."""
    return any(name in library.names.needed for library in closure.survey.libraries if _loaded(library, closure))


def _loads_for_another(library: Library, closure: Closure) -> bool:
    """True if another library, linked with this one, loaded: one that leans on its neighbours is made for that."""
    users = (other for other in closure.survey.libraries if library.soname in other.names.needed)
    return any(_loaded(user, closure) for user in users)


def _loaded(library: Library, closure: Closure) -> bool:
    return library.path in closure.outcomes and closure.outcomes[library.path].loaded


def _absent(closure: Closure) -> Iterator[str]:
    """What a RECORD lists, and what a library's text names, and is not there."""
    owners = {library.owner for library in closure.survey.libraries}
    for owner, path in closure.missing:
        if owner in owners or owner.name.startswith("nvidia-"):
            yield f"{path.name} belongs to {owner.name} {owner.version}, and is not there"
    for loader in closure.loaders:
        for name in sorted(loader.names):
            if not any(file == name or file.startswith(name + ".") for file in loader.beside):
                yield f"{loader.path.name} loads {name}, which is not beside it"


def _disagreeing(closure: Closure) -> Iterator[str]:
    """Libraries that answer another version than that of the package that they are in."""
    for library in closure.survey.libraries:
        answer = closure.outcomes[library.path].version if library.path in closure.outcomes else ""
        if not answer or not library.nvidia or library.owner is None:
            continue
        owner, parts = library.owner, answer.split(".")
        if owner.version.split(".")[: len(parts)] != parts:
            yield f"{library.path.name} says that it is {answer}, its package is {owner.name} {owner.version}"


def _majors(closure: Closure, label: str) -> Iterator[str]:
    """More than one major of CUDA, another than the label's, a runtime of another version, a library twice."""
    libraries = closure.survey.libraries
    for library in libraries:
        outcome = closure.outcomes.get(library.path)
        majors = {str(major) for major in majors_of(library, outcome)}
        for major in sorted(majors - {label.split(".", maxsplit=1)[0]}):
            yield f"{library.path.name} is of CUDA {major}, and CUDA {label} is promised"
        version = outcome.version if outcome else ""
        if library.soname.startswith("libcudart.") and version and not same(version, label):
            yield f"the CUDA runtime says that it is {version}, and CUDA {label} is promised"
    yield from twice((library.path.name, library.soname, library.real) for library in libraries if library.nvidia)
    if not any(library.soname.startswith("libcudart.") for library in libraries):
        yield f"CUDA {label} is promised, and there is no CUDA runtime"


def majors_of(library: Library, outcome: Optional[Outcome]) -> set[int]:
    """The majors of CUDA that a library says it is of: by its own answer, its runtime, and its package's name."""
    majors = {outcome.cuda.split(".", maxsplit=1)[0]} if outcome and outcome.cuda else set()
    majors |= {name.split(".")[2] for name in library.names.needed if name.startswith("libcudart.so.")}
    suffix = re.search(r"-cu(\d\d)\d*$", library.owner.name) if library.owner and library.nvidia else None
    majors |= {suffix.group(1)} if suffix else set()
    return {int(major) for major in majors if major.isdigit()}


def twice(libraries: Iterable[tuple[str, str, Path]]) -> Iterator[str]:
    """CUDA libraries that are there in two versions, or in two places; of each: file, soname, path without links."""
    places: dict[str, set[Path]] = {}
    for name, soname, real in libraries:
        if CUDA.match(soname):
            places.setdefault(name.partition(".so")[0], set()).add(real)
    for stem, paths in sorted(places.items()):
        if len(paths) > 1:
            yield "{} comes from {} places: {}".format(stem, len(paths), ", ".join(sorted(map(str, paths))))


def judge_hidden(hidden: Optional[Hidden], plan: Plan) -> Fault:
    """What the closure check makes of a view in which one library is missing, and nothing else is wrong."""
    if hidden is None:
        return Fault("hidden-sublibrary", "static.closure", "error", (), "there is no library to hide")
    verdict = judge_closure(hidden.view, plan)
    stem = hidden.library.name.partition(".so")[0]
    blamed = all(stem in wrong for wrong in verdict.reason.split("; "))
    state = verdict.state if hidden.whole and blamed else "error"
    return Fault("hidden-sublibrary", verdict.id, state, verdict.metrics, verdict.reason)
