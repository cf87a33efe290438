"""static.closure: all libraries are there, load, and are of one CUDA; and the fault that is put in on purpose."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Optional

from smoke.checks.static.judge import REBUILD, judge
from smoke.installed import loading
from smoke.installed.cuda import same
from smoke.installed.loading import Outcome
from smoke.installed.survey import CUDA, DRIVER, Distribution, Library, Survey, missing, named_within, survey
from smoke.plan import Plan
from smoke.report.result import Fault, Result, metric

# Libraries of a machine's network or of its MPI. NVIDIA's plug-ins for them load only where they are.
FABRIC = re.compile(r"lib(mlx5|ibverbs|rdmacm|fabric|ucs|ucp|uct|ucm|mpi|pmix|pmi2?|oshmem)\.so(\.|$)")
# Those whose text names the libraries that they load by themselves.
LOADERS = re.compile(r"lib(cudnn|cudnn_graph|nvrtc)\.(alt\.)?so\.")


def load(found: Survey) -> dict[Path, Outcome]:
    """Loads the survey's libraries; paths to outcomes."""
    chosen = [one.path for one in found.libraries if not one.damage]
    shared = {name: paths[0] for name, paths in found.shared.items()}
    outcomes = {Path(one.path): one for one in loading.load_all(chosen, shared)}
    return {one.path: _told(one, outcomes[one.path]) for one in found.libraries if one.path in outcomes}


def _told(library: Library, outcome: Outcome) -> Outcome:
    """The outcome with a version of the CUDA runtime in any case: CUDA 11's tells it only where there is a driver."""
    if not outcome.loaded or outcome.version or not library.soname.startswith("libcudart.") or not library.owner:
        return outcome
    return outcome._replace(version=".".join(library.owner.version.split(".")[:2]))


def judge_closure(found: Survey, outcomes: Mapping[Path, Outcome], plan: Plan) -> Result:
    """Everything that should be there is, loads, is of one CUDA, and can be asked for its version."""
    asked = [one for one in found.libraries if one.path in outcomes]
    unloaded = {one.path: _unloaded(one, found, outcomes, plan.device) for one in asked}
    states = list(unloaded.values())
    wrong = [*_absent(found), *(f"{one.path.name}: {one.damage}" for one in found.libraries if one.damage)]
    wrong += [f"{path.name}: {state}" for path, state in unloaded.items() if state not in ("", "driver", "fabric")]
    crashed = {one.soname: outcomes[one.path].crashed for one in asked if outcomes[one.path].crashed}
    wrong += [f"{soname}: {how}" for soname, how in sorted(crashed.items()) if soname not in plan.uncalled]
    wrong += [*_disagreeing(found, outcomes), *_majors(found, outcomes, plan.labels["cuda"])]
    metrics = [
        metric("libraries", len(states), "1", ">="),
        metric("loaded", states.count(""), "1", ">="),
        metric("for_a_driver", states.count("driver")),
        metric("for_a_fabric", states.count("fabric")),
        metric("version_calls_crashed", len(crashed)),
    ]
    return judge("static.closure", wrong, metrics, REBUILD)


def _unloaded(library: Library, found: Survey, outcomes: Mapping[Path, Outcome], device: str) -> str:
    """Why a library did not load; "driver" or "fabric" if that is all it lacks, empty if it loaded."""
    outcome = outcomes[library.path]
    if outcome.loaded:
        return ""
    if DRIVER.match(outcome.lacks) and device == "cpu":
        others = [one for one in library.names.needed if not DRIVER.match(one)]
        lacking = [one for one in others if one not in found.shared and not _of_the_system(one, found, outcomes)]
        return "it needs {}, which is nowhere".format(", ".join(lacking)) if lacking else "driver"
    if FABRIC.match(outcome.lacks):
        return "fabric"
    if "undefined symbol" in outcome.why and _loads_for_another(library, found, outcomes):
        return ""
    return outcome.why


def _of_the_system(name: str, found: Survey, outcomes: Mapping[Path, Outcome]) -> bool:
    """True if a library that did load is linked with it too."""
    loaded = (one for one in found.libraries if one.path in outcomes and outcomes[one.path].loaded)
    return any(name in one.names.needed for one in loaded)


def _loads_for_another(library: Library, found: Survey, outcomes: Mapping[Path, Outcome]) -> bool:
    """True if another library, linked with this one, loaded: one that leans on its neighbours is made for that."""
    users = (one for one in found.libraries if library.soname in one.names.needed)
    return any(outcomes[one.path].loaded for one in users if one.path in outcomes)


def _absent(found: Survey) -> Iterator[str]:
    """What a RECORD lists, and what a library's text names, and is not there."""
    owners = {one.owner for one in found.libraries}
    for owner, path in missing(found):
        if owner in owners or owner.name.startswith("nvidia-"):
            yield f"{path.name} belongs to {owner.name} {owner.version}, and is not there"
    for one in found.libraries:
        if LOADERS.match(one.soname) and not one.damage:
            there = {path.name for path in one.path.parent.iterdir() if path.exists()}
            for name in sorted(named_within(one.path)):
                if not any(file == name or file.startswith(name + ".") for file in there):
                    yield f"{one.path.name} loads {name}, which is not beside it"


def _disagreeing(found: Survey, outcomes: Mapping[Path, Outcome]) -> Iterator[str]:
    """Libraries that answer another version than that of the package that they are in."""
    for one in found.libraries:
        answer = outcomes[one.path].version if one.path in outcomes else ""
        if not answer or not one.nvidia or one.owner is None:
            continue
        parts = answer.split(".")
        if one.owner.version.split(".")[: len(parts)] != parts:
            yield f"{one.path.name} says that it is {answer}, its package is {one.owner.name} {one.owner.version}"


def _majors(found: Survey, outcomes: Mapping[Path, Outcome], label: str) -> Iterator[str]:
    """More than one major of CUDA, another than the label's, a runtime of another version, a library twice."""
    for one in found.libraries:
        majors = {str(major) for major in majors_of(one, outcomes.get(one.path))}
        for major in sorted(majors - {label.split(".", maxsplit=1)[0]}):
            yield f"{one.path.name} is of CUDA {major}, and CUDA {label} is promised"
        version = outcomes[one.path].version if one.path in outcomes else ""
        if one.soname.startswith("libcudart.") and version and not same(version, label):
            yield f"the CUDA runtime says that it is {version}, and CUDA {label} is promised"
    yield from twice((one.path, one.soname) for one in found.libraries if one.nvidia)
    if not any(one.soname.startswith("libcudart.") for one in found.libraries):
        yield f"CUDA {label} is promised, and there is no CUDA runtime"


def majors_of(library: Library, outcome: Optional[Outcome]) -> set[int]:
    """The majors of CUDA that a library says it is of: by its own answer, its runtime, and its package's name."""
    said = {outcome.cuda.split(".", maxsplit=1)[0]} if outcome and outcome.cuda else set()
    said |= {name.split(".")[2] for name in library.names.needed if name.startswith("libcudart.so.")}
    suffix = re.search(r"-cu(\d\d)\d*$", library.owner.name) if library.owner and library.nvidia else None
    said |= {suffix.group(1)} if suffix else set()
    return {int(one) for one in said if one.isdigit()}


def twice(named: Iterable[tuple[Path, str]]) -> Iterator[str]:
    """CUDA libraries that are there in two versions, or in two places."""
    places: dict[str, dict[Path, str]] = {}
    for path, soname in named:
        if CUDA.match(soname):
            places.setdefault(path.name.partition(".so")[0], {})[path.resolve()] = soname
    for stem, where in sorted(places.items()):
        if len(where) > 1:
            yield "{} comes from {} places: {}".format(stem, len(where), ", ".join(sorted(str(one) for one in where)))


def hidden(found: Survey, folder: Path, plan: Plan) -> Fault:
    """The closure check over a view in which one sub-library is missing, the one that is missed the least.

    The view holds that package and the CUDA runtime, whole but for the one, so that nothing else is wrong with it.
    """
    owner, path = _victim(found)
    if owner is None:
        return Fault("hidden-sublibrary", "static.closure", "error", (), "there is no library to hide")
    owners = {owner} | {one.owner for one in found.libraries if one.nvidia and one.soname.startswith("libcudart.")}
    for one in found.libraries:
        if one.nvidia and one.path != path:
            _link(one.path, folder / one.path.relative_to(owner.site))
    for about in owner.site.glob("*.dist-info"):
        if any(
            one and file.path.startswith(f"{about}/") for one in owners for file in (one.files or () if one else ())
        ):
            _link(about, folder / about.name)
    seen = survey(folder, code=False)
    seen = dataclasses.replace(seen, libraries=tuple(one for one in seen.libraries if one.owner is not None))
    verdict = judge_closure(seen, load(seen), plan)
    told = verdict.reason.split("; ")
    blamed = all(path.name.partition(".so")[0] in one for one in told)
    whole = len(seen.libraries) == sum(one.owner in owners for one in found.libraries) - 1
    state = verdict.state if whole and blamed else "error"
    return Fault("hidden-sublibrary", verdict.id, state, verdict.metrics, verdict.reason)


def _victim(found: Survey) -> tuple[Optional[Distribution], Path]:
    """A library that none is linked with, of the package that is loaded in the most parts: cuDNN where it is."""
    linked = {name for one in found.libraries for name in one.names.needed}
    for stem in ("libcudnn_engines", "libcudnn_", "libnvrtc-builtins", "libcublasLt", "libcudart"):
        for one in found.libraries:
            loose = one.soname not in linked or stem in ("libcublasLt", "libcudart")
            if one.nvidia and one.owner and one.path.name.startswith(stem) and loose:
                return one.owner, one.path
    return None, Path()


def _link(target: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def runtime_of(outcomes: Mapping[Path, Outcome]) -> str:
    """The CUDA runtime's own version; empty if none answered."""
    return max((one.version for path, one in outcomes.items() if path.name.startswith("libcudart.")), default="")
