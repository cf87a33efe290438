"""The driver and the GPUs, as preflight judges them."""

from __future__ import annotations

import json

import pytest

from smoke.installed import coverage
from smoke.machine.driver import Driver, Gpu
from smoke.preflight import __main__ as command
from smoke.preflight import gpu
from smoke.preflight.finding import FAIL, OK, WARN, Promise

CUDA = Promise("torchy", "13.2", "gpu")
CPU = Promise("torchy", "13.2", "cpu")
GOOD = Driver("580.65.06", True, "580.65.06", (13, 2), (Gpu("NVIDIA H100", (9, 0)),))


@pytest.fixture(autouse=True)
def no_container(monkeypatch):
    """What the container was given takes its time, and is tested elsewhere."""
    monkeypatch.setattr(command, "container_findings", lambda *_given: [])


def test_a_driver_that_will_do_is_ok():
    found = gpu.judge_driver(CUDA, GOOD)
    assert (found.state, found.remedy) == (OK, "")
    assert found.facts == {"version": "580.65.06", "cuda": "13.2", "least": "580", "image_cuda": "13.2"}


@pytest.mark.parametrize(
    ("given_driver", "said"),
    [
        (Driver("550.54.14", True, "550.54.14", (12, 4)), "too old"),
        (Driver("", True, "", (12, 9)), "too old"),
        (Driver("470.1", True, ""), "too old"),
        (Driver(), "no NVIDIA driver"),
        (Driver("580.65.06"), "not in the container"),
    ],
)
def test_a_driver_that_will_not_do_says_what_to_do(given_driver, said):
    found = gpu.judge_driver(CUDA, given_driver)
    assert found.state == FAIL
    assert said in found.message
    assert found.remedy


def test_a_later_driver_serves_an_older_cuda():
    assert gpu.judge_driver(Promise("a", "11.8", "gpu"), GOOD).state == OK


def test_a_driver_without_a_version_is_not_taken_for_a_good_one():
    assert gpu.judge_driver(CUDA, Driver("unknown", True)).state == WARN


def test_no_gpu_that_nobody_asked_for_is_no_failure(machine, covered):
    found = {one.id: one for one in command.findings(CPU, machine, Driver(), covered)}
    assert found["gpu"].state == OK
    assert "not asked for" in found["gpu"].message
    assert FAIL not in [one.state for one in found.values()]


def test_a_useless_gpu_that_nobody_asked_for_is_a_warning(machine, covered):
    old = Driver("550.1", True, "550.1", (12, 4), (Gpu("NVIDIA V100", (7, 0)),))
    states = {one.id: one.state for one in command.findings(CPU, machine, old, covered)}
    assert (states["driver"], states["coverage"]) == (WARN, WARN)
    states = {one.id: one.state for one in command.findings(CUDA, machine, old, covered)}
    assert (states["driver"], states["coverage"]) == (FAIL, FAIL)


def test_a_gpu_asked_for_and_absent_is_a_failure(machine, covered):
    states = {one.id: one.state for one in command.findings(CUDA, machine, Driver(), covered)}
    assert (states["driver"], states["gpu"]) == (FAIL, FAIL)


def test_what_the_driver_refuses_is_told():
    found = gpu.judge_gpus(CUDA, Driver("", True, problem="cuInit answers 803: versions", gpus=(Gpu("A"),)))
    assert found.state == FAIL
    assert "803" in found.message
    assert "lists A" in found.message


def test_a_gpu_for_an_image_without_cuda_is_a_failure(machine, covered):
    found = next(command.findings(Promise("plain", "", "gpu"), machine, GOOD, covered))
    assert (found.state, found.message) == (FAIL, "the image promises no CUDA")


@pytest.mark.parametrize(("capability", "state"), [((9, 0), OK), ((8, 6), WARN), ((7, 5), FAIL), (None, OK)])
def test_coverage_is_judged_by_the_gpus_that_are_there(covered, capability, state):
    assert gpu.judge_coverage(Driver("", True, gpus=(Gpu("x", capability),)), covered).state == state


def test_a_framework_without_gpu_code_serves_none(tmp_path):
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps(coverage.describe(tmp_path, [])))
    found = gpu.judge_coverage(GOOD, path)
    assert found.state == FAIL
    assert "no code for GPUs" in found.message


@pytest.mark.parametrize("change", ["longer", "gone"])
def test_a_library_that_was_changed_makes_it_void(tmp_path, covered, change):
    library = tmp_path / "env/libtorch.so"
    library.unlink() if change == "gone" else library.write_bytes(b"y" * 101)
    found = gpu.judge_coverage(GOOD, covered)
    assert found.state == WARN
    assert "libtorch.so" in found.message
    assert "static.coverage" in found.remedy
