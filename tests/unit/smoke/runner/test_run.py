"""The runner with a copy of the suite in which a check behaves badly."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys

import pytest

from smoke import SUITE, gates, suite
from smoke.__main__ import main
from smoke.plan import from_json
from smoke.report import report
from smoke.runner import run as running

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


@pytest.mark.parametrize(
    ("only", "families"),
    [
        (["P2"], {"parity"}),
        (["P2.train.f32"], {"parity"}),
        (["P"], {"exact", "precision", "parity", "faults", "determinism"}),
        (["digits.cnn", "cost"], {"digits", "cost"}),
        (["sequence"], set()),
        (["P22"], set()),
    ],
)
def test_only(only, families):
    assert {one.name for one in running.wanted(from_json(PLAN), only)} == families


def test_optional_families_are_run_if_the_plan_names_them():
    names = [one.name for one in running.wanted(from_json({**PLAN, "workloads": ["sequence"]}))]
    assert "sequence" in names
    assert "compile" not in names


def smoke(folder, plan, *options):
    """Runs the suite in ``folder``, as a process of its own, and returns it with the report that it wrote."""
    plan_file, report_file = folder / "plan.json", folder / "report.json"
    plan_file.write_text(json.dumps(plan))
    argv = [sys.executable, "-m", "smoke", "--plan", str(plan_file), "--report", str(report_file), *options]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done, json.loads(report_file.read_text())


@pytest.fixture
def copy(tmp_path):
    """The suite with nothing in it but what a certificate depends on: whatever is run here does without the rest."""
    for name in suite.files(SUITE, "autograd"):
        (tmp_path / "smoke" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SUITE / name, tmp_path / "smoke" / name)
    return tmp_path


def change(copy, name, before, after):
    path = copy / "smoke" / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def by_id(found):
    return {one["id"]: one for one in found["results"]}


def test_the_suite_as_it_is(copy):
    done, found = smoke(copy, PLAN, "--only", "imports", "P0", "P1", "P2", "P3", "P4", "checkpoint")
    assert {one["state"] for one in found["results"]} == {"pass", "not-run"}
    assert len(found["faults"]) == 5
    assert all(one["state"] == "fail" for one in found["faults"])
    assert found["stack"]["framework"] == "autograd " + PLAN["packages"]["autograd"]
    assert found["complete"] is False
    assert found["host"]["uid"] == os.getuid()
    assert "5 of 5 faults caught" in done.stdout


@pytest.fixture
def of_two(copy):
    """The suite with a framework that has two backends; one of them crashes in P1."""
    told = '"backend": __import__("os").environ["AUTOGRAD_BACKEND"], "version": '
    change(copy, "frameworks/autograd.py", '"version": ', told)
    loop = "    for precision in PRECISIONS:\n"
    crash = "    import os\n    if os.environ['AUTOGRAD_BACKEND'] == 'two':\n        os._exit(7)\n"
    change(copy, "checks/precision.py", loop, crash + loop)
    return copy


TWO = {**PLAN, "framework": {**PLAN["framework"], "backends": ["one", "two"]}}


def test_a_backend_that_crashes_is_an_error_and_no_other_pays_for_it(of_two):
    _, found = smoke(of_two, TWO, "--only", "P1", "checkpoint")
    results = by_id(found)
    assert results["P1.matmul.f32.one"]["state"] == "pass"
    assert results["P1.two"]["state"] == "error"
    assert [one for one in results if one.startswith("P1")][-1] == "P1.two"
    assert {results[f"checkpoint.f32.{backend}"]["state"] for backend in ("one", "two")} == {"pass"}
    told = {name: about["backend"] for name, about in found["stack"]["backends"].items()}
    assert told == {"one": "one", "two": "two"}
    assert found["stack"]["framework"].startswith("autograd ")


def test_what_is_of_no_backend_is_run_once(of_two):
    # The suite's own folder for this environment, which takes seconds to be read.
    change(of_two, "checks/static/__init__.py", "Path(sys.prefix)", "SUITE")
    change(of_two, "checks/static/__init__.py", ", sys.path)", ", [])")
    results = by_id(smoke(of_two, TWO, "--only", "static")[1])
    assert [one for one in results if one.startswith("static.contract")] == ["static.contract"]


@pytest.mark.parametrize("name", ["P3.determinism", "checkpoint.f32", "P4.faults"])
def test_with_backends_each_check_is_run_with_each_of_them(of_two, name):
    _, found = smoke(of_two, TWO, "--only", name.partition(".")[0])
    results = by_id(found)
    assert {results[f"{name}.{backend}"]["state"] for backend in ("one", "two")} == {"pass"}
    if name == "P4.faults":
        assert [one["id"] for one in found["faults"]].count("lr-1.001.two") == 1
        assert {one["check"] for one in found["faults"]} >= {"P2.train.f32.one", "P2.train.f32.two"}


@pytest.mark.parametrize(
    ("crash", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", "memory ran out"),
        ("import os; os._exit(7)", "exit code 7"),
        ("import os; os._exit(0)", "ended by itself"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("raise SystemExit('no')", "SystemExit: no"),
        ("raise ValueError('odd')", "ValueError: odd"),
    ],
)
def test_a_check_that_ends_badly_is_an_error_and_the_others_go_on(copy, crash, said):
    change(
        copy,
        "checks/precision.py",
        "    for precision in PRECISIONS:\n",
        f"    {crash}\n    for precision in PRECISIONS:\n",
    )
    done, found = smoke(copy, PLAN, "--only", "P0", "P1", "P2")
    results = by_id(found)
    assert results["P1"]["state"] == "error"
    assert said in results["P1"]["reason"]
    assert results["P0.gemm.f32"]["state"] == results["P2.train.f32"]["state"] == "pass"
    assert "P1.matmul.f32" not in results
    assert "ERROR" in done.stdout


@pytest.mark.parametrize(
    ("line", "when", "states"),
    [
        (
            '_tell(file, {"begin": family})',
            "before",
            {"P0": "error", "P1.matmul.f32": "pass", "P2.train.f32": "pass"},
        ),
        ('_tell(file, {"end": family})', "after", {"P0.gemm.f32": "pass", "P1": "error", "P2.train.f32": "pass"}),
    ],
)
def test_a_process_that_ends_between_two_families_is_the_next_one_s_error(copy, line, when, states):
    """Each try is one family nearer to the end: after P0 the process does not crash again."""
    crash = 'if family == "exact": __import__("os")._exit(7)'
    lines = (crash, line) if when == "before" else (line, crash)
    change(copy, "runner/child.py", line, "\n            ".join(lines))
    _, found = smoke(copy, PLAN, "--only", "P0", "P1", "P2")
    results = {name: row["state"] for name, row in by_id(found).items()}
    assert {name: results[name] for name in states} == states
    assert [name for name, state in results.items() if state == "error"] == [min(states, key=states.get)]


def test_a_process_that_ends_badly_after_its_last_family_is_that_one_s_error(copy):
    line = '_tell(file, {"end": family})'
    crash = 'if family == "parity": __import__("os")._exit(7)'
    change(copy, "runner/child.py", line, line + "\n            " + crash)
    _, found = smoke(copy, PLAN, "--only", "P1", "P2")
    results = {name: row["state"] for name, row in by_id(found).items()}
    assert results["P1.matmul.f32"] == results["P2.train.f32"] == "pass"
    assert results["P2"] == "error"


def test_what_a_crashed_process_said_last_is_kept(copy):
    crash = "    import os\n    print('last words', flush=True)\n    os._exit(1)\n"
    change(copy, "checks/cost.py", "    problem =", crash + "    problem =")
    _, found = smoke(copy, PLAN, "--only", "cost")
    assert by_id(found)["cost"]["reason"].endswith("last output: last words")


def test_a_crash_in_the_first_process_spares_the_second_a_false_verdict(copy):
    change(copy, "checks/determinism.py", "    digest = ", "    import os\n    os.abort()\n    digest = ")
    _, found = smoke(copy, PLAN, "--only", "P3", "checkpoint")
    results = by_id(found)
    assert results["P3"]["state"] == "error"
    assert "P3.determinism" not in results
    assert results["checkpoint.f32"]["state"] == "pass"


@pytest.mark.parametrize("code", ["raise ImportError('libfoo.so: gone')", "import os; os.abort()"])
def test_a_framework_that_does_not_import_is_tried_once_and_no_check_passes(copy, code):
    (copy / "broken_framework.py").write_text(f"open({str(copy / 'tries')!r}, 'a').write('x')\n{code}\n")
    plan = {**PLAN, "framework": {"name": "autograd", "module": "broken_framework"}}
    _, found = smoke(copy, plan, "--only", "imports", "P0", "P2", "digits")
    states = {one["id"]: one["state"] for one in found["results"]}
    assert (copy / "tries").read_text() == "x"
    assert set(states.values()) & {"fail", "error"}
    passed = {name for name, state in states.items() if state == "pass"}
    assert passed <= {"imports.packages", "imports.python"}
    assert states["P0"] == states["P2"] == states["digits"] == "not-run"


def test_a_gpu_that_is_declared_and_absent_fails_everywhere(copy):
    _, found = smoke(copy, PLAN, "--device", "gpu", "--only", "device", "P0", "P2", "P3", "P4", "loader")
    states = {one["id"]: one["state"] for one in found["results"]}
    assert "pass" not in states.values()
    assert states["device"] == states["P3"] == states["P4"] == "fail"
    assert found["plan"]["device"] == "gpu"
    assert found["faults"] == []


def test_a_locked_package_that_is_missing_fails(copy):
    _, found = smoke(copy, {**PLAN, "packages": {"no-such-thing": "1"}}, "--only", "imports")
    result = by_id(found)["imports.packages"]
    assert (result["state"], result["reason"]) == ("fail", "no-such-thing 1 is locked and not installed")


def test_another_suite_has_another_digest(copy):
    change(copy, "gates.json", '"2e-5"', '"2e-4"')
    _, found = smoke(copy, PLAN, "--only", "imports")
    assert found["suite"]["sha256"] != suite.digest(SUITE, "autograd")
    assert found["gates"]["sha256"] != gates.digest()
    assert found["reference"]["sha256"] == report.file_digest(report.SUITE / "reference.py")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--plan", "nowhere.json"], "no plan at nowhere.json"),
        (["--only", "P9"], "no check begins with P9"),
        (["--device", "tpu"], "device is 'tpu'"),
        (["--frobnicate"], "unrecognized arguments"),
        (["--report", "no/such/folder/report.json"], "no folder"),
    ],
)
def test_usage_errors_are_two_lines_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    assert main(["--plan", "plan.json", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert said in lines[0]


@pytest.mark.parametrize(("packages", "code"), [(PLAN["packages"], 0), ({"no-such-thing": "1"}, 1)])
def test_a_self_test_without_a_report_says_by_its_exit_code(tmp_path, capsys, packages, code):
    (tmp_path / "plan.json").write_text(json.dumps({**PLAN, "packages": packages}))
    assert main(["--plan", str(tmp_path / "plan.json"), "--only", "imports", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["schema"] == 1
