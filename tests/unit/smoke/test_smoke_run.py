"""The runner with processes that behave badly, and with a copy of the suite in which a check does."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from smoke import SUITE, gates, suite
from smoke.__main__ import main
from smoke.plan import from_json
from smoke.report import report
from smoke.runner import lanes, process
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


@pytest.fixture
def out(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("")
    return path


def bounded(code, out, seconds=60.0, stop=None):
    argv = [sys.executable, "-c", code]
    return process.bounded(argv, out.parent, out, seconds, stop or threading.Event())


def test_a_process_imports_the_byte_code_that_is_there(out, monkeypatch):
    """Elsewhere than beside the sources none would be found: what people run would not be what is certified."""
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    assert bounded(f"import sys; open({str(out)!r}, 'w').write(str(sys.pycache_prefix))", out) == process.Exit()
    assert out.read_text() == "None"


class Chains:
    """A runner that notes when its chains begin and end; each takes a moment."""

    def __init__(self, device, told):
        self.plan, self.told = SimpleNamespace(device=device), told

    def chain(self, processes, _stop):
        self.told.append(("begins", processes))
        time.sleep(0.05)
        self.told.append(("ends", processes))


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_framework_is_met_as_a_user_meets_it_before_the_suite_trains_with_it(device):
    told = []
    lanes.run_stages([Chains(device, told), Chains(device, told)])
    untouched = [("static",), ("found",)]
    assert {processes for _, processes in told[:8]} == set(untouched)
    assert {processes for _, processes in told[8:]} == {("main",), ("compile",), ("first", "second")}
    assert len(told) == 20


@pytest.mark.parametrize(("device", "most"), [("cpu", 2), ("gpu", 1)])
def test_how_many_processes_run_side_by_side(device, most):
    told = []
    lanes.run_stages([Chains(device, told) for _ in range(3)])
    running = [sum(1 if what == "begins" else -1 for what, _ in told[:count]) for count in range(len(told))]
    assert max(running) == most


def test_a_process_that_ends_well(out):
    assert bounded("print('fine')", out) == process.Exit()


def test_a_process_that_hangs_is_ended_with_its_children(out, tmp_path, monkeypatch):
    child = tmp_path / "child"
    # The runner's clock stands still until the child is there: then it jumps past every bound.
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: 1e9 if child.exists() else 0.0))
    code = (
        "import os, subprocess, sys, time\n"
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(child)!r} + '.part', 'w').write(str(one.pid))\n"
        f"os.rename({str(child)!r} + '.part', {str(child)!r})\n"
        "time.sleep(600)\n"
    )
    ending = bounded(code, out, seconds=60)
    assert "within 60 s" in ending.reason
    assert ending.remedy
    pid = int(child.read_text())
    while not _is_gone(pid):  # it is killed; the kernel takes a moment to carry it out
        time.sleep(0.05)


def _is_gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # killed, and waiting for whoever inherited it


def test_a_process_that_writes_on_is_not_late(out, monkeypatch):
    # By the runner's clock each line takes 20 s, and all of them far longer than the bound.
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: out.stat().st_size * 10.0))
    code = f"import time\nfor _ in range(8):\n    open({str(out)!r}, 'a').write('x\\n')\n    time.sleep(0.2)\n"
    assert bounded(code, out, seconds=60.0) == process.Exit()


def test_a_flood_is_read_and_only_its_end_kept(out):
    code = "import sys\nfor _ in range(300):\n    sys.stdout.write('x' * 100000)\nsys.exit('the end')"
    ending = bounded(code, out)
    assert ending.reason == "the process ended with exit code 1"
    assert len(ending.output) == process.KEPT_OUTPUT
    assert ending.output.endswith("the end\n")


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGKILL, "memory ran out"), (signal.SIGBUS, "/dev/shm"), (signal.SIGSEGV, "signal 11 (SIGSEGV)")],
)
def test_a_process_that_is_killed_says_by_what(out, number, said):
    ending = bounded(f"import os; os.kill(os.getpid(), {int(number)})", out)
    assert said in ending.reason


def test_a_run_that_is_told_to_stop_ends_its_process(out):
    stop = threading.Event()
    stop.set()
    assert bounded("import time; time.sleep(600)", out, seconds=600.0, stop=stop).reason


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


@pytest.mark.parametrize(
    ("names", "began", "ended", "blamed"),
    [
        (["a", "b", "c"], ["a", "b"], ["a"], "b"),
        (["a", "b", "c"], ["a"], ["a"], "b"),
        (["a", "b", "c"], [], [], "a"),
        (["a", "b"], ["a", "b"], ["a", "b"], "b"),
    ],
)
def test_who_is_blamed(names, began, ended, blamed):
    assert lanes._blamed(names, began, ended) == blamed


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


def test_with_backends_each_check_is_run_with_each_of_them(copy):
    change(
        copy,
        "frameworks/autograd.py",
        '"version": ',
        '"backend": __import__("os").environ["AUTOGRAD_BACKEND"], "version": ',
    )
    change(
        copy,
        "checks/precision.py",
        "    for precision in PRECISIONS:\n",
        "    import os\n"
        "    if os.environ['AUTOGRAD_BACKEND'] == 'two':\n"
        "        os._exit(7)\n"
        "    for precision in PRECISIONS:\n",
    )
    plan = {**PLAN, "framework": {**PLAN["framework"], "backends": ["one", "two"]}}
    _, found = smoke(copy, plan, "--only", "static", "P1", "P3", "P4", "checkpoint")
    results = by_id(found)
    assert results["P1.matmul.f32.one"]["state"] == "pass"
    assert results["P1.two"]["state"] == "error"  # and no other backend pays for it
    assert [one for one in results if one.startswith("P1")][-1] == "P1.two"
    for name in ("P3.determinism", "checkpoint.f32", "P4.faults"):
        assert {results[f"{name}.{backend}"]["state"] for backend in ("one", "two")} == {"pass"}
    assert [one["id"] for one in found["faults"]].count("lr-1.001.two") == 1
    assert {one["check"] for one in found["faults"]} >= {"P2.train.f32.one", "P2.train.f32.two"}
    assert [one for one in results if one.startswith("static.contract")] == ["static.contract"]
    assert {name: told["backend"] for name, told in found["stack"]["backends"].items()} == {
        "one": "one",
        "two": "two",
    }
    assert found["stack"]["framework"].startswith("autograd ")


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
