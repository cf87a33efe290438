"""static.closure on made-up environments: each wrong thing is found, and the library that is hidden is missed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from smoke.checks.static.closure import judge_closure, judge_hidden
from smoke.checks.static.coverage import judge_coverage, stack_of
from smoke.checks.static.driver import judge_driver
from smoke.installed.closure import gather_closure, hide_one
from smoke.installed.facts import Closure, Hidden, Outcome
from smoke.installed.survey import survey
from smoke.report.result import Result
from tests.unit.smoke.environment import Environment, library, planned

Loads = Callable[..., None]


def judge(env: Environment, loads: Loads, label: str = "13.2", device: str = "cpu", **changed: Outcome) -> Result:
    loads(**changed)
    return judge_closure(gather_closure(survey(env.site)), planned(label, device))


def metrics(result: Result) -> Mapping[str, str]:
    return {number.name: number.value for number in result.metrics}


def test_a_whole_environment_passes(env: Environment, loads: Loads) -> None:
    result = judge(env, loads)
    assert (result.state, result.reason) == ("pass", "")
    assert metrics(result)["libraries"] == "6"


def test_a_deleted_sub_library_is_named(env: Environment, loads: Loads) -> None:
    (env.site / "nvidia/cudnn/lib/libcudnn_engines_precompiled.so.9").unlink()
    result = judge(env, loads)
    assert result.state == "fail"
    assert (
        "libcudnn_engines_precompiled.so.9 belongs to nvidia-cudnn-cu13 9.26.0.51, and is not there" in result.reason
    )


def test_a_sub_library_that_the_text_names_is_missed_without_a_record_too(env: Environment, loads: Loads) -> None:
    path = env.site / "nvidia/cudnn/lib/libcudnn_graph.so.9"
    path.write_bytes(library("libcudnn_graph.so.9", text=b"\0libcudnn_ops.so\0libcudnn_heuristic.so\0"))
    assert judge(env, loads).reason == "libcudnn_graph.so.9 loads libcudnn_heuristic.so, which is not beside it"


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome("", False, "loading it ended the process with signal 6"), "libcudnn_ops.so.9: loading it ended"),
        (Outcome("", False, "libz.so.1: cannot open", lacks="libz.so.1"), "libz.so.1: cannot open"),
        (Outcome("", True, version="9.25.0"), "says that it is 9.25.0, its package is nvidia-cudnn-cu13 9.26.0.51"),
        (Outcome("", True, cuda="12.9"), "libcudnn_ops.so.9 is of CUDA 12, and CUDA 13.2 is promised"),
    ],
    ids=["abort", "lacks", "version", "major"],
)
def test_what_a_library_does_wrong_is_told(env: Environment, loads: Loads, outcome: Outcome, told: str) -> None:
    result = judge(env, loads, libcudnn_ops=outcome)
    assert result.state == "fail"
    assert told in result.reason
    assert result.remedy


def test_a_driver_may_be_absent_on_the_cpu_and_not_on_a_gpu(env: Environment, loads: Loads) -> None:
    lacks = Outcome("", False, "libcuda.so.1: cannot open", lacks="libcuda.so.1")
    env.add("other", "1", {"other/x.so": library("", ("libcuda.so.1", "libcudart.so.13"))})
    assert judge(env, loads, x=lacks).state == "pass"
    assert judge(env, loads, device="gpu", x=lacks).state == "fail"


def test_behind_a_missing_driver_nothing_else_may_be_missing(env: Environment, loads: Loads) -> None:
    lacks = Outcome("", False, "libcuda.so.1: cannot open", lacks="libcuda.so.1")
    env.add("other", "1", {"other/x.so": library("", ("libcuda.so.1", "libnowhere.so.7", "libcudart.so.13"))})
    assert "it needs libnowhere.so.7, which is nowhere" in judge(env, loads, x=lacks).reason


def test_another_label_is_a_lie(env: Environment, loads: Loads) -> None:
    assert "the CUDA runtime says that it is 13.2, and CUDA 13.1 is promised" in judge(env, loads, "13.1").reason
    assert "libcudart.so.13 is of CUDA 13, and CUDA 12.9 is promised" in judge(env, loads, "12.9").reason


def test_a_second_major_is_found_by_what_it_answers_and_by_its_package(env: Environment, loads: Loads) -> None:
    env.add("nvidia-cublas-cu12", "12.9.1", {"nvidia/cublas/lib/libcublas.so.12": library("libcublas.so.12")})
    assert "libcublas.so.12 is of CUDA 12, and CUDA 13.2 is promised" in judge(env, loads).reason


def test_a_library_in_two_places_is_found(env: Environment, loads: Loads) -> None:
    env.add("nvidia-double", "13.2", {"nvidia/double/lib/libcudart.so.13": library("libcudart.so.13")})
    assert "libcudart comes from 2 places" in judge(env, loads).reason


def test_a_cut_library_is_damage(env: Environment, loads: Loads) -> None:
    path = env.site / "nvidia/cudnn/lib/libcudnn_ops.so.9"
    path.write_bytes(path.read_bytes()[:200])
    assert "libcudnn_ops.so.9: " in judge(env, loads).reason


def test_a_promise_of_cuda_with_no_library_fails(tmp_path: Path, loads: Loads) -> None:
    env = Environment(tmp_path)
    env.add("framework", "1.0", {"framework/__init__.py": b""})
    closure = gather_closure(survey(env.site))
    result = judge_closure(closure, planned())
    assert result.state == "fail"
    assert "there is no CUDA runtime" in result.reason
    assert judge_coverage(closure.survey, []).state == "fail"
    assert judge_driver(closure.runtime, None).state == "fail"


CRASHED = Outcome("", True, crashed="cuptiGetVersion() ended the process with signal 11 (SIGSEGV)")


@pytest.mark.parametrize(
    ("uncalled", "state"),
    [({}, "fail"), ({"libcufile.so.0": "nothing asks it"}, "fail"), ({"libcupti.so.13": "nothing asks it"}, "pass")],
)
def test_a_version_call_that_crashes_is_a_failure_unless_nothing_makes_it(
    env: Environment, loads: Loads, uncalled: Mapping[str, str], state: str
) -> None:
    env.add("nvidia-cuda-cupti", "13.2.86", {"nvidia/cu13/lib/libcupti.so.13": library("libcupti.so.13")})
    loads(libcupti=CRASHED)
    closure = gather_closure(survey(env.site))
    result = judge_closure(closure, planned(uncalled=uncalled))
    assert result.state == state
    assert result.reason == ("" if state == "pass" else f"libcupti.so.13: {CRASHED.crashed}")
    assert metrics(result)["version_calls_crashed"] == "1"
    assert stack_of(closure)["version_calls"] == {"libcupti.so.13": CRASHED.crashed}


def test_cuda_11_s_runtime_is_of_the_version_of_its_package(tmp_path: Path, loads: Loads) -> None:
    """It does not tell its version without a driver."""
    env = Environment(tmp_path)
    files = {"nvidia/cuda_runtime/lib/libcudart.so.11.0": library("libcudart.so.11.0")}
    env.add("nvidia-cuda-runtime-cu11", "11.8.89", files)
    env.add("framework", "1.0", {"framework/lib.so": library("", ("libcudart.so.11.0",))})
    closure = gather_closure(survey(env.site))
    assert closure.runtime == "11.8"
    assert judge_closure(closure, planned("11.8")).state == "pass"
    assert "the CUDA runtime says" in judge_closure(closure, planned("11.7")).reason
    loads(libcudart=Outcome("", False))
    assert gather_closure(survey(env.site)).runtime == ""


# The library that is hidden on purpose


def hide(env: Environment, tmp_path: Path) -> Hidden:
    hidden = hide_one(survey(env.site), tmp_path / "view")
    assert hidden is not None
    return hidden


def test_the_fault_hides_the_library_that_nothing_is_linked_with(
    env: Environment, loads: Loads, tmp_path: Path
) -> None:
    hidden = hide(env, tmp_path)
    assert hidden.library == env.site / "nvidia/cudnn/lib/libcudnn_engines_precompiled.so.9"
    assert {library.path.name for library in hidden.view.survey.libraries} == {
        "libcudart.so.13",
        "libcudnn.so.9",
        "libcudnn_graph.so.9",
        "libcudnn_ops.so.9",
    }
    assert hidden.whole


def test_a_hidden_library_is_caught(env: Environment, loads: Loads, tmp_path: Path) -> None:
    fault = judge_hidden(hide(env, tmp_path), planned())
    assert (fault.id, fault.check, fault.state) == ("hidden-sublibrary", "static.closure", "fail")
    assert fault.reason.startswith("libcudnn_engines_precompiled.so.9 belongs to nvidia-cudnn-cu13")
    assert {number.name: number.value for number in fault.metrics}["wrong"] == "1"


def test_a_blind_check_does_not_catch_it(env: Environment, loads: Loads, tmp_path: Path) -> None:
    hidden = hide(env, tmp_path)
    blind: Closure = dataclasses.replace(hidden.view, missing=())
    assert judge_hidden(dataclasses.replace(hidden, view=blind), planned()).state != "fail"


def test_a_view_that_is_wrong_otherwise_proves_nothing(env: Environment, loads: Loads, tmp_path: Path) -> None:
    hidden = hide(env, tmp_path)
    assert judge_hidden(hidden, planned("13.1")).state == "error"
    assert judge_hidden(dataclasses.replace(hidden, whole=False), planned()).state == "error"


def test_a_view_is_not_whole_if_the_package_lacks_more_than_what_is_hidden(
    env: Environment, loads: Loads, tmp_path: Path
) -> None:
    found = survey(env.site)
    (env.site / "nvidia/cudnn/lib/libcudnn_ops.so.9").unlink()
    hidden = hide_one(found, tmp_path / "view")
    assert judge_hidden(hidden, planned()).state == "error"


def test_without_a_library_to_hide_the_fault_is_an_error(tmp_path: Path) -> None:
    hidden = hide_one(survey(Environment(tmp_path).site), tmp_path / "view")
    fault = judge_hidden(hidden, planned())
    assert (fault.state, fault.reason) == ("error", "there is no library to hide")
