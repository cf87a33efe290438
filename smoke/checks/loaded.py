"""static.loaded: what a process that has trained has mapped, against the labels and the lock.

It is the last family of its process, so that all that was loaded for the others is seen. Before it looks, it imports
the packages beside the framework that have code of their own for CUDA (TorchVision, say): each checks by itself
whether it was made for this framework.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from smoke import reference
from smoke.checks.context import Context
from smoke.checks.static.judge import NO_CUDA
from smoke.checks.static.loaded import judge_failed_training, judge_loaded
from smoke.frameworks import Cannot, DeviceMissing
from smoke.installed.facts import Loaded, Survey
from smoke.installed.mapped import mapped_cuda
from smoke.installed.survey import survey
from smoke.report.result import Result, not_run


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
        yield judge_failed_training(_shown(why))
        return
    # Where there are backends, their frameworks are beside each other: that they are is seen with the first.
    first = context.backend in {"", *context.plan.backends[:1]}
    found = survey(Path(sys.prefix), code=first)
    beside = companions(found, context.plan.module) if first else ()
    imports = {module: import_error(module) for module in beside}
    loaded = Loaded(mapped_cuda(), found, context.stack() or {}, imports)
    context.facts["loaded"] = {library.path.name: library.version for library in loaded.libraries}
    yield judge_loaded(loaded, label, context.plan.packages)


def import_error(module: str) -> str:
    """What importing a module raises; empty if nothing."""
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as why:
        return _shown(why)
    return ""


def _shown(why: BaseException) -> str:
    return f"{type(why).__name__}: {why}"[:500]


def companions(found: Survey, module: str) -> list[str]:
    """The modules of the packages beside the framework that have libraries for CUDA of their own."""
    beside: set[str] = set()
    for owner in {library.owner for library in found.libraries if not library.nvidia}:
        files = owner.files or () if owner else ()
        inits = [Path(file.path).parent for file in files if file.path.endswith("/__init__.py")]
        modules = {folder.name for folder in inits if owner and folder.parent == owner.site}
        beside |= set() if module in modules else modules
    return sorted(beside)
