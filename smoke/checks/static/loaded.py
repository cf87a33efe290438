"""static.loaded: what a process that has trained has loaded is of one CUDA, the label's, and was locked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from smoke.checks.static.closure import twice
from smoke.checks.static.judge import judge
from smoke.installed.cuda import DRIVER, numbers, same
from smoke.installed.facts import Loaded, Mapped, Survey
from smoke.installed.names import normal_name, normal_version
from smoke.report.result import Result, metric

REMEDY = "Let the locks bring one CUDA, the label's, and nothing beside it."


def judge_failed_training(why: str) -> Result:
    """Without a training step nothing is loaded that could be judged; ``why`` is what it raised."""
    return judge("static.loaded", [f"a training step raised {why}"], (), REMEDY, "loaded")


def judge_loaded(loaded: Loaded, label: str, locked: Mapping[str, str]) -> Result:
    """What is mapped after a training step is of one CUDA, from one place each, and from locked packages."""
    libraries = sorted(loaded.libraries)
    wrong = list(twice((library.path.name, library.path.name, library.real) for library in libraries))
    for library in libraries:
        name, version, cuda = library.path.name, library.version, library.cuda
        wrong += _misplaced(library, loaded.survey, locked)
        if cuda and cuda.split(".", maxsplit=1)[0] != label.split(".", maxsplit=1)[0]:
            wrong.append(f"{name} is of CUDA {cuda}, and CUDA {label} is promised")
        if name.startswith("libcudart.") and version and not same(version, label):
            wrong.append(f"the CUDA runtime that is loaded is {version}, and CUDA {label} is promised")
    built = str(loaded.described.get("cuda") or "")
    wrong += _built(built, str(loaded.described.get("cuda_oldest") or built), label)
    wrong += _cudnn(str(loaded.described.get("cudnn_oldest") or ""), libraries)
    if not built and not libraries:
        wrong.append(
            "CUDA is promised; the framework has loaded none of it, and does not say that it was built for it"
        )
    wrong += [f"import {module} raised {why}" for module, why in sorted(loaded.imports.items()) if why]
    metrics = [metric("loaded", len(libraries)), metric("imported_beside", len(loaded.imports))]
    return judge("static.loaded", wrong, metrics, REMEDY, "loaded")


def _built(built: str, oldest: str, label: str) -> list[str]:
    """A framework runs on the major of CUDA that it was built for, from that minor on or the oldest that it names."""
    if not built or (numbers(built)[:1] == numbers(label)[:1] and numbers(oldest)[:2] <= numbers(label)[:2]):
        return []
    named = f", and runs from {oldest} on" if oldest != built else ""
    return [f"the framework was built for CUDA {built}{named}, and CUDA {label} is promised"]


def _cudnn(oldest: str, libraries: Iterable[Mapped]) -> Iterator[str]:
    """The cuDNN that is loaded is not older than the oldest that the framework names."""
    for library in libraries:
        version = library.version
        if oldest and library.path.name.startswith("libcudnn.") and numbers(version)[:3] < numbers(oldest)[:3]:
            yield f"cuDNN {version or 'of no version'} is loaded, and the framework asks for {oldest} or later"


def _misplaced(mapped: Mapped, survey: Survey, locked: Mapping[str, str]) -> list[str]:
    """A CUDA library that no locked package brought, or one of another version."""
    if DRIVER.match(mapped.path.name):
        return []  # the driver's come from the host
    owners = {library.owner for library in survey.libraries if library.path in (mapped.real, mapped.path)}
    if not owners or None in owners:
        return [f"{mapped.path} is loaded, and no package brought it"]
    pins = {normal_name(name): normal_version(version) for name, version in locked.items()}
    wrong = []
    for owner in owners:
        pin = pins.get(normal_name(owner.name), "none") if owner else "none"
        if owner and pin != normal_version(owner.version):
            wrong.append(f"{mapped.path.name} is loaded from {owner.name} {owner.version}, and {pin} is locked")
    return wrong
