"""The command preflight: its options, its table and its JSON."""

from __future__ import annotations

import dataclasses
import json

import pytest

from smoke import plan as plans
from smoke.preflight import __main__ as command
from smoke.preflight import finding
from smoke.preflight.finding import FAIL, OK, WARN, Promise

PLAN = {
    "schema": 1,
    "image": "torchy",
    "device": "cpu",
    "framework": {"name": "torch", "module": "torch"},
    "workloads": [],
    "labels": {"cuda": "13.2", "python": "3.13"},
    "packages": {},
    "seconds_per_check": 300,
}


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN))
    return str(path)


def test_json_has_every_finding_and_the_worst_state(capsys, plan, covered):
    assert command.main(["--plan", plan, "--coverage", str(covered), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in data["findings"]] == [
        "driver", "gpu", "coverage", "shm", "user", "home", "workdir", "scratch", "exec", "memory", "cpu",
        "processes", "files", "hostname", "blas",
    ]  # fmt: skip
    assert data["state"] in (OK, WARN)
    assert all(one["remedy"] for one in data["findings"] if one["state"] != OK)


@pytest.mark.parametrize("arguments", [["--device", "tpu"], ["--nonsense"], ["--plan", "/nowhere"], ["extra"]])
def test_bad_options_are_two_lines(capsys, plan, arguments):
    assert command.main(["--plan", plan, *arguments]) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 2)


def test_limits_that_matter_to_gpus_are_looked_at_with_one(machine):
    found = [one.id for one in command.container_findings(Promise("torchy", "13.2", "gpu"), machine)]
    assert found[found.index("files") + 1 :] == ["memlock", "stack", "hostname", "blas"]


@pytest.mark.parametrize(
    ("name", "workloads", "backends", "compiles"),
    [
        ("torch", ("compile",), (), True),
        ("torch", (), (), False),
        ("theano", ("compile",), (), True),
        ("jax", ("compile",), (), False),
        ("keras", ("compile",), ("jax", "torch"), True),
        ("keras", ("compile",), ("jax",), False),
        ("elsewhere", ("compile",), (), False),
    ],
)
def test_which_frameworks_compile_into_files(name, workloads, backends, compiles):
    plan = dataclasses.replace(plans.from_json(PLAN), framework=name, workloads=workloads, backends=backends)
    assert command.compiles(plan) == compiles


def test_the_table_shows_remedies_and_nothing_that_steers_a_terminal():
    found = [finding.Finding("gpu", FAIL, "a \x1b[31mred name", "do this")]
    text = command.table(Promise("torchy", "13.2", "gpu"), found)
    assert "FAIL" in text
    assert "-> do this" in text
    assert "\x1b" not in text
