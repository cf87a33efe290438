"""imports: the framework imports, and what is installed is what the lock says, version for version."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterator

from smoke.checks.context import Context
from smoke.checks.static.packages import differences
from smoke.installed.packages import installed
from smoke.report.result import Result, judged, metric

REBUILD = "Build the image again from its lock."


def run(_process: str, context: Context) -> Iterator[Result]:
    """The versions first: they are what explains an import that fails."""
    differing = differences(context.plan.packages, installed())
    yield _counted("imports.packages", differing)
    labels = context.plan.labels
    if "python" in labels:
        yield judged(
            "imports.python",
            "imports",
            [metric("wrong", int(not is_python(labels["python"])), "0")],
            requested=labels["python"],
            observed=labels["python"] if is_python(labels["python"]) else platform.python_version(),
            remedy="Correct the label python, or the base image.",
        )
    yield _framework(context)


def _framework(context: Context) -> Result:
    try:
        context.load()
    except (Exception, SystemExit) as why:
        reason = f"import {context.plan.module} raised {type(why).__name__}: {why}"
        return Result("imports.framework", "imports", "fail", reason[-2000:], REBUILD)
    return judged("imports.framework", "imports", [metric("import_seconds", context.notes["import_seconds"])])


def _counted(check_id: str, wrong: list[str]) -> Result:
    result = judged(check_id, "imports", [metric("wrong", len(wrong), "0")], remedy=REBUILD)
    return dataclasses.replace(result, reason="; ".join(wrong))


def is_python(label: str) -> bool:
    """True if this Python's version begins with the label's parts: 3.1 does not promise 3.13."""
    wanted, have = label.split("."), platform.python_version().split(".")
    return have[: len(wanted)] == wanted
