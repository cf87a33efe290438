"""E1 static: the image is whole, found without a GPU or a driver. Five results, and a fault put in on purpose.

What is judged here is gathered elsewhere: ``smoke.survey`` (files), ``smoke.closure`` (libraries loaded, each in its
own process), ``smoke.contract`` and ``smoke.packages``. The sixth result is that of ``smoke.checks.loaded``.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from smoke import closure, contract, fatbin, host, nvrtc, packages
from smoke.bench import Bench
from smoke.checks import imports
from smoke.closure import Outcome
from smoke.plan import Plan
from smoke.report import SUITE, Fault, Metric, Result, judged, metric, not_run
from smoke.survey import CUDA, DRIVER, Distribution, Library, Survey, missing, named_within, survey

NO_CUDA = "the image promises no CUDA"
REBUILD = "Build the image again from its lock."
# The oldest driver for each major of the CUDA runtime, by NVIDIA's table of minor-version compatibility.
LEAST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580"}
# Libraries of a machine's network or of its MPI. NVIDIA's plug-ins for them load only where they are.
FABRIC = re.compile(r"lib(mlx5|ibverbs|rdmacm|fabric|ucs|ucp|uct|ucm|mpi|pmix|pmi2?|oshmem)\.so(\.|$)")
# Those whose text names the libraries that they load by themselves.
LOADERS = re.compile(r"lib(cudnn|cudnn_graph|nvrtc)\.(alt\.)?so\.")
SHOWN = 8
LONGEST = 240  # seconds for a process that this check starts


def run(_process: str, bench: Bench) -> Iterator[Union[Result, Fault]]:
    """The five results; those about CUDA only where it is promised."""
    # First, as it reads all files from end to end: what the others read here and there is then in memory.
    yield _packages(survey(Path(sys.prefix), code=False), bench)
    found = nvrtc.with_run_time_code(survey(Path(sys.prefix)))
    label = bench.plan.labels.get("cuda", "")
    if label:
        outcomes = load(found)
        yield judge_closure(found, outcomes, bench.plan)
        yield hidden(found, bench.scratch / "view", bench.plan)
        yield judge_coverage(found, _gpu_capabilities(bench.plan.device))
        yield judge_driver(outcomes, host.describe(bench.plan.device)["driver"])
        bench.facts.update(facts(found, outcomes))
    else:
        for name in ("closure", "coverage", "driver"):
            yield not_run("static." + name, "static", NO_CUDA)
    yield _contract(found, bench)


def judge(check: str, wrong: Sequence[str], metrics: Iterable[Metric], remedy: str, family: str = "static") -> Result:
    """A result that passes if nothing is wrong and every metric holds; the reason names what is wrong."""
    result = judged(check, family, [metric("wrong", len(wrong), "0"), *metrics], remedy=remedy)
    if not wrong:
        return result
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return dataclasses.replace(result, reason="; ".join(wrong[:SHOWN]) + more)


# Closure


def load(found: Survey) -> dict[Path, Outcome]:
    """Loads the survey's libraries; paths to outcomes."""
    chosen = [one.path for one in found.libraries if not one.damage]
    shared = {name: paths[0] for name, paths in found.shared.items()}
    outcomes = {Path(one.path): one for one in closure.load_all(chosen, shared)}
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


def same(version: str, label: str) -> bool:
    """True if the version begins with the label's parts."""
    parts = label.split(".")
    return version.split(".")[: len(parts)] == parts


def facts(found: Survey, outcomes: Mapping[Path, Outcome]) -> dict[str, Any]:
    """For the report's stack: the libraries' own versions, what their code serves, and the least driver."""
    versions = {one.path.name: outcomes[one.path].version for one in found.libraries if one.path in outcomes}
    code = {
        _short(one, found): {"cubin": one.code.names(ptx=False), "ptx": one.code.names(ptx=True)}
        for one in found.libraries
        if one.code.containers
    }
    wholly, partly = served(found)
    runtime = runtime_of(outcomes)
    return {
        "cudart": runtime,
        "libraries": {name: version for name, version in sorted(versions.items()) if version},
        "waiting": {path.name: one.lacks for path, one in sorted(outcomes.items()) if one.lacks},
        "version_calls": {path.name: one.crashed for path, one in sorted(outcomes.items()) if one.crashed},
        "coverage": code,
        "served": {"wholly": wholly, "partly": partly, "unserved": fatbin.unserved(wholly + partly)},
        "least_driver": least_driver(runtime),
    }


def _short(library: Library, found: Survey) -> str:
    """The file's name; with its folder where two have one name."""
    alike = sum(one.path.name == library.path.name for one in found.libraries)
    return library.path.name if alike == 1 else str(library.path.relative_to(found.root))


# The fault


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


# Coverage and driver


def judge_coverage(found: Survey, gpus: Sequence[tuple[int, int]]) -> Result:
    """The framework has machine code, some GPU is served by all of it, and so is the GPU that is there."""
    own = own_libraries(found)
    wholly, partly = served(found)
    wrong = [f"{one.path.name}: {one.damage}" for one in found.libraries if one.damage]
    if not own:
        wrong.append("CUDA is promised, and the framework's libraries hold no code for any GPU")
    for major, minor in sorted(set(gpus)):
        if f"{major}.{minor}" not in wholly + partly:
            wrong.append(f"this GPU has compute capability {major}.{minor}, and the framework has no code for it")
    latest = max(wholly + partly, key=numbers, default="0")
    metrics = [
        metric("libraries", sum(bool(one.code.containers) for one in found.libraries), "1", ">="),
        metric("served", len(wholly), "1", ">="),
        metric("latest", latest),
        metric("partly", len(partly)),
    ]
    serves = ", ".join(wholly) or "none"
    remedy = f"Take a build of the framework that has code for the GPU; this one serves {serves}."
    return judge("static.coverage", wrong, metrics, remedy)


def own_libraries(found: Survey) -> list[Library]:
    """The framework's libraries with code in them. NVIDIA's are left out: they choose among their kernels themselves,
    keep some outside these sections, and have containers that are for one architecture by design.
    """
    return [one for one in found.libraries if one.code.containers and not one.nvidia]


def served(found: Survey) -> tuple[list[str], list[str]]:
    """The compute capabilities that all of the framework's containers have code for; those that a part has it for."""
    own = own_libraries(found)
    wholly, partly = [], []
    for major, minor in fatbin.CAPABILITIES:
        shares = [one.code.share(major, minor) for one in own]
        if shares and all(count == total for count, total in shares):
            wholly.append(f"{major}.{minor}")
        elif shares and all(count for count, _ in shares):
            partly.append(f"{major}.{minor}")
    return wholly, partly


def _gpu_capabilities(device: str) -> list[tuple[int, int]]:
    """Of the GPUs that nvidia-smi lists, if the plan declares one."""
    found = [re.search(r", (\d+)\.(\d+),", line) for line in host.describe(device)["gpu"]]
    return [(int(one.group(1)), int(one.group(2))) for one in found if one]


def judge_driver(outcomes: Mapping[Path, Outcome], running: Optional[str]) -> Result:
    """The least driver is known, and the running one, if there is one, is not older."""
    runtime = runtime_of(outcomes)
    least = least_driver(runtime)
    wrong = []
    if not runtime:
        wrong.append("there is no CUDA runtime that answers, so the least driver is unknown")
    elif not least:
        wrong.append(f"the least driver of CUDA {runtime} is not known to this suite")
    elif running and numbers(running) < numbers(least):
        wrong.append(f"the driver is {running}, and CUDA {runtime} needs {least} or later")
    metrics = [metric("cuda_major", int(runtime.split(".")[0]))] if runtime else []
    return judge("static.driver", wrong, metrics, "Install a later driver, or take an image of an older CUDA.")


def runtime_of(outcomes: Mapping[Path, Outcome]) -> str:
    """The CUDA runtime's own version; empty if none answered."""
    return max((one.version for path, one in outcomes.items() if path.name.startswith("libcudart.")), default="")


def least_driver(runtime: str) -> str:
    """The oldest driver that runs it; empty if that is not known."""
    major = runtime.split(".", maxsplit=1)[0]
    return LEAST_DRIVER.get(int(major), "") if major.isdigit() else ""


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, to be compared."""
    return tuple(int(one) for one in re.findall(r"\d+", version))


# Contract and packages


def _contract(found: Survey, bench: Bench) -> Result:
    folders = sorted({one.path.parent for one in found.libraries})
    driver = host.describe("gpu")["driver"]
    broken = contract.broken(contract.here(SUITE, driver, folders), bench.plan.labels, bench.plan.device)
    remedy = " ".join(dict.fromkeys(remedy for _, remedy in broken))
    return judge("static.contract", [what for what, _ in broken], (), remedy)


def _packages(found: Survey, bench: Bench) -> Result:
    own = [one for one in found.distributions if any(str(one.site) == path for path in sys.path)]
    wrong = [*packages.without_record(own), *packages.changed(own), *packages.unlisted(found)]
    wrong += [*imports.differences(bench.plan.packages, imports.installed()), *extra(bench.plan.packages)]
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=LONGEST,
    )
    wrong += packages.conflicts(pip.stdout.decode("utf-8", "replace"), pip.returncode)
    files = sum(len(one.files or ()) for one in own)
    metrics = [metric("packages", len(own), "1", ">="), metric("files", files, "1", ">=")]
    return judge("static.packages", wrong, metrics, REBUILD)


def extra(locked: Mapping[str, str]) -> list[str]:
    """What is installed and stands in no lock."""
    known = {imports.normal_name(name) for name in locked}
    return [
        "{} {} is installed, and not locked".format(name, " and ".join(sorted(versions)))
        for name, versions in sorted(imports.installed().items())
        if name not in known
    ]
