"""Each edit that takes evidence away costs the level, and each rule of the judge stands against some edit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import chain, zip_longest
from typing import Any

import msgspec
import pytest

from assay.certificate import RANK, Suites
from assay.certificate.levels import FaultRow, Row
from tests.unit.certificate import mutation
from tests.unit.certificate.edits import Edit, edits
from tests.unit.certificate.mutation import EVERY, REFUSED, Tables, but, cost, kept, suites, tellers, written

MOST = 2  # variants of one kind of edit on one result; `python -m tests.unit.certificate.mutation` tries all
SHARE = 15  # results of a certificate whose edits one test tries, about


@cache
def all_edits(name: str) -> list[Edit]:
    return list(edits({**kept(), **written()}[name], MOST))


def shares() -> Iterator[tuple[str, int, int]]:
    """The tests of each certificate, as (name, part, how many parts)."""
    for base in (*kept().values(), *written().values()):
        parts = len(base.predicate["results"]) // SHARE + 1
        yield from ((base.name, part, parts) for part in range(parts))


def by_turns(several: list[Edit]) -> list[Edit]:
    """One of each kind, then another of each."""
    seen: Counter[str] = Counter()
    turns: dict[int, list[Edit]] = {}
    for one in several:
        turns.setdefault(seen[one.kind], []).append(one)
        seen[one.kind] += 1
    return [one for turn in turns.values() for one in turn]


@pytest.mark.parametrize(("name", "part", "parts"), list(shares()))
def test_each_edit_of_a_certificate_costs_its_level(name: str, part: int, parts: int) -> None:
    """Of those that are kept and of those that are written for the levels that no kept one has."""
    base = {**kept(), **written()}[name]
    for policy in (base.alone, base.published, base.of_the_checkout):
        opened = mutation.certificate.read(base.statement, policy)
        assert opened.verdict.passed, opened.verdict.problems
        assert RANK[opened.verdict.level] >= RANK["E2"]
    found = Tables()
    found.take(base, all_edits(name)[part::parts], rules=False)
    assert found.lived == []
    assert found.count > 20 * SHARE


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
    assert {"E2", "E3", "E4"} <= {base.opened.verdict.level for base in written().values()}
    dead = set(EVERY)
    # Those of all certificates side by side: most rules are needed against an edit of the first hundred of some.
    several = ([(base, edit) for edit in by_turns(all_edits(base.name))] for base in written().values())
    for base, edit in filter(None, chain.from_iterable(zip_longest(*several))):
        told = tellers(edit)
        if len(told) == 1 and dead.issuperset(told) and cost(base, edit, but(*told)) is None:
            dead -= told
        if not dead:
            break
    assert sorted(dead) == []


def test_a_new_check_and_a_new_fault_are_tried_by_themselves() -> None:
    suite = suites().current
    row = Row("new.check.{backend}", "new", {"number": "error <= exact.error"}, "E2", asked="f32")
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
