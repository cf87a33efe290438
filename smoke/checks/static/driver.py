"""static.driver: the driver that runs is new enough for the CUDA runtime."""

from __future__ import annotations

from typing import Optional

from smoke.checks.static.judge import judge
from smoke.installed.cuda import least_driver, numbers
from smoke.report.result import Result, metric


def judge_driver(runtime: str, running: Optional[str]) -> Result:
    """The least driver of the CUDA runtime is known, and the running driver, if there is one, is not older."""
    least = least_driver(runtime)
    wrong = []
    if not runtime:
        wrong.append("there is no CUDA runtime that answers, so the least driver is unknown")
    elif not least:
        wrong.append(f"the least driver of CUDA {runtime} is not known to this suite")
    elif running and numbers(running) < numbers(least):
        wrong.append(f"the driver is {running}, and CUDA {runtime} needs {least} or later")
    metrics = [metric("cuda_major", int(runtime.split(".", maxsplit=1)[0]))] if runtime else []
    return judge("static.driver", wrong, metrics, "Install a later driver, or take an image of an older CUDA.")
