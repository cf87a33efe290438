"""Each edit that takes evidence away costs the level, and each rule of the judge stands against some edit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from assay.certificate import RANK, Suites
from assay.certificate.levels import FaultRow, Row
from tests.unit.certificate import mutation
from tests.unit.certificate.edits import Base, edits
from tests.unit.certificate.mutation import EVERY, REFUSED, Tables, cost, kept, suites, written

MOST = 2  # variants of one kind of edit on one result; `python -m tests.unit.certificate.mutation` tries all


def tried(base: Base, *, rules: bool = False) -> Tables:
    """All edits of a certificate that holds."""
    for policy in (base.alone, base.published, base.of_the_checkout):
        opened = mutation.certificate.read(base.statement, policy)
        assert opened.verdict.passed, opened.verdict.problems
        assert RANK[opened.verdict.level] >= RANK["E2"]
    found = Tables()
    found.take(base, edits(base, MOST), rules=rules)
    return found


@pytest.mark.parametrize("name", list(kept()))
def test_each_edit_of_a_kept_certificate_costs_its_level(name: str) -> None:
    found = tried(kept()[name])
    print("\n".join(found.lines()))
    assert found.lived == []
    assert found.count > 500


def test_there_are_two_thousand_edits_at_least() -> None:
    several = {(base.name, edit.kind, edit.target) for base in kept().values() for edit in edits(base, 1)}
    assert len(several) >= 2000


def as_bytes(statement: Any) -> bytes:
    return msgspec.json.encode(statement)


def test_an_edit_changes_something() -> None:
    for base in written().values():
        same = [
            edit
            for edit in edits(base, MOST)
            if as_bytes(edit.statement) == as_bytes(base.statement) and edit.policy == base.published
        ]
        assert same == []


def test_each_rule_stands_against_an_edit_that_no_other_tells() -> None:
    """A judge without that rule lets the edit live: the rule is not dead."""
    found = Tables()
    for base in written().values():
        one = tried(base, rules=True)
        assert one.lived == []
        found.costs |= one.costs
        found.told += one.told
        found.alone += one.alone
        found.needed = {**one.needed, **found.needed}
    print("\n".join(found.lines()))
    assert {"E2", "E3", "E4"} <= {base.opened.verdict.level for base in written().values()}
    assert sorted(set(EVERY) - found.needed.keys()) == []


def test_a_new_check_and_a_new_fault_are_tried_by_themselves() -> None:
    suite = suites().current
    row = Row("new.check.{backend}", "E2", "new", {"number": "error <= exact.error"}, asked="f32")
    fault = FaultRow("new-fault.{backend}", "new.check.{backend}", "number")
    levels = msgspec.structs.replace(
        suite.levels, results=(*suite.levels.results, row), faults=(*suite.levels.faults, fault)
    )
    known = Suites(msgspec.structs.replace(suite, levels=levels))
    shortest = min(kept().values(), key=lambda base: len(base.predicate["results"]))
    base = mutation.as_written(shortest, "cpu", known)
    new = [edit for edit in edits(base) if edit.target in {"new.check", "new-fault"}]
    assert len({edit.kind for edit in new}) > 25
    assert [edit for edit in new if cost(base, edit) is None] == []
    before = replace(base, suites=Suites(suite))
    assert before.opened.verdict.problems[0][0] in {"new.check", "fault new-fault"}  # and the old levels know neither


def test_what_an_edit_costs_is_no_accident_of_the_grammar() -> None:
    """An edit that takes nothing away costs nothing: what cannot live would make the tables worthless."""
    for base in written().values():
        for change in ({"remedy": "Look."}, {"seconds": "12.5"}, {"reason": "all is well"}):
            results = [{**base.predicate["results"][0], **change}, *base.predicate["results"][1:]]
            statement = {**base.statement, "predicate": {**base.predicate, "results": results}}
            edit = next(edits(base, 1))._replace(statement=statement)
            assert cost(base, edit) is None
        assert cost(base, next(edits(base, 1))) not in {None, REFUSED}
