"""static.packages: what was locked is installed, and every file is as it was installed.

In an image that was derived from ours, packages may be added to what was locked: they are counted and named. Whether
there may be any is for the host to say, who knows which image it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from smoke.checks.static.judge import REBUILD, judge
from smoke.installed.facts import Distribution, Packages, Pip
from smoke.installed.names import normal_name, normal_version
from smoke.report.result import Result, metric

ADDED = "Add packages that leave the image's own as they are; leave out, or pin, what is named."


def judge_packages(packages: Packages, locked: Mapping[str, str]) -> Result:
    """Every installed file is as its RECORD says, and every package is as it was locked, or was added to these."""
    own, more = packages.distributions, added(packages, locked)
    wrong = [*without_record(own), *packages.changed, *packages.unlisted, *starters(own, locked)]
    wrong += [*differences(locked, packages.versions), *shadowing(packages, locked), *conflicts(packages.pip)]
    files = sum(len(distribution.files or ()) for distribution in own)
    counts = [metric("packages", len(own), "1", ">="), metric("files", files, "1", ">="), metric("added", len(more))]
    return judge("static.packages", wrong, counts, ADDED if more else REBUILD)


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


def added(packages: Packages, locked: Mapping[str, str]) -> dict[str, str]:
    """What is installed and stands in no lock, with its version, and its folder if it lies beside the environment."""
    known = {normal_name(name) for name in locked}
    return {
        name: " and ".join(sorted(versions)) + (f", in {packages.outside[name]}" if name in packages.outside else "")
        for name, versions in sorted(packages.versions.items())
        if name not in known
    }


def shadowing(packages: Packages, locked: Mapping[str, str]) -> list[str]:
    """What is locked and lies beside the environment too, where Python may find it first."""
    known = {normal_name(name) for name in locked}
    return [
        f"{name} is locked, and lies in {folder} too"
        for name, folder in sorted(packages.outside.items())
        if name in known
    ]


def starters(distributions: Iterable[Distribution], locked: Mapping[str, str]) -> list[str]:
    """The files of what was added that run in each Python, this one too, before anything is imported."""
    known = {normal_name(name) for name in locked}
    return [
        f"{file.path} was added by {each.name}, and runs whenever Python starts"
        for each in distributions
        if normal_name(each.name) not in known
        for file in each.files or ()
        if runs_at_start(file.path, str(each.site))
    ]


def runs_at_start(path: str, site: str) -> bool:
    """True for what Python's ``site`` runs: .pth files, and the modules that are meant for it."""
    if not path.startswith(site + "/"):
        return False
    top = path[len(site) + 1 :].split("/", maxsplit=1)
    stem = top[0].split(".", maxsplit=1)[0]
    return stem in ("sitecustomize", "usercustomize") or (len(top) == 1 and top[0].endswith(".pth"))


def conflicts(pip: Pip) -> list[str]:
    """What ``pip check`` found: its lines, if it ended with anything but success."""
    if pip.code == 0:
        return []
    return [line for line in pip.text.splitlines() if line.strip()] or ["it said nothing"]
