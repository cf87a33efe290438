"""static.packages: what is installed is what was locked, and every file is as it was installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from smoke.checks.static.judge import REBUILD, judge
from smoke.installed.facts import Distribution, Packages, Pip
from smoke.installed.names import normal_name, normal_version
from smoke.report.result import Result, metric


def judge_packages(packages: Packages, locked: Mapping[str, str]) -> Result:
    """Every installed file is as its RECORD says, and every package is as it was locked."""
    own = packages.distributions
    wrong = [*without_record(own), *packages.changed, *packages.unlisted]
    wrong += [*differences(locked, packages.versions), *extra(locked, packages.versions), *conflicts(packages.pip)]
    files = sum(len(distribution.files or ()) for distribution in own)
    metrics = [metric("packages", len(own), "1", ">="), metric("files", files, "1", ">=")]
    return judge("static.packages", wrong, metrics, REBUILD)


def without_record(distributions: Iterable[Distribution]) -> list[str]:
    """The distributions whose files cannot be judged, each with the reason."""
    lacking = (distribution for distribution in distributions if distribution.files is None)
    return [f"{distribution.name} {distribution.damage or 'has no RECORD'}" for distribution in lacking]


def differences(locked: Mapping[str, str], installed: Mapping[str, set[str]]) -> list[str]:
    """What of the lock is missing or of another version, each named with both versions."""
    wrong = []
    for name, version in sorted(locked.items()):
        versions = installed.get(normal_name(name), set())
        if not versions:
            wrong.append(f"{name} {version} is locked and not installed")
        elif {normal_version(one) for one in versions} != {normal_version(version)}:
            wrong.append("{} {} is locked, {} is installed".format(name, version, " and ".join(sorted(versions))))
    return wrong


def extra(locked: Mapping[str, str], installed: Mapping[str, set[str]]) -> list[str]:
    """What is installed and stands in no lock."""
    known = {normal_name(name) for name in locked}
    return [
        "{} {} is installed, and not locked".format(name, " and ".join(sorted(versions)))
        for name, versions in sorted(installed.items())
        if name not in known
    ]


def conflicts(pip: Pip) -> list[str]:
    """What ``pip check`` found: its lines, if it ended with anything but success."""
    if pip.code == 0:
        return []
    return [line for line in pip.text.splitlines() if line.strip()] or ["it said nothing"]
