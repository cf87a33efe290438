"""static.packages and static.contract: what is installed is what was locked, and the image keeps its promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from smoke import SUITE
from smoke.checks.context import Context
from smoke.checks.static.judge import REBUILD, judge
from smoke.installed import contract, packages
from smoke.installed.survey import Survey
from smoke.machine import host
from smoke.report.result import Result, metric

LONGEST = 240  # seconds for a process that this check starts


def judge_contract(found: Survey, context: Context) -> Result:
    """The image keeps the promises of ``smoke.installed.contract``."""
    folders = sorted({one.path.parent for one in found.libraries})
    driver = host.describe("gpu")["driver"]
    broken = contract.broken(contract.here(SUITE, driver, folders), context.plan.labels, context.plan.device)
    remedy = " ".join(dict.fromkeys(remedy for _, remedy in broken))
    return judge("static.contract", [what for what, _ in broken], (), remedy)


def judge_packages(found: Survey, context: Context) -> Result:
    """Every installed file is as its RECORD says, and every package is as it was locked."""
    own = [one for one in found.distributions if any(str(one.site) == path for path in sys.path)]
    wrong = [*packages.without_record(own), *packages.changed(own), *packages.unlisted(found)]
    wrong += [*packages.differences(context.plan.packages, packages.installed()), *extra(context.plan.packages)]
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
    known = {packages.normal_name(name) for name in locked}
    return [
        "{} {} is installed, and not locked".format(name, " and ".join(sorted(versions)))
        for name, versions in sorted(packages.installed().items())
        if name not in known
    ]
