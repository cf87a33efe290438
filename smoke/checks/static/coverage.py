"""static.coverage: which GPUs the framework has code for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smoke.checks.static.closure import runtime_of
from smoke.checks.static.judge import judge
from smoke.installed.coverage import Kept
from smoke.installed.cuda import least_driver, numbers
from smoke.installed.loading import Outcome
from smoke.installed.survey import Library, Survey, own_libraries
from smoke.machine import host
from smoke.report.result import Result, metric


def facts(found: Survey, outcomes: Mapping[Path, Outcome]) -> dict[str, Any]:
    """For the report's stack: the libraries' own versions, what their code serves, and the least driver."""
    versions = {one.path.name: outcomes[one.path].version for one in found.libraries if one.path in outcomes}
    code = {
        _short(one, found): {"cubin": one.code.names(ptx=False), "ptx": one.code.names(ptx=True)}
        for one in found.libraries
        if one.code.containers
    }
    kept = coverage_of(found)
    runtime = runtime_of(outcomes)
    return {
        "cudart": runtime,
        "libraries": {name: version for name, version in sorted(versions.items()) if version},
        "waiting": {path.name: one.lacks for path, one in sorted(outcomes.items()) if one.lacks},
        "version_calls": {path.name: one.crashed for path, one in sorted(outcomes.items()) if one.crashed},
        "coverage": code,
        "served": {"wholly": kept.served(), "partly": kept.served("partly"), "unserved": kept.unserved()},
        "least_driver": least_driver(runtime),
    }


def coverage_of(found: Survey) -> Kept:
    """What the framework's libraries have code for."""
    return Kept(tuple(one.code for one in own_libraries(found)))


def _short(library: Library, found: Survey) -> str:
    """The file's name; with its folder where two have one name."""
    alike = sum(one.path.name == library.path.name for one in found.libraries)
    return library.path.name if alike == 1 else str(library.path.relative_to(found.root))


def judge_coverage(found: Survey, gpus: Sequence[tuple[int, int]]) -> Result:
    """The framework has machine code, some GPU is served by all of it, and so is the GPU that is there."""
    kept = coverage_of(found)
    wholly, partly = kept.served(), kept.served("partly")
    wrong = [f"{one.path.name}: {one.damage}" for one in found.libraries if one.damage]
    if not kept.libraries:
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


def gpu_capabilities(device: str) -> list[tuple[int, int]]:
    """Of the GPUs that nvidia-smi lists, if the plan declares one."""
    found = [re.search(r", (\d+)\.(\d+),", line) for line in host.describe(device)["gpu"]]
    return [(int(one.group(1)), int(one.group(2))) for one in found if one]
