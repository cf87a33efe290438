"""The mark of ranks: computed from the evidence, told with what it was over, and nothing of it costs the level."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from assay import certificate
from assay.certificate import Policy, Suite, Suites
from assay.certificate.origin import plan_digest
from assay.errors import VerificationFailed
from tests.conftest import ROOT
from tests.unit.certificate.reports import a_plan, judged, report, stated, written

SUITE = Suite.read(ROOT)
TOLD = "ranks 2, gloo, cpu, 1 host"


def asked(framework: str = "torch", ranks: int = 2, **other: Any) -> dict[str, Any]:
    return written(a_plan(framework, ranks=ranks, **other), SUITE)


def one_of(data: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    return next(one for one in data[kind] if one["id"] == name)


def test_ranks_are_a_mark_that_says_how_many_over_what_and_where() -> None:
    verdict = judged(asked(), SUITE)
    assert (verdict.level, verdict.problems, verdict.unmarked) == ("E2", (), ())
    assert verdict.marks == ("everyday", TOLD)
    assert judged(asked(ranks=4), SUITE).marks == ("everyday", "ranks 4, gloo, cpu, 1 host")


def test_who_asked_for_none_has_no_mark_and_the_report_says_so() -> None:
    data = written(a_plan("torch"), SUITE)
    assert judged(data, SUITE).marks == ("everyday",)
    rows = [one for one in data["results"] if one["family"] == "ranks"]
    assert {(one["state"], one["reason"]) for one in rows} == {("not-run", "no ranks were asked for")}
    assert not [one for one in data["faults"] if one["id"].startswith("rank-")]


def test_a_framework_that_cannot_has_no_mark_and_loses_none() -> None:
    for ranks in (0, 2):
        data = written(a_plan("caffe", **({"ranks": ranks} if ranks else {})), SUITE)
        verdict = judged(data, SUITE)
        assert (verdict.level, verdict.marks, verdict.problems, verdict.unmarked) == ("E2", ("everyday",), (), ())
        assert "Caffe's solver" in one_of(data, "results", "ranks.total")["reason"]


def test_of_several_backends_the_mark_names_those_that_were_tried() -> None:
    verdict = judged(asked("keras", backends=["tensorflow", "jax", "torch"]), SUITE)
    assert verdict.marks == ("everyday", "ranks 2, grpc on tensorflow and gloo on jax, cpu, 1 host")


Spoil = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("ranks.total", lambda one: one.update(observed="1 over gloo")),
        ("ranks.total", lambda one: one.update(requested="4 over gloo", observed="4 over gloo")),
        ("ranks.image", lambda one: one["metrics"][0].update(value="1")),
        ("ranks.split", lambda one: one["metrics"][1].update(value="1")),
        ("ranks.train.f32", lambda one: one["metrics"][2].update(value="1")),
        ("ranks.same", lambda one: one["metrics"].pop()),
        ("ranks.checkpoint.f32", lambda one: one.update(state="not-run", reason="no time", metrics=[])),
        ("ranks.ending", lambda one: one["metrics"][0].update(value="31")),
        ("ranks.ending", lambda one: one.update(id="ranks", state="error", reason="rank 1 was killed", metrics=[])),
    ],
)
def test_what_is_wrong_with_ranks_costs_the_mark_and_not_the_level(name: str, spoil: Spoil) -> None:
    data = asked()
    spoil(one_of(data, "results", name))
    verdict = judged(data, SUITE)
    assert (verdict.level, verdict.problems, verdict.marks) == ("E2", (), ("everyday",))
    assert any(one.startswith("ranks") for one, _ in verdict.unmarked)


@pytest.mark.parametrize(("family", "mark"), [("ranks", "ranks"), ("everyday.files", "everyday")])
def test_a_family_that_ends_with_one_backend_costs_the_mark_and_not_the_level(family: str, mark: str) -> None:
    data = asked("keras", backends=["tensorflow", "jax"])
    those = [one for one in data["results"] if one["family"] == family.rpartition(".")[2]]
    with_it = [one for one in those if one["id"].startswith(f"{family}.") and one["id"].endswith(".tensorflow")]
    assert with_it
    data["results"] = [one for one in data["results"] if one not in with_it]
    error = {"id": f"{family}.tensorflow", "state": "error", "reason": "it was killed", "metrics": []}
    data["results"].append({**with_it[0], **error, "requested": "", "observed": ""})
    verdict = judged(data, SUITE)
    assert (verdict.level, verdict.problems, verdict.lost) == ("E2", (), (mark,))
    assert not [one for one in verdict.marks if one.startswith(mark)]


@pytest.mark.parametrize(
    "name", ["rank-image", "rank-dropped", "rank-twice", "rank-seed", "rank-stale", "rank-behind"]
)
def test_a_fault_that_was_let_through_or_not_put_in_costs_the_mark(name: str) -> None:
    data = asked()
    one_of(data, "faults", name)["state"] = "pass"
    verdict = judged(data, SUITE)
    assert (verdict.level, verdict.problems, verdict.marks) == ("E2", (), ("everyday",))
    assert [one for one, _ in verdict.unmarked] == [f"fault {name}"]
    data["faults"] = [one for one in data["faults"] if one["id"] != name]
    assert judged(data, SUITE).marks == ("everyday",)


def test_results_of_ranks_that_nobody_asked_for_are_none() -> None:
    data = written(a_plan("torch"), SUITE)
    data["results"] = [one for one in data["results"] if one["family"] != "ranks"]
    data["results"] += [one for one in asked()["results"] if one["family"] == "ranks"]
    verdict = judged(data, SUITE)
    assert (verdict.level, verdict.marks) == ("E1", ())
    assert all(what.startswith("it passed, they say") for _, what in verdict.problems)


def test_a_plan_with_ranks_is_the_images_and_shows_what_one_without_asks_for() -> None:
    plain, more = a_plan("torch"), a_plan("torch", ranks=2)
    assert plan_digest(plain) == plan_digest(more) == plan_digest({**plain, "device": "gpu"})
    policy = Policy(Suites(SUITE), plan=plain)
    opened = certificate.read(stated(asked(), SUITE), policy)
    assert (opened.origin, opened.verdict.marks) == ("", ("everyday", TOLD))
    other = dataclasses.replace(policy, plan=a_plan("torch", ranks=4))
    assert "another plan" in certificate.read(stated(asked(), SUITE), other).origin
    less = certificate.read(stated(written(plain, SUITE), SUITE), dataclasses.replace(policy, plan=more))
    assert "another plan" in less.origin


def test_a_certificate_that_claims_ranks_without_evidence() -> None:
    statement = stated(written(a_plan("torch"), SUITE), SUITE)
    statement["predicate"]["marks"].append(TOLD)
    assert "bears the mark 'ranks 2, gloo" in certificate.read(statement, Policy(Suites(SUITE))).origin


@pytest.mark.parametrize("ranks", [-1, 33, "2", 2.5, None])
def test_a_number_of_ranks_that_cannot_be(ranks: object) -> None:
    data = asked()
    data["plan"]["ranks"] = ranks
    assert judged(data, SUITE).level == "E0"
    assert json.dumps(ranks) in json.dumps(data)
    with pytest.raises(VerificationFailed):
        report({**data, "complete": ranks})
