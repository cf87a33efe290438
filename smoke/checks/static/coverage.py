"""static.coverage: which GPUs the framework has code for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smoke.checks.static.judge import judge
from smoke.installed.cuda import least_driver, numbers
from smoke.installed.facts import Closure, Library, Survey
from smoke.report.result import Result, metric


def judge_coverage(survey: Survey, gpus: Sequence[tuple[int, int]]) -> Result:
    """The framework has machine code, some GPU is served by all of it, and so is the GPU that is there."""
    served = survey.served
    wholly, partly = served.wholly(), served.partly()
    wrong = [f"{library.path.name}: {library.damage}" for library in survey.libraries if library.damage]
    if not served.libraries:
        wrong.append("CUDA is promised, and the framework's libraries hold no code for any GPU")
    for major, minor in sorted(set(gpus)):
        if f"{major}.{minor}" not in wholly + partly:
            wrong.append(f"this GPU has compute capability {major}.{minor}, and the framework has no code for it")
    latest = max(wholly + partly, key=numbers, default="0")
    metrics = [
        metric("libraries", sum(bool(library.code.containers) for library in survey.libraries), "1", ">="),
        metric("served", len(wholly), "1", ">="),
        metric("latest", latest),
        metric("partly", len(partly)),
    ]
    serves = ", ".join(wholly) or "none"
    remedy = f"Take a build of the framework that has code for the GPU; this one serves {serves}."
    return judge("static.coverage", wrong, metrics, remedy)


def stack_of(closure: Closure) -> dict[str, Any]:
    """For the report's stack: the libraries' own versions, what their code serves, and the least driver."""
    survey, outcomes = closure.survey, closure.outcomes
    versions = {one.path.name: outcomes[one.path].version for one in survey.libraries if one.path in outcomes}
    code = {
        _short(library, survey): {"cubin": library.code.names(ptx=False), "ptx": library.code.names(ptx=True)}
        for library in survey.libraries
        if library.code.containers
    }
    served = survey.served
    return {
        "cudart": closure.runtime,
        "libraries": {name: version for name, version in sorted(versions.items()) if version},
        "waiting": {path.name: outcome.lacks for path, outcome in sorted(outcomes.items()) if outcome.lacks},
        "version_calls": {path.name: one.crashed for path, one in sorted(outcomes.items()) if one.crashed},
        "coverage": code,
        "served": {"wholly": served.wholly(), "partly": served.partly(), "unserved": served.unserved()},
        "least_driver": least_driver(closure.runtime),
    }


def _short(library: Library, survey: Survey) -> str:
    """The file's name; with its folder where two have one name."""
    alike = sum(other.path.name == library.path.name for other in survey.libraries)
    return library.path.name if alike == 1 else str(library.path.relative_to(survey.root))
