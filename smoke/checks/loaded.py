"""static.loaded: what a process that has trained has mapped, against the labels and the lock.

It is the last family of its process, so that all that was loaded for the others is seen. Before it looks, it imports
the packages beside the framework that have code of their own for CUDA (TorchVision, say): each checks by itself
whether it was made for this framework.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from smoke import reference
from smoke.checks.context import Context
from smoke.checks.static.closure import twice
from smoke.checks.static.judge import NO_CUDA, judge
from smoke.frameworks import Cannot, DeviceMissing
from smoke.installed import mapped, packages
from smoke.installed.cuda import numbers, same
from smoke.installed.survey import CUDA, DRIVER, Survey, survey
from smoke.report.result import Result, metric, not_run

REMEDY = "Let the locks bring one CUDA, the label's, and nothing beside it."


def run(_process: str, context: Context) -> Iterator[Result]:
    """The one result, where CUDA is promised."""
    label = context.plan.labels.get("cuda", "")
    if not label:
        yield not_run("static.loaded", "loaded", NO_CUDA)
        return
    try:
        context.framework.train_parity(dataclasses.replace(reference.problem(), steps=1), "f32", "")
    except (Cannot, DeviceMissing):
        raise
    except Exception as why:
        yield judge("static.loaded", [f"a training step raised {_said(why)}"], (), REMEDY, "loaded")
        return
    # Where there are backends, their frameworks are beside each other: that they are is seen with the first.
    first = context.backend in {"", *context.plan.backends[:1]}
    found = survey(Path(sys.prefix), code=first)
    failed = {module: import_error(module) for module in (companions(found, context.plan.module) if first else ())}
    told = {"described": context.stack(), "maps": mapped.versions_of(mapped.mapped()), "imports": failed}
    cuda = {Path(name).name: (said or [""])[0] for name, said in told["maps"].items() if _is_cuda(name)}
    context.facts["loaded"] = cuda
    yield judge_loaded(told, found, label, context.plan.packages)


def import_error(module: str) -> str:
    """What importing a module raises; empty if nothing."""
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as why:
        return _said(why)
    return ""


def _said(why: BaseException) -> str:
    return f"{type(why).__name__}: {why}"[:500]


def companions(found: Survey, module: str) -> list[str]:
    """The modules of the packages beside the framework that have libraries for CUDA of their own."""
    beside: set[str] = set()
    for owner in {one.owner for one in found.libraries if not one.nvidia}:
        files = owner.files or () if owner else ()
        inits = [Path(file.path).parent for file in files if file.path.endswith("/__init__.py")]
        modules = {one.name for one in inits if owner and one.parent == owner.site}
        beside |= set() if module in modules else modules
    return sorted(beside)


def judge_loaded(told: Mapping[str, Any], found: Survey, label: str, locked: Mapping[str, str]) -> Result:
    """What is mapped after a training step is of one CUDA, from one place each, and from locked packages."""
    cuda = {Path(name): said or ["", ""] for name, said in told["maps"].items() if _is_cuda(name)}
    wrong = list(twice((path, path.name) for path in cuda))
    for path, (version, major) in sorted(cuda.items()):
        wrong += _misplaced(path, found, locked)
        if major and major.split(".", maxsplit=1)[0] != label.split(".", maxsplit=1)[0]:
            wrong.append(f"{path.name} is of CUDA {major}, and CUDA {label} is promised")
        if path.name.startswith("libcudart.") and version and not same(version, label):
            wrong.append(f"the CUDA runtime that is loaded is {version}, and CUDA {label} is promised")
    described = told["described"] or {}
    built = str(described.get("cuda") or "")
    wrong += _built(built, str(described.get("cuda_oldest") or built), label)
    wrong += _cudnn(str(described.get("cudnn_oldest") or ""), cuda)
    if not built and not cuda:
        wrong.append(
            "CUDA is promised; the framework has loaded none of it, and does not say that it was built for it"
        )
    wrong += [f"import {module} raised {why}" for module, why in sorted(told["imports"].items()) if why]
    metrics = [metric("loaded", len(cuda)), metric("imported_beside", len(told["imports"]))]
    return judge("static.loaded", wrong, metrics, REMEDY, "loaded")


def _built(built: str, oldest: str, label: str) -> list[str]:
    """A framework runs on the major of CUDA that it was built for, from that minor on or the oldest that it names."""
    if not built or (numbers(built)[:1] == numbers(label)[:1] and numbers(oldest)[:2] <= numbers(label)[:2]):
        return []
    named = f", and runs from {oldest} on" if oldest != built else ""
    return [f"the framework was built for CUDA {built}{named}, and CUDA {label} is promised"]


def _cudnn(oldest: str, cuda: Mapping[Path, Sequence[str]]) -> Iterator[str]:
    """The cuDNN that is loaded is not older than the oldest that the framework names."""
    for path, (version, _) in sorted(cuda.items()):
        if oldest and path.name.startswith("libcudnn.") and numbers(version)[:3] < numbers(oldest)[:3]:
            yield f"cuDNN {version or 'of no version'} is loaded, and the framework asks for {oldest} or later"


def _misplaced(path: Path, found: Survey, locked: Mapping[str, str]) -> list[str]:
    """A CUDA library that no locked package brought, or one of another version."""
    if DRIVER.match(path.name):
        return []  # the driver's come from the host
    owners = {library.owner for library in found.libraries if library.path == path.resolve() or library.path == path}
    if not owners or None in owners:
        return [f"{path} is loaded, and no package brought it"]
    pins = {packages.normal_name(name): packages.normal_version(version) for name, version in locked.items()}
    wrong = []
    for one in owners:
        pin = pins.get(packages.normal_name(one.name), "none") if one else "none"
        if one and pin != packages.normal_version(one.version):
            wrong.append(f"{path.name} is loaded from {one.name} {one.version}, and {pin} is locked")
    return wrong


def _is_cuda(path: str) -> bool:
    return bool(CUDA.match(Path(path).name))
