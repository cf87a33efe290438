"""What holds of the files of ranks, read from their syntax trees: no framework but one is imported here."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoke import gates, plan, reference
from smoke.checks import ranks as check
from smoke.ranks import Place, Ranks, _rank, autograd
from tests.unit.smoke.contract import contract, drift

FRAMEWORKS = plan.frameworks()
BACKENDS = {path.stem for path in (plan.FRAMEWORKS / "_backends").glob("*.py")} - {"__init__"}


def test_each_framework_has_a_file_and_no_other_has():
    there = {path.stem for path in plan.RANKS.glob("*.py") if not path.stem.startswith("_")}
    assert there == set(FRAMEWORKS)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_file_keeps_the_contract(name):
    assert drift(ast.parse((plan.RANKS / f"{name}.py").read_text()), contract(Ranks)) == []
    for constant in Ranks.__annotations__:
        plan.of_ranks(name, constant)
    assert all("=" in one for one in plan.of_ranks(name, "SWITCHES"))


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_either_names_its_transport_or_says_why_it_cannot(name):
    cannot, transport = plan.of_ranks(name, "CANNOT"), plan.of_ranks(name, "TRANSPORT")
    backends = BACKENDS if name == "keras" else {""}
    assert all(reason.strip() for reason in cannot.values())
    if "ranks" in cannot:
        assert (transport, set(cannot)) == ({}, {"ranks"})
        return
    refused = {what.partition(".")[2] for what in cannot}
    assert set(transport) | refused == backends
    assert set(transport) & refused == set()


def test_the_levels_name_the_faults_that_are_put_in_and_the_checks_that_are_run():
    levels = gates.load(gates.SUITE / "levels.json")
    named = {row["id"]: row["check"] for row in levels["faults"] if row.get("needs") == "ranks"}
    assert named == {f"{name}.{{backend}}": f"{one}.{{backend}}" for name, one in check.FAULTS.items()}
    rows = [row for row in levels["results"] if row["family"] == "ranks"]
    assert [row["id"] for row in rows] == [f"{one}.{{backend}}" for one in check.IDS]
    assert {row["otherwise"] for row in rows} == {check.NOT_ASKED}
    assert {*check.FAULTS, *check.ENDINGS, "total", "train", "save", "continue"} == set(_rank.TASKS)


@given(st.sampled_from(plan.RANK_COUNTS), st.integers(0, 2**31))
def test_each_row_is_one_ranks_and_one_only(count, seed):
    split = [autograd.split(Place(rank, count, ()), reference.BATCH, seed) for rank in range(count)]
    assert sorted(row for rows in split for row in rows) == list(range(reference.BATCH))
    assert {len(rows) for rows in split} == {reference.BATCH // count}


def test_sums_of_all_ranks_are_exact_in_float32_in_any_order():
    numbers = np.array([_rank.numbers(rank) for rank in range(max(plan.RANK_COUNTS))])
    assert np.abs(numbers).sum(0).max() < 2**24
