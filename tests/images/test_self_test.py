"""What an image says of itself and of the machine, with nothing but the image."""

from __future__ import annotations

import json

import pytest

from tests.images.conftest import Subject

pytestmark = pytest.mark.engine

NOBODY = "54321:54321"


def test_preflight_answers_on_a_read_only_root_to_a_uid_that_nobody_knows(subject: Subject) -> None:
    ran = subject.run("preflight", "--json", user=NOBODY)
    assert ran.exit_code == 0, ran.output
    data = json.loads(ran.output)
    found = {one["id"]: one for one in data["findings"]}
    assert data["image"] == subject.image.name
    assert found["user"]["facts"] == {"uid": 54321}
    assert found["home"]["state"] == "ok"
    assert found["shm"]["facts"]["bytes"] == 64 * 2**20
    assert "--shm-size" in found["shm"]["remedy"]
    if "cuda" in subject.image.labels:
        assert found["coverage"]["state"] == "ok", found["coverage"]
        assert found["coverage"]["facts"]["served"]


def test_preflight_knows_the_containers_memory(subject: Subject) -> None:
    ran = subject.run("preflight", "--json", memory_bytes=2**30)
    found = {one["id"]: one for one in json.loads(ran.output)["findings"]}
    assert found["memory"]["facts"] == {"bytes": 2**30, "limited": True}


def test_preflight_fails_without_the_gpu_that_was_asked_for(subject: Subject) -> None:
    ran = subject.run("preflight", "--device", "gpu")
    assert ran.exit_code == 1, ran.output
    assert "FAIL" in ran.output
    assert "--gpus all" in ran.output or "promises no CUDA" in ran.output


def test_preflight_imports_no_framework(subject: Subject) -> None:
    assert subject.image.framework is not None
    script = (
        "import sys; sys.path.insert(0, '/opt/assay'); from smoke.preflight.__main__ import main; main([]); "
        f"sys.exit(bool({{'numpy', {subject.image.framework.module!r}}} & set(sys.modules)))"
    )
    ran = subject.run("python", "-B", "-c", script)
    assert ran.exit_code == 0, ran.output


# The engine hands over the last part of the output only, and a report is longer.
SHORTER = """
import json
report = json.load(open("/tmp/report.json"))
states = [(one["id"], one["state"]) for one in report["results"]]
print(json.dumps([report["image"], report["host"]["uid"], report["complete"], states]))
"""


def test_a_part_of_the_self_test_gives_a_report(subject: Subject) -> None:
    script = f"smoke --only P0 --json > /tmp/report.json && python -c '{SHORTER}'"
    ran = subject.run("sh", "-c", script, user=NOBODY)
    assert ran.exit_code == 0, ran.output
    *origin, states = json.loads(ran.output)
    assert origin == [subject.image.name, 54321, False]
    assert {state for name, state in states if "f32" in name.split(".")} == {"pass"}
    assert all(name.startswith("P0.") for name, _ in states)


@pytest.mark.parametrize("command", [("preflight", "--device", "tpu"), ("smoke", "--compare", "/nowhere.json")])
def test_a_bad_option_is_two_lines(subject: Subject, command: tuple[str, ...]) -> None:
    ran = subject.run(*command)
    assert ran.exit_code == 2, ran.output
    assert len(ran.output.splitlines()) == 2
