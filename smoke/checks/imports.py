"""imports: the framework imports, and what is installed is what the lock says, version for version."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata

from smoke.bench import Bench
from smoke.report import Result, judged, metric

REBUILD = "Build the image again from its lock."


def run(_process: str, bench: Bench) -> Iterator[Result]:
    """The versions first: they are what explains an import that fails."""
    differing = differences(bench.plan.packages, installed())
    yield _counted("imports.packages", differing)
    labels = bench.plan.labels
    if "python" in labels:
        yield judged(
            "imports.python",
            "imports",
            [metric("wrong", int(not is_python(labels["python"])), "0")],
            requested=labels["python"],
            observed=labels["python"] if is_python(labels["python"]) else platform.python_version(),
            remedy="Correct the label python, or the base image.",
        )
    yield _framework(bench)


def _framework(bench: Bench) -> Result:
    try:
        bench.load()
    except (Exception, SystemExit) as why:
        reason = f"import {bench.plan.module} raised {type(why).__name__}: {why}"
        return Result("imports.framework", "imports", "fail", reason[-2000:], REBUILD)
    return judged("imports.framework", "imports", [metric("import_seconds", bench.notes["import_seconds"])])


def _counted(check_id: str, wrong: list[str]) -> Result:
    result = judged(check_id, "imports", [metric("wrong", len(wrong), "0")], remedy=REBUILD)
    return dataclasses.replace(result, reason="; ".join(wrong))


def differences(locked: Mapping[str, str], found: Mapping[str, set[str]]) -> list[str]:
    """What of the lock is missing or of another version, each named with both versions."""
    wrong = []
    for name, version in sorted(locked.items()):
        versions = found.get(normal_name(name), set())
        if not versions:
            wrong.append(f"{name} {version} is locked and not installed")
        elif {normal_version(one) for one in versions} != {normal_version(version)}:
            wrong.append("{} {} is locked, {} is installed".format(name, version, " and ".join(sorted(versions))))
    return wrong


def installed() -> dict[str, set[str]]:
    """Every installed distribution's versions; two of one name are both kept, since that is a fault of its own."""
    found: dict[str, set[str]] = {}
    for one in metadata.distributions():
        name = one.metadata["Name"]
        if name:  # a folder left over by a broken uninstall has none
            found.setdefault(normal_name(name), set()).add(one.version)
    return found


def normal_name(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return name.lower().replace("_", "-").replace(".", "-")


def normal_version(version: str) -> str:
    """A version without leading zeros, which locks drop and metadata keep (2026.07.04 and 2026.7.4 are one)."""
    parts = version.lower().split(".")
    return ".".join(str(int(one)) if one.isdigit() else one for one in parts)


def is_python(label: str) -> bool:
    """True if this Python's version begins with the label's parts: 3.1 does not promise 3.13."""
    wanted, have = label.split("."), platform.python_version().split(".")
    return have[: len(wanted)] == wanted
