"""The first lines as a user starts them: what goes wrong there is told, and nothing of the suite's is about them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from smoke import gates, plan
from smoke.checks import as_found, context
from smoke.checks.as_found import Ended
from smoke.checks.context import Context
from smoke.plan import Plan
from smoke.report import report, result

GATES = gates.load()["as_found"]
GOOD = {"sum": 3.0, "gradient": [2.0, 2.0, 2.0], "losses": [1.0, 0.5], "loaded": True, "device": "cpu:0"}
PLAN = {
    "schema": 1,
    "image": "small",
    "device": "cpu",
    "framework": {"name": "autograd", "module": "autograd"},
    "workloads": [],
    "labels": {},
    "packages": {"autograd": importlib.metadata.version("autograd")},
    "seconds_per_check": 120,
}


def judged(takes: str = "cpu", how: str = "", stderr: tuple[str, ...] = (), **changed: Any) -> result.Result:
    return as_found.judge(Ended(how, json.dumps({**GOOD, **changed}), stderr, 0.1), takes, ["a true .* line"], GATES)


def test_the_right_answer_passes() -> None:
    result = judged()
    assert (result.id, result.state, result.requested, result.observed) == ("as-found", "pass", "cpu", "cpu")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"sum": 2.0}, "the sum of three ones is 2.0"),
        ({"gradient": [1.0, 1.0, 1.0]}, "the gradient of x * x at three ones is [1.0, 1.0, 1.0]"),
        ({"gradient": None}, "the gradient of x * x"),
        ({"losses": [0.5, 0.5]}, "from 0.5 to 0.5"),
        ({"losses": [0.5, float("nan")]}, "from 0.5 to nan"),
        ({"losses": [float("nan"), 0.5]}, "from nan to 0.5"),
        ({"losses": ["a"]}, "from nan to nan"),
        ({"loaded": False}, "what was saved is not what was loaded"),
        ({"device": "cuda:0"}, "it computed on gpu, and cpu is what it takes by itself"),
        ({"device": "tpu"}, "it computed on no device that it names"),
    ],
)
def test_each_wrong_answer_is_told(changed: Mapping[str, Any], told: str) -> None:
    result = judged(**changed)
    assert result.state == "fail"
    assert told in result.reason
    assert result.remedy


def test_a_framework_that_takes_a_gpu_is_held_to_it() -> None:
    assert judged("gpu", device="/job:localhost/replica:0/task:0/device:GPU:0").state == "pass"
    assert judged("gpu").state == "fail"


def test_a_line_on_standard_error_must_be_in_the_list_and_whole() -> None:
    allowed = judged(stderr=("a true and unavoidable line",))
    metrics = {one.name: one.value for one in allowed.metrics}
    assert (allowed.state, metrics["lines"], metrics["unexpected_lines"]) == ("pass", "1", "0")
    refused = judged(stderr=("a true and unavoidable line", "and a true and unavoidable line, with more"))
    assert refused.state == "fail"
    assert refused.reason == "stderr: and a true and unavoidable line, with more"


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import os; os.kill(os.getpid(), 11)", "it was ended by signal 11 (SIGSEGV)"),
        ("import sys; sys.exit(3)", "it ended with exit code 3"),
        ("raise ValueError('odd')", "it ended with exit code 1; stderr: Traceback"),
        ("print('[1, 2]')", "its last line is no answer"),
        ("", "its last line is no answer"),
        ("import time; time.sleep(60)", "it came to no end within 2 s"),
    ],
)
def test_how_a_program_ends_is_told(tmp_path: Path, program: str, told: str) -> None:
    result = as_found.judge(as_found.started(program, tmp_path, 2), "cpu", [], GATES)
    assert result.state == "fail"
    assert told in result.reason


def test_a_flood_on_standard_error_is_bounded(tmp_path: Path) -> None:
    flood = f"import sys\nfor _ in range(9999): print('x' * {as_found.LONGEST_LINE + 1}, file=sys.stderr)"
    ended = as_found.started(flood, tmp_path, 60)
    assert len(ended.stderr) == as_found.MOST_LINES + 1
    assert {len(line) for line in ended.stderr[:-1]} == {as_found.LONGEST_LINE}
    assert ended.stderr[-1] == "and 4999 more lines", "which no list has"


# The whole suite


def smoke(folder: Path, *only: str, **variables: str) -> dict[str, Any]:
    """Runs a copy of the suite as `smoke` in an image does: no variable tells where it lies."""
    (folder / "plan.json").write_text(json.dumps(PLAN))
    start = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('smoke', run_name='__main__')"
    options = ("--plan", "plan.json", "--report", "report.json", "--only", *only)
    argv = [sys.executable, "-B", "-c", start, str(folder), *options]
    subprocess.run(argv, cwd=folder, env={**os.environ, **variables}, check=True, capture_output=True)
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(report.SUITE, tmp_path / "smoke", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def first_lines(copy: Path, more: str) -> None:
    """Puts lines before the program's first."""
    path = copy / "smoke/frameworks/autograd.py"
    text = path.read_text()
    assert 'FIRST_LINES = """\n' in text
    path.write_text(text.replace('FIRST_LINES = """\n', f'FIRST_LINES = """\n{more}\n'))


def test_as_it_is_it_passes_without_a_word(copy: Path) -> None:
    found = smoke(copy, "as-found")
    (result,) = found["results"]
    assert (result["id"], result["state"], result["observed"]) == ("as-found", "pass", "cpu")
    assert result["switches"] == []
    assert found["stack"]["as_found"] == {"": []}


def test_a_crash_in_the_first_lines_fails_the_run_and_the_rest_goes_on(copy: Path) -> None:
    first_lines(copy, "import ctypes; ctypes.string_at(0)")
    results = {one["id"]: one for one in smoke(copy, "as-found", "P0.gemm.f32")["results"]}
    assert results["as-found"]["state"] == "fail"
    assert "signal 11 (SIGSEGV)" in results["as-found"]["reason"]
    assert results["P0.gemm.f32"]["state"] == "pass"


def test_a_line_that_no_list_has_fails_the_run_and_is_in_the_report(copy: Path) -> None:
    first_lines(copy, "import sys; print('a false alarm', file=sys.stderr)")
    found = smoke(copy, "as-found")
    assert found["results"][0]["state"] == "fail"
    assert found["stack"]["as_found"] == {"": ["a false alarm"]}


WRITE = "import json, os, sys; open({path!r}, 'w').write(json.dumps([dict(os.environ), sorted(sys.modules)]))"


def test_the_first_lines_have_a_user_s_environment_and_a_training_process_what_it_says(copy: Path) -> None:
    """Nothing of the suite's is about the first lines; what is about the others stands in their results."""
    user, found, trained = (str(copy / name) for name in ("user.json", "found.json", "trained.json"))
    subprocess.run([sys.executable, "-c", WRITE.format(path=user)], env=dict(os.environ), check=True)
    first_lines(copy, WRITE.format(path=found))
    exact = copy / "smoke/checks/exact.py"
    exact.write_text(f"{exact.read_text()}\n{WRITE.format(path=trained)}\n")
    result = {one["id"]: one for one in smoke(copy, "as-found", "P0.gemm.f32")["results"]}["P0.gemm.f32"]
    (as_user, imported), (as_was_found, too), (as_trained, _) = (
        json.loads(Path(path).read_text()) for path in (user, found, trained)
    )
    assert as_was_found == as_user
    assert not [one for one in set(too) - set(imported) if one.startswith(("smoke", "numpy", "autograd"))]
    assert {name for name in {*as_user, *as_trained} if as_user.get(name) != as_trained.get(name)} == {
        one.partition("=")[0] for one in result["switches"] if "=" in one
    }
    assert set(result["switches"]) == {"TMPDIR=(an empty folder)", "faulthandler.enable()", "OMP_WAIT_POLICY=PASSIVE"}


# Switches


def switches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str, deterministic: bool, check_id: str
) -> tuple[str, ...]:
    monkeypatch.setattr(context, "declared", lambda _framework, _name: {
        "gpu": ("on a GPU",), "cpu": ("off a GPU",), "f32": ("exact",), "f32.two": ("of two",),
        "deterministic": ("the same",), "parity": ("of the family",), "other": ("other",),
    })  # fmt: skip
    monkeypatch.setenv("AUTOGRAD_BACKEND", "two")
    asked = Plan("small", device, "autograd", "autograd", (), {}, {}, 60)
    return Context(asked, tmp_path, deterministic).switches("parity", check_id)


def test_switches_are_said_for_what_they_are_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(context.host, "has_gpu_device", lambda: False)
    assert "off a GPU" not in switches(monkeypatch, tmp_path, "cpu", False, "device.cpu"), "there is no other device"
    on_the_cpu = (*context.ALWAYS, *context.SIDE_BY_SIDE, "of the family")
    assert switches(monkeypatch, tmp_path, "cpu", False, "P2.train.f32") == (*on_the_cpu, "exact", "of two")
    found = switches(monkeypatch, tmp_path, "gpu", True, "P2.train.f64")
    assert found == (*context.ALWAYS, "of the family", "on a GPU", "the same")
    monkeypatch.setattr(context.host, "has_gpu_device", lambda: True)
    assert switches(monkeypatch, tmp_path, "cpu", False, "P2.train.f64") == (*on_the_cpu, "off a GPU")


@pytest.mark.parametrize("name", plan.frameworks())
def test_each_framework_s_first_lines_are_a_program_that_imports_it_first(name: str) -> None:
    program = plan.declared(name, "FIRST_LINES")
    compile(program, name, "exec")
    imported = next(line for line in program.splitlines() if line.startswith(("import ", "from ")))
    standard = ("import pickle",)
    lines = [line for line in program.splitlines() if line.startswith(("import ", "from ")) and line not in standard]
    assert name in imported or name in lines[0] or name in lines[1]
    assert "smoke" not in program
    assert isinstance(plan.declared(name, "TAKES_GPU"), bool)


def test_a_path_of_the_machine_that_compiled_is_shown_by_its_last_part(tmp_path):
    there = tmp_path / "here.py"
    there.touch()
    program = f"import sys; print('[1] /build/x/src/base.cc:79: none, {there}:3, a/b c//d', file=sys.stderr)"
    ended = as_found.started(program, tmp_path, 20)
    assert ended.stderr == (f"[1] base.cc:79: none, {there}:3, a/b c//d",)
