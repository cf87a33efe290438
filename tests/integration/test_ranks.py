"""The newcomer with ranks: the mark that its certificate then bears, and ranks that cannot be."""

from __future__ import annotations

import json

import pytest

from assay import engine
from assay.catalog.built import tag
from tests.integration.conftest import Newcomer, assay

pytestmark = pytest.mark.engine


def test_a_certificate_with_ranks_says_so_and_holds_where_none_are_asked_for(newcomer: Newcomer) -> None:
    path = newcomer.checkout / "build/certificates/newcomer/cpu.json"
    done = assay(newcomer.checkout, "smoke", "newcomer", "--ranks", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ranks 2, sockets, cpu, 1 host" in done.stdout
    statement = json.loads(path.read_text())
    assert statement["predicate"]["marks"] == ["everyday", "ranks 2, sockets, cpu, 1 host"]
    before = path.read_bytes()
    again = assay(newcomer.checkout, "smoke", "newcomer")
    assert "unchanged since" in again.stdout
    assert path.read_bytes() == before


def test_ranks_in_the_image_leave_no_container_and_no_process(newcomer: Newcomer, running: engine.Engine) -> None:
    request = engine.RunRequest(tag("newcomer", "latest"), ("smoke", "--only", "ranks", "--ranks", "4", "--json"))
    ran = running.run(request)
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.output)
    assert {one["state"] for one in report["results"]} == {"pass"}
    assert {one["state"] for one in report["faults"]} == {"fail"}
    assert report["plan"]["ranks"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--ranks", "3"), "'3' is not one of"), (("--ranks", "2", "--device", "gpu"), "ranks train on the CPU only")],
)
def test_ranks_that_cannot_be(newcomer: Newcomer, arguments: tuple[str, ...], said: str) -> None:
    done = assay(newcomer.checkout, "smoke", "newcomer", *arguments)
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
