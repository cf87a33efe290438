"""static.loaded: what a process that has trained has loaded, on made-up environments."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from smoke.checks import loaded as check
from smoke.checks.loaded import companions
from smoke.checks.static.loaded import judge_loaded
from smoke.installed.facts import Loaded, Mapped
from smoke.installed.survey import survey
from tests.unit.smoke.environment import Environment, library

LOCKED = {"nvidia-cuda-runtime": "13.2.86", "nvidia-cudnn-cu13": "9.26.0.51", "framework": "1.0"}


def mapped(env: Environment, **more: tuple[str, str]) -> tuple[Mapped, ...]:
    """The CUDA runtime, and libraries by their paths, with the version that each answers and its CUDA."""
    libraries = {str(env.site / "nvidia/cu13/lib/libcudart.so.13"): ("13.2", "13.2"), **more}
    return tuple(Mapped(Path(path), Path(path).resolve(), *answers) for path, answers in libraries.items())


def loaded(env: Environment, cuda: str = "13.2", **more: tuple[str, str]) -> Loaded:
    return Loaded(mapped(env, **more), survey(env.site), {"cuda": cuda}, {})


def test_what_is_loaded_is_as_the_lock_and_the_label_say(env: Environment) -> None:
    right = loaded(env)
    assert judge_loaded(right, "13.2", LOCKED).state == "pass"
    assert judge_loaded(loaded(env, cuda="13.0"), "13.2", LOCKED).state == "pass"
    for label in ("13.1", "12.9", "13.3"):
        assert judge_loaded(right, label, LOCKED).state == "fail"
    assert "built for CUDA 12.8" in judge_loaded(loaded(env, cuda="12.8"), "13.2", LOCKED).reason
    other = {**LOCKED, "nvidia-cuda-runtime": "13.2.85"}
    assert "and 13.2.85 is locked" in judge_loaded(right, "13.2", other).reason


def test_a_promise_of_cuda_of_which_nothing_is_loaded_fails(env: Environment) -> None:
    nothing = Loaded((), survey(env.site), {}, {})
    assert "the framework has loaded none of it" in judge_loaded(nothing, "13.2", LOCKED).reason


def test_the_oldest_cuda_that_a_framework_names_counts(env: Environment) -> None:
    right = loaded(env)
    for built, oldest, state in (
        ("13.4", "13.4", "fail"),
        ("13.4", "13.1.9", "pass"),
        ("13.4", "13.3.1", "fail"),
        ("12.9", "12.1", "fail"),
    ):
        later = dataclasses.replace(right, described={"cuda": built, "cuda_oldest": oldest})
        assert judge_loaded(later, "13.2", LOCKED).state == state, (built, oldest)


@pytest.mark.parametrize(("oldest", "state"), [("9.26.0.51", "pass"), ("9.10.2.21", "pass"), ("9.27", "fail")])
def test_the_cudnn_that_is_loaded_is_not_too_old(env: Environment, oldest: str, state: str) -> None:
    right = loaded(env, **{str(env.site / "nvidia/cudnn/lib/libcudnn.so.9"): ("9.26.0", "13.2")})
    later = dataclasses.replace(right, described={"cuda": "13.0", "cudnn_oldest": oldest})
    assert judge_loaded(later, "13.2", LOCKED).state == state


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/elsewhere/libcudart.so.12", "libcudart comes from 2 places"),
        ("/usr/lib/libcublas.so.13", "no package brought it"),
    ],
)
def test_a_library_from_elsewhere_is_found(env: Environment, path: str, reason: str) -> None:
    result = judge_loaded(loaded(env, **{path: ("", "")}), "13.2", LOCKED)
    assert result.state == "fail"
    assert reason in result.reason


def test_the_driver_s_own_library_comes_from_the_host(env: Environment) -> None:
    with_driver = loaded(env, **{"/usr/lib/x86_64-linux-gnu/libcuda.so.1": ("", "")})
    assert judge_loaded(with_driver, "13.2", LOCKED).state == "pass"


def test_a_companion_that_cannot_be_imported_fails(env: Environment) -> None:
    failed = dataclasses.replace(loaded(env), imports={"torchaudio": "RuntimeError: CUDA 13.2 against 13.0"})
    assert "import torchaudio raised" in judge_loaded(failed, "13.2", LOCKED).reason


def test_a_training_step_that_raises_is_a_failure() -> None:
    def train_parity(*_: object) -> None:
        raise RuntimeError("NumPy is too new")

    plan = SimpleNamespace(labels={"cuda": "13.2"}, module="framework", packages={})
    context = SimpleNamespace(plan=plan, framework=SimpleNamespace(train_parity=train_parity))
    (result,) = check.run("main", context)
    assert (result.id, result.state) == ("static.loaded", "fail")
    assert "a training step raised RuntimeError: NumPy is too new" in result.reason
    plan.labels = {}
    (result,) = check.run("main", context)
    assert (result.id, result.state) == ("static.loaded", "not-run")


def test_what_is_mapped_is_judged_and_taken_down(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here CUDA's runtime, by a framework that does not say what it was built for."""
    monkeypatch.setattr(sys, "prefix", str(env.site))
    monkeypatch.setattr(check, "mapped_cuda", lambda: mapped(env))
    plan = SimpleNamespace(labels={"cuda": "13.2"}, module="framework", packages=LOCKED, backends=())
    framework = SimpleNamespace(train_parity=lambda *_: {})
    context = SimpleNamespace(plan=plan, framework=framework, backend="", facts={}, stack=lambda: None)
    (result,) = check.run("main", context)
    assert (result.id, result.family, result.state) == ("static.loaded", "loaded", "pass")
    assert context.facts == {"loaded": {"libcudart.so.13": "13.2"}}


def test_companions_are_packages_with_cuda_code_beside_the_framework(env: Environment) -> None:
    env.add("vision", "1", {"vision/__init__.py": b"", "vision/_C.so": library("", ("libcudart.so.13",))})
    env.add("pure", "1", {"pure/__init__.py": b""})
    assert companions(survey(env.site), "framework") == ["vision"]
