"""The static checks on made-up environments: each wrong thing is found, and what is absent never passes."""

from __future__ import annotations

import _ctypes
import base64
import contextlib
import dataclasses
import hashlib
import py_compile
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoke.checks import loaded as loaded_check
from smoke.checks.loaded import companions, judge_loaded
from smoke.checks.static import closure, coverage, driver
from smoke.installed import contract, cuda, loading, mapped, packages, versions
from smoke.installed import survey as surveys
from smoke.installed.contract import Surroundings
from smoke.installed.fatbin import Code, Coverage
from smoke.installed.loading import Outcome
from smoke.installed.survey import Survey, survey
from smoke.plan import Plan
from smoke.report.result import Result
from tests.unit.smoke.test_elf import library

REAL = Path(_ctypes.__file__).read_bytes()


class Environment:
    """A folder that looks like site-packages."""

    def __init__(self, root: Path) -> None:
        self.site = root / "lib" / "site-packages"
        self.site.mkdir(parents=True)

    def add(self, name: str, version: str, files: Mapping[str, bytes]) -> None:
        lines = []
        for path, data in files.items():
            place = self.site / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(data)}")
        about = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        about.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (about / "METADATA").write_text(metadata)
        (about / "RECORD").write_text(
            "\n".join([*lines, f"{about.name}/METADATA,,", f"{about.name}/RECORD,,"]) + "\n"
        )


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    env = Environment(tmp_path)
    env.add("nvidia-cuda-runtime", "13.2.86", {"nvidia/cu13/lib/libcudart.so.13": library("libcudart.so.13")})
    parts = {name: library(f"libcudnn{name}.so.9") for name in ("", "_graph", "_ops", "_engines_precompiled")}
    files = {f"nvidia/cudnn/lib/libcudnn{name}.so.9": data for name, data in parts.items()}
    env.add("nvidia-cudnn-cu13", "9.26.0.51", files)
    env.add("framework", "1.0", {"framework/__init__.py": b"", "framework/lib.so": library("", ("libcudart.so.13",))})
    return env


def answers(found: Survey, **changed: Outcome) -> dict[Path, Outcome]:
    """What the libraries of the whole environment answer."""
    said = {"libcudart.so.13": ("13.2", "13.2"), "libcudnn.so.9": ("9.26.0", "13.4")}
    given = {
        one.path: Outcome(str(one.path), True, "", "", *said.get(one.path.name, ("", ""))) for one in found.libraries
    }
    return {path: changed.get(path.name.partition(".")[0], outcome) for path, outcome in given.items()}


def planned(label: str = "13.2", device: str = "cpu", uncalled: Mapping[str, str] | None = None) -> Plan:
    """A plan that promises this CUDA."""
    return Plan("small", device, "autograd", "autograd", (), {"cuda": label}, {}, 60, uncalled=uncalled or {})


def judge(env: Environment, label: str = "13.2", device: str = "cpu", **changed: Outcome) -> Result:
    found = survey(env.site)
    return closure.judge_closure(found, answers(found, **changed), planned(label, device))


def test_a_whole_environment_passes(env: Environment) -> None:
    result = judge(env)
    assert (result.state, result.reason) == ("pass", "")
    assert {one.name: one.value for one in result.metrics}["libraries"] == "6"


def test_a_deleted_sub_library_is_named(env: Environment) -> None:
    (env.site / "nvidia/cudnn/lib/libcudnn_engines_precompiled.so.9").unlink()
    result = judge(env)
    assert result.state == "fail"
    assert (
        "libcudnn_engines_precompiled.so.9 belongs to nvidia-cudnn-cu13 9.26.0.51, and is not there" in result.reason
    )


def test_a_sub_library_that_the_text_names_is_missed_without_a_record_too(env: Environment) -> None:
    path = env.site / "nvidia/cudnn/lib/libcudnn_graph.so.9"
    path.write_bytes(library("libcudnn_graph.so.9", text=b"\0libcudnn_ops.so\0libcudnn_heuristic.so\0"))
    assert surveys.named_within(path) == {"libcudnn_ops.so", "libcudnn_heuristic.so"}
    assert judge(env).reason == "libcudnn_graph.so.9 loads libcudnn_heuristic.so, which is not beside it"


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
def test_what_a_library_does_wrong_is_told(env: Environment, outcome: Outcome, told: str) -> None:
    result = judge(env, libcudnn_ops=outcome)
    assert result.state == "fail"
    assert told in result.reason
    assert result.remedy


def test_a_driver_may_be_absent_on_the_cpu_and_not_on_a_gpu(env: Environment) -> None:
    lacks = Outcome("", False, "libcuda.so.1: cannot open", lacks="libcuda.so.1")
    env.add("other", "1", {"other/x.so": library("", ("libcuda.so.1", "libcudart.so.13"))})
    assert judge(env, x=lacks).state == "pass"
    assert judge(env, device="gpu", x=lacks).state == "fail"


def test_behind_a_missing_driver_nothing_else_may_be_missing(env: Environment) -> None:
    lacks = Outcome("", False, "libcuda.so.1: cannot open", lacks="libcuda.so.1")
    env.add("other", "1", {"other/x.so": library("", ("libcuda.so.1", "libnowhere.so.7", "libcudart.so.13"))})
    assert "it needs libnowhere.so.7, which is nowhere" in judge(env, x=lacks).reason


def test_another_label_is_a_lie(env: Environment) -> None:
    assert "the CUDA runtime says that it is 13.2, and CUDA 13.1 is promised" in judge(env, "13.1").reason
    assert "libcudart.so.13 is of CUDA 13, and CUDA 12.9 is promised" in judge(env, "12.9").reason


def test_a_second_major_is_found_by_what_it_answers_and_by_its_package(env: Environment) -> None:
    env.add("nvidia-cublas-cu12", "12.9.1", {"nvidia/cublas/lib/libcublas.so.12": library("libcublas.so.12")})
    assert "libcublas.so.12 is of CUDA 12, and CUDA 13.2 is promised" in judge(env).reason


def test_a_library_in_two_places_is_found(env: Environment) -> None:
    env.add("nvidia-double", "13.2", {"nvidia/double/lib/libcudart.so.13": library("libcudart.so.13")})
    assert "libcudart comes from 2 places" in judge(env).reason


def test_a_promise_of_cuda_with_no_library_fails(tmp_path: Path) -> None:
    env = Environment(tmp_path)
    env.add("framework", "1.0", {"framework/__init__.py": b""})
    found = survey(env.site)
    closed = closure.judge_closure(found, {}, planned())
    assert closed.state == "fail"
    assert "there is no CUDA runtime" in closed.reason
    assert coverage.judge_coverage(found, []).state == "fail"
    assert driver.judge_driver({}, None).state == "fail"
    nothing = {"maps": {}, "described": {}, "imports": {}}
    assert judge_loaded(nothing, found, "13.2", {}).state == "fail"


def test_a_cut_library_is_damage(env: Environment) -> None:
    path = env.site / "nvidia/cudnn/lib/libcudnn_ops.so.9"
    path.write_bytes(path.read_bytes()[:200])
    assert "libcudnn_ops.so.9: " in judge(env).reason


# Loading


class Answers:
    """A library whose version calls answer with these numbers; it has no others."""

    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers

    def __getattr__(self, name: str) -> Callable[[], int]:
        if name not in self.numbers:
            raise AttributeError(name)
        return lambda: self.numbers[name]


@pytest.mark.parametrize("part", ["ops", "cnn", "adv"])
@pytest.mark.parametrize("half", ["infer", "train"])
def test_each_part_of_cudnn_8_is_asked_whether_it_fits(part: str, half: str) -> None:
    name = f"libcudnn_{part}_{half}.so.8"
    call = f"cudnn{part.title()}{half.title()}VersionCheck"
    assert versions.versions(name, Answers(**{call: 0})) == ("", "")
    with pytest.raises(versions.VersionRefused, match=f"{call} answers with the error 3"):
        versions.versions(name, Answers(**{call: 3}))


def test_libraries_are_loaded_each_in_its_own_process(tmp_path: Path) -> None:
    good, cut = tmp_path / "good.so", tmp_path / "cut.so"
    good.write_bytes(REAL)
    cut.write_bytes(REAL[:4096])
    found = {Path(one.path).name: one for one in loading.load_all([good, cut], {})}
    assert found["good.so"].loaded
    assert not found["cut.so"].loaded
    assert found["cut.so"].why


def test_an_abort_is_its_library_s_own_outcome(tmp_path: Path) -> None:
    (tmp_path / "0.said").write_text("Could not load library libcudnn_graph.so.9\n")
    outcome = loading._outcome("x.so", str(tmp_path / "0"), int(signal.SIGABRT))
    assert not outcome.loaded
    assert "signal 6 (SIGABRT): Could not load library" in outcome.why
    assert "no end" in loading._outcome("x.so", str(tmp_path / "0"), int(signal.SIGALRM)).why


CRASHES = """
int cuptiGetVersion(unsigned *version) { *(volatile int *)0 = 1; *version = 130200; return 0; }
"""


def compiled(source: str, path: Path) -> Path:
    """A shared library made of C."""
    made = subprocess.run(["gcc", "-shared", "-fPIC", "-o", path, "-xc", "-"], input=source.encode(), check=False)
    assert made.returncode == 0
    return path


def test_a_version_call_that_crashes_is_told_with_the_library_and_the_call(env: Environment, tmp_path: Path) -> None:
    cupti = compiled(CRASHES, tmp_path / "libcupti.so.13")
    (outcome,) = loading.load_all([cupti], {})
    assert outcome.loaded
    assert outcome.crashed == "cuptiGetVersion() ended the process with signal 11 (SIGSEGV)"
    env.add("nvidia-cuda-cupti", "13.2.86", {"nvidia/cu13/lib/libcupti.so.13": library("libcupti.so.13")})
    result = judge(env, libcupti=outcome)
    assert (result.state, result.reason) == ("fail", f"libcupti.so.13: {outcome.crashed}")


def test_one_that_nothing_makes_is_taken_down_and_no_failure(env: Environment) -> None:
    crashed = Outcome("", True, crashed="cuptiGetVersion() ended the process with signal 11 (SIGSEGV)")
    env.add("nvidia-cuda-cupti", "13.2.86", {"nvidia/cu13/lib/libcupti.so.13": library("libcupti.so.13")})
    found = survey(env.site)
    outcomes = answers(found, libcupti=crashed)
    result = closure.judge_closure(found, outcomes, planned(uncalled={"libcupti.so.13": "nothing asks it"}))
    assert result.state == "pass"
    assert {one.name: one.value for one in result.metrics}["version_calls_crashed"] == "1"
    assert coverage.facts(found, outcomes)["version_calls"] == {"libcupti.so.13": crashed.crashed}
    other = closure.judge_closure(found, outcomes, planned(uncalled={"libcufile.so.0": "nothing asks it"}))
    assert other.state == "fail"


def test_a_version_call_that_is_refused_is_a_failure(tmp_path: Path) -> None:
    refuses = "int cuptiGetVersion(unsigned *version) { *version = 0; return 999; }"
    (outcome,) = loading.load_all([compiled(refuses, tmp_path / "libcupti.so.13")], {})
    assert (outcome.loaded, outcome.why) == (False, "cuptiGetVersion answers with the error 999")


@pytest.mark.parametrize(("number", "version"), [(130101, "13.1"), (18, "")])
def test_cupti_names_its_cuda_from_13_on(number: int, version: str, tmp_path: Path) -> None:
    answers = f"int cuptiGetVersion(unsigned *version) {{ *version = {number}; return 0; }}"
    (outcome,) = loading.load_all([compiled(answers, tmp_path / "libcupti.so.13")], {})
    assert (outcome.loaded, outcome.version) == (True, version)


@pytest.mark.parametrize(
    ("read", "number", "version"),
    [
        (versions._cuda, 13020, "13.2"),
        (versions._cuda, 11080, "11.8"),
        (versions._cudnn, 92600, "9.26.0"),
        (versions._cudnn, 8906, "8.9.6"),
        (versions._nccl, 23007, "2.30.7"),
    ],
)
def test_versions_are_read_from_numbers(read: object, number: int, version: str) -> None:
    assert callable(read)
    assert read(number) == version


# The fault


def test_the_fault_hides_the_library_that_nothing_is_linked_with(env: Environment) -> None:
    owner, path = closure._victim(survey(env.site))
    assert owner is not None
    assert (owner.name, path.name) == ("nvidia-cudnn-cu13", "libcudnn_engines_precompiled.so.9")


def test_a_hidden_library_is_caught(env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closure, "load", answers)
    fault = closure.hidden(survey(env.site), tmp_path / "view", planned())
    assert (fault.id, fault.check, fault.state) == ("hidden-sublibrary", "static.closure", "fail")
    assert fault.reason.startswith("libcudnn_engines_precompiled.so.9 belongs to nvidia-cudnn-cu13")
    assert {one.name: one.value for one in fault.metrics}["wrong"] == "1"


def test_a_blind_check_does_not_catch_it(env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closure, "load", answers)
    monkeypatch.setattr(closure, "_absent", lambda found: ())
    assert closure.hidden(survey(env.site), tmp_path / "view", planned()).state != "fail"


def test_a_view_that_is_wrong_otherwise_proves_nothing(
    env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closure, "load", answers)
    assert closure.hidden(survey(env.site), tmp_path / "view", planned("13.1")).state == "error"


def test_without_a_library_to_hide_the_fault_is_an_error(tmp_path: Path) -> None:
    env = Environment(tmp_path)
    assert closure.hidden(survey(env.site), tmp_path / "view", planned()).state == "error"


# Coverage and driver


def covered(env: Environment, *containers: Code, nvidia: bool = False) -> Survey:
    found = survey(env.site)
    code = Coverage(tuple(frozenset({one}) for one in containers))
    changed = [dataclasses.replace(one, code=code) if one.nvidia == nvidia else one for one in found.libraries]
    return dataclasses.replace(found, libraries=tuple(changed))


def test_the_gpu_that_is_there_must_be_served(env: Environment) -> None:
    found = covered(env, Code(False, 8, 0))
    assert coverage.judge_coverage(found, []).state == "pass"
    assert coverage.judge_coverage(found, [(8, 6)]).state == "pass"
    assert "compute capability 9.0" in coverage.judge_coverage(found, [(9, 0)]).reason


def test_the_certificate_says_from_where_on_there_is_no_code(env: Environment) -> None:
    found = covered(env, Code(False, 8, 0))
    assert coverage.facts(found, {})["served"] == {
        "wholly": ["8.0", "8.6", "8.9"],
        "partly": [],
        "unserved": "no code for compute capability 9.0 and later",
    }
    latest = {one.name: one.value for one in coverage.judge_coverage(found, []).metrics}["latest"]
    assert latest == "8.9"


def test_nvidia_s_code_does_not_stand_in_for_the_framework_s(env: Environment) -> None:
    assert coverage.judge_coverage(covered(env, Code(True, 7, 0), nvidia=True), []).state == "fail"


def test_code_that_serves_no_gpu_wholly_fails(env: Environment) -> None:
    assert coverage.judge_coverage(covered(env, Code(False, 8, 0), Code(False, 9, 0)), []).state == "fail"


@pytest.mark.parametrize(
    ("runtime", "least"), [("11.8", "450.80.02"), ("12.9", "525.60.13"), ("13.2", "580"), ("14.0", ""), ("", "")]
)
def test_the_least_driver_comes_from_the_runtime_s_major(runtime: str, least: str) -> None:
    assert cuda.least_driver(runtime) == least
    outcomes = {Path("libcudart.so.13"): Outcome("", True, version=runtime)}
    assert driver.judge_driver(outcomes, None).state == ("pass" if least else "fail")


class Runtime:
    """CUDA's runtime, as far as it is asked for its version."""

    def __init__(self, status: int, version: int = 0) -> None:
        self.status, self.version = status, version

    def cudaRuntimeGetVersion(self, out: object) -> int:
        out._obj.value = self.version  # type: ignore[attr-defined]
        return self.status


def test_cuda_11_s_runtime_does_not_tell_its_version_without_a_driver() -> None:
    assert versions.versions("libcudart.so.11.0", Runtime(0, 11080)) == ("11.8", "11.8")
    assert versions.versions("libcudart.so.11.0", Runtime(35)) == ("", "")
    with pytest.raises(versions.VersionRefused, match="error 3"):
        versions.versions("libcudart.so.11.0", Runtime(3))


def test_then_its_package_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = Environment(tmp_path)
    files = {"nvidia/cuda_runtime/lib/libcudart.so.11.0": library("libcudart.so.11.0")}
    env.add("nvidia-cuda-runtime-cu11", "11.8.89", files)
    env.add("framework", "1.0", {"framework/lib.so": library("", ("libcudart.so.11.0",))})
    monkeypatch.setattr(loading, "load_all", lambda paths, _: [Outcome(str(path), True) for path in paths])
    found = survey(env.site)
    outcomes = closure.load(found)
    assert closure.runtime_of(outcomes) == "11.8"
    assert closure.judge_closure(found, outcomes, planned("11.8")).state == "pass"
    assert "the CUDA runtime says" in closure.judge_closure(found, outcomes, planned("11.7")).reason
    monkeypatch.setattr(loading, "load_all", lambda paths, _: [Outcome(str(path), False) for path in paths])
    assert closure.runtime_of(closure.load(found)) == ""


def test_an_old_driver_fails() -> None:
    outcomes = {Path("libcudart.so.13"): Outcome("", True, version="13.2", cuda="13.2")}
    assert driver.judge_driver(outcomes, "580.65.06").state == "pass"
    assert "the driver is 575.57.08, and CUDA 13.2 needs 580" in driver.judge_driver(outcomes, "575.57.08").reason


# What is loaded

LOCKED = {"nvidia-cuda-runtime": "13.2.86", "nvidia-cudnn-cu13": "9.26.0.51", "framework": "1.0"}


def told(env: Environment, cuda: str = "13.2", **more: list[str]) -> dict[str, object]:
    maps = {str(env.site / "nvidia/cu13/lib/libcudart.so.13"): ["13.2", "13.2"], "/usr/lib/libc.so.6": None, **more}
    return {"maps": maps, "described": {"cuda": cuda}, "imports": {}}


def test_what_is_loaded_is_as_the_lock_and_the_label_say(env: Environment) -> None:
    found = survey(env.site)
    assert judge_loaded(told(env), found, "13.2", LOCKED).state == "pass"
    assert judge_loaded(told(env, cuda="13.0"), found, "13.2", LOCKED).state == "pass"
    for label in ("13.1", "12.9", "13.3"):
        assert judge_loaded(told(env), found, label, LOCKED).state == "fail"
    assert "built for CUDA 12.8" in judge_loaded(told(env, cuda="12.8"), found, "13.2", LOCKED).reason
    other = {**LOCKED, "nvidia-cuda-runtime": "13.2.85"}
    assert "and 13.2.85 is locked" in judge_loaded(told(env), found, "13.2", other).reason


def test_the_oldest_cuda_that_a_framework_names_counts(env: Environment) -> None:
    found, later = survey(env.site), told(env)
    for built, oldest, state in (
        ("13.4", "13.4", "fail"),
        ("13.4", "13.1.9", "pass"),
        ("13.4", "13.3.1", "fail"),
        ("12.9", "12.1", "fail"),
    ):
        later["described"] = {"cuda": built, "cuda_oldest": oldest}
        assert judge_loaded(later, found, "13.2", LOCKED).state == state, (built, oldest)


@pytest.mark.parametrize(("oldest", "state"), [("9.26.0.51", "pass"), ("9.10.2.21", "pass"), ("9.27", "fail")])
def test_the_cudnn_that_is_loaded_is_not_too_old(env: Environment, oldest: str, state: str) -> None:
    later = told(env, **{str(env.site / "nvidia/cudnn/lib/libcudnn.so.9"): ["9.26.0", "13.2"]})
    later["described"] = {"cuda": "13.0", "cudnn_oldest": oldest}
    assert judge_loaded(later, survey(env.site), "13.2", LOCKED).state == state


def test_the_oldest_version_is_read_from_the_metadata(tmp_path, monkeypatch) -> None:
    lines = ["nvidia-cudnn-cu12<10.0,>=9.10.2.21; extra == 'with-cuda'", "nvidia-cudnn-cu12-more>=1", "jax==1"]
    monkeypatch.setattr(packages.metadata, "requires", lambda package: lines if package == "plugin" else None)
    assert packages.oldest("plugin", "nvidia-cudnn-cu12") == "9.10.2.21"
    assert (packages.oldest("plugin", "jax"), packages.oldest("other", "jax")) == ("", "")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/elsewhere/libcudart.so.12", "libcudart comes from 2 places"),
        ("/usr/lib/libcublas.so.13", "no package brought it"),
    ],
)
def test_a_library_from_elsewhere_is_found(env: Environment, path: str, reason: str) -> None:
    result = judge_loaded(told(env, **{path: ["", ""]}), survey(env.site), "13.2", LOCKED)
    assert result.state == "fail"
    assert reason in result.reason


def test_the_driver_s_own_library_comes_from_the_host(env: Environment) -> None:
    maps = told(env, **{"/usr/lib/x86_64-linux-gnu/libcuda.so.1": ["", ""]})
    assert judge_loaded(maps, survey(env.site), "13.2", LOCKED).state == "pass"


def test_a_companion_that_cannot_be_imported_fails(env: Environment) -> None:
    maps = {**told(env), "imports": {"torchaudio": "RuntimeError: CUDA 13.2 against 13.0"}}
    assert "import torchaudio raised" in judge_loaded(maps, survey(env.site), "13.2", LOCKED).reason


def test_a_training_step_that_raises_is_a_failure() -> None:
    def train_parity(*_: object) -> None:
        raise RuntimeError("NumPy is too new")

    plan = SimpleNamespace(labels={"cuda": "13.2"}, module="framework", packages={})
    context = SimpleNamespace(plan=plan, framework=SimpleNamespace(train_parity=train_parity))
    (result,) = loaded_check.run("main", context)
    assert (result.id, result.state) == ("static.loaded", "fail")
    assert "a training step raised RuntimeError: NumPy is too new" in result.reason
    plan.labels = {}
    (result,) = loaded_check.run("main", context)
    assert (result.id, result.state) == ("static.loaded", "not-run")


def test_companions_are_packages_with_cuda_code_beside_the_framework(env: Environment) -> None:
    env.add("vision", "1", {"vision/__init__.py": b"", "vision/_C.so": library("", ("libcudart.so.13",))})
    env.add("pure", "1", {"pure/__init__.py": b""})
    assert companions(survey(env.site), "framework") == ["vision"]


@given(st.lists(st.text(max_size=80), max_size=20))
def test_any_maps_file_gives_paths(lines: list[str]) -> None:
    assert all(path.startswith("/") for path in mapped.paths(lines))


def test_maps_lines_are_read() -> None:
    line = "7f00-7f01 r-xp 00000000 00:1c 17   /opt/a b/libcudart.so.13 (deleted)\n"
    plain = "7f00-7f01 r-xp 00000000 00:1c 17   /opt/a b/libcudart.so.13\n"
    assert mapped.paths([plain, "7f-8f rw-p 0 00:00 0 \n", "7f-8f rw-p 0 00:00 0 [heap]\n"]) == [
        "/opt/a b/libcudart.so.13"
    ]
    assert mapped.paths([line]) == ["/opt/a b/libcudart.so.13 (deleted)"]


# Contract


@pytest.fixture
def now(tmp_path: Path) -> Surroundings:
    environment = {
        "HOME": str(tmp_path),
        "USER": "someone",
        "PATH": "/opt/assay/bin:/opt/env/bin:/usr/bin",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    }
    folders = (tmp_path / "lib",)
    return Surroundings(environment, 12345, Path("/opt/env"), Path("/opt/assay/smoke"), (3, 13, 5), folders, None)


LABELS = {"python": "3.13", "cuda": "13.2"}


def test_a_kept_contract_has_nothing_broken(now: Surroundings) -> None:
    assert contract.broken(now, LABELS, "cpu") == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("HOME", "", "HOME is not set"),
        ("HOME", "/nowhere/at/all", "cannot be written to"),
        ("USER", "", "USER is not set"),
        ("PATH", "/usr/bin:/opt/env/bin", "PATH begins with /usr/bin"),
        ("PATH", "", "PATH begins with"),
        ("NVIDIA_VISIBLE_DEVICES", "", "NVIDIA_VISIBLE_DEVICES is not set"),
        ("NVIDIA_VISIBLE_DEVICES", "void", "NVIDIA_VISIBLE_DEVICES is void"),
        ("NVIDIA_DRIVER_CAPABILITIES", "utility", "NVIDIA_DRIVER_CAPABILITIES is utility"),
        ("NVIDIA_DRIVER_CAPABILITIES", "", "NVIDIA_DRIVER_CAPABILITIES is not set"),
    ],
)
def test_a_broken_promise_is_told_with_a_remedy(now: Surroundings, name: str, value: str, told: str) -> None:
    changed = dataclasses.replace(now, environment={**now.environment, name: value})
    ((wrong, remedy),) = contract.broken(changed, LABELS, "cpu")
    assert told in wrong
    assert remedy


def test_root_another_python_and_no_python_label_are_told(now: Surroundings) -> None:
    assert contract.broken(dataclasses.replace(now, uid=0), LABELS, "cpu")[0][0] == "it runs as root"
    assert contract.broken(now, {"python": "3.1"}, "cpu")[0][0] == "Python 3.1 is promised, 3.13.5 runs"
    assert contract.broken(now, {}, "cpu")[0][0] == "no Python is promised"


def test_a_stub_in_the_loader_s_way_is_told_and_a_driver_is_not(now: Surroundings) -> None:
    folder = now.loader_folders[0]
    folder.mkdir()
    (folder / "libcuda.so.1").write_bytes(b"stub")
    assert "is not the driver's" in contract.broken(now, LABELS, "cpu")[0][0]
    (folder / "libcuda.so.580.65.06").write_bytes(b"driver")
    (folder / "libcuda.so.1").unlink()
    (folder / "libcuda.so.1").symlink_to("libcuda.so.580.65.06")
    assert contract.broken(now, LABELS, "gpu") == []
    assert contract.broken(dataclasses.replace(now, driver="575.57.08"), LABELS, "gpu") != []


STUB = {**LABELS, "libcuda": "stub"}


@pytest.fixture
def stubbed(now: Surroundings) -> Surroundings:
    """A stub in the last folder, under another soname, and in no cache."""
    (folder,) = now.loader_folders
    folder.mkdir()
    (folder / "libcuda-stub.so").write_bytes(library("libcuda-stub.so"))
    (folder / "libcuda.so.1").symlink_to("libcuda-stub.so")
    return dataclasses.replace(now, last_folder=folder)


def test_a_declared_stub_that_yields_keeps_the_contract(stubbed: Surroundings) -> None:
    assert contract.broken(stubbed, STUB, "cpu") == []
    assert "is not the driver's" in contract.broken(stubbed, LABELS, "cpu")[0][0]


def test_a_declared_stub_must_be_there(now: Surroundings) -> None:
    assert contract.broken(now, STUB, "cpu")[0][0] == "a stub of libcuda is promised, and there is none"


@pytest.mark.parametrize("soname", ["libcuda.so.1", "libcuda.so", "", "no library"])
def test_a_stub_that_ldconfig_would_take_for_a_driver_does_not_yield(stubbed: Surroundings, soname: str) -> None:
    data = b"\x7fELF" if soname == "no library" else library(soname)
    (stubbed.last_folder / "libcuda-stub.so").write_bytes(data)
    assert "may be found before it" in contract.broken(stubbed, STUB, "cpu")[0][0]


def test_a_stub_elsewhere_or_in_the_cache_does_not_yield(stubbed: Surroundings, tmp_path: Path) -> None:
    stub = stubbed.last_folder / "libcuda.so.1"
    named = {**stubbed.environment, "LD_LIBRARY_PATH": f"/a:{stubbed.last_folder}"}
    for changed in (
        dataclasses.replace(stubbed, last_folder=tmp_path / "other"),
        dataclasses.replace(stubbed, cached=frozenset({stub})),
        dataclasses.replace(stubbed, environment=named),
    ):
        assert "may be found before it" in contract.broken(changed, STUB, "cpu")[0][0]


def test_beside_a_driver_the_stub_may_stay(stubbed: Surroundings, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    (first / "libcuda.so.580.65.06").write_bytes(b"driver")
    (first / "libcuda.so.1").symlink_to("libcuda.so.580.65.06")
    beside = dataclasses.replace(stubbed, loader_folders=(first, *stubbed.loader_folders), driver="580.65.06")
    assert contract.broken(beside, STUB, "gpu") == []


def test_the_loader_s_configuration_is_followed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.conf").write_text("/one # of them\n\n# /two\n")
    (tmp_path / "ld.so.conf").write_text("include d/*.conf\n/three\ninclude ld.so.conf\n")
    assert set(contract.configured(tmp_path / "ld.so.conf")) == {Path("/one"), Path("/three")}
    assert list(contract.configured(tmp_path / "none")) == []


# Packages


def test_every_change_after_installation_is_found(env: Environment) -> None:
    found = survey(env.site)
    assert packages.changed(found.distributions) == []
    assert packages.unlisted(found) == []
    path = env.site / "framework/lib.so"
    path.write_bytes(path.read_bytes().replace(b"libcudart.so.13", b"libcudart.so.12"))
    assert "is not as it was installed: its sha256 differs" in packages.changed(found.distributions)[0]
    path.write_bytes(b"")
    assert "has 0 bytes" in packages.changed(found.distributions)[0]
    path.unlink()
    assert "cannot be read: No such file" in packages.changed(found.distributions)[0]


def test_byte_code_from_a_wheel_may_be_made_anew_from_its_source_only(env: Environment) -> None:
    code = f"brings/__pycache__/it.{sys.implementation.cache_tag}.pyc"
    env.add("brings", "1", {"brings/it.py": b"x = 1\n", code: b"byte code of the wheel's own"})
    found, source = survey(env.site).distributions, env.site / "brings/it.py"
    assert packages.changed(found) == []
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert packages.changed(found) == []
    source.write_bytes(b"x = 2\n")
    assert [line.partition(" ")[0] for line in packages.changed(found)] == [str(source), str(env.site / code)][::-1]
    source.write_bytes(b"x = 1\n")
    (env.site / code).write_bytes(b"byte code of another make   ")
    assert "is not as it was installed" in packages.changed(found)[0]


def test_a_file_that_no_record_lists_is_found(env: Environment) -> None:
    (env.site / "sitecustomize.py").write_text("")
    (env.site / "_virtualenv.py").write_text("")
    assert packages.unlisted(survey(env.site)) == [str(env.site / "sitecustomize.py")]


def test_a_package_without_a_record_is_told(env: Environment) -> None:
    about = env.site / "framework-1.0.dist-info"
    (about / "RECORD").unlink()
    assert packages.without_record(survey(env.site).distributions) == ["framework has no RECORD"]
    (about / "RECORD").write_bytes(b"\xff\xfe")
    assert "framework " in packages.without_record(survey(env.site).distributions)[0]


def test_what_pip_says_counts_only_if_it_fails() -> None:
    assert packages.conflicts("No broken requirements found.\n", 0) == []
    assert packages.conflicts("a 1 requires b, which is not installed.\n", 1) == [
        "a 1 requires b, which is not installed."
    ]
    assert packages.conflicts("", 1) == ["it said nothing"]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_record_gives_lines_or_one_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("record")
    (folder / "RECORD").write_bytes(text.encode())
    with contextlib.suppress(ValueError):
        list(surveys.record(folder / "RECORD", folder))
    shutil.rmtree(folder)


def test_a_digest_of_an_unknown_kind_is_told(env: Environment) -> None:
    file = surveys.File(str(env.site / "framework/__init__.py"), "rot13=x", 0)
    assert "unknown kind" in packages.difference(file)
