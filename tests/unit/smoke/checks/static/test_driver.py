"""static.driver: the least driver of a runtime, and the one that runs."""

from __future__ import annotations

import pytest

from smoke.checks.static.driver import judge_driver
from smoke.installed.cuda import least_driver


@pytest.mark.parametrize(
    ("runtime", "least"), [("11.8", "450.80.02"), ("12.9", "525.60.13"), ("13.2", "580"), ("14.0", ""), ("", "")]
)
def test_the_least_driver_comes_from_the_runtime_s_major(runtime: str, least: str) -> None:
    assert least_driver(runtime) == least
    assert judge_driver(runtime, None).state == ("pass" if least else "fail")


def test_an_old_driver_fails() -> None:
    assert judge_driver("13.2", "580.65.06").state == "pass"
    assert "the driver is 575.57.08, and CUDA 13.2 needs 580" in judge_driver("13.2", "575.57.08").reason
