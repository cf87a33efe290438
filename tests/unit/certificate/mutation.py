"""The judge, tried by mutation: what each edit of a certificate costs, and which rule stands against which edit.

    .venv/bin/python -m tests.unit.certificate.mutation [MOST]

prints two tables: of each kind of edit how many there are and what they cost; of each rule how many edits it tells,
how many of these no other rule tells, and one that passes where the judge is without it.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property

import msgspec

from assay import certificate
from assay.certificate import RANK, Suites
from assay.certificate.base import EVERY_ORIGIN as ORIGIN
from assay.certificate.case import Case
from assay.certificate.levels import Expansion, Expected, ExpectedFault
from assay.certificate.opening import Rules, open_up
from assay.certificate.report import Plan
from assay.certificate.rules import RULES
from assay.certificate.suite import Suite
from assay.errors import VerificationFailed
from tests.conftest import ROOT
from tests.unit.certificate import reports
from tests.unit.certificate.edits import Base, Edit, edits

EVERY = (*(rule.__name__ for rule in RULES), *(rule.__name__ for rule in ORIGIN))
REFUSED = "refused"
UNMARKED = "no mark"
ALL = Rules()


class Expanded(Expansion):
    """The rows for one plan, made once."""

    def results(self) -> Iterator[Expected]:
        return iter(self._results)

    def faults(self) -> Iterator[ExpectedFault]:
        return iter(self._faults)

    @cached_property
    def _results(self) -> tuple[Expected, ...]:
        return tuple(super().results())

    @cached_property
    def _faults(self) -> tuple[ExpectedFault, ...]:
        return tuple(super().faults())


class Remembering(Suite, frozen=True, forbid_unknown_fields=True, dict=True):
    """A suite that expands each plan once: nearly all edits leave the plan as it was."""

    @classmethod
    def of(cls, suite: Suite) -> Remembering:
        return cls(**msgspec.structs.asdict(suite))

    def expansion(self, plan: Plan) -> Expansion | None:
        text = msgspec.json.encode(plan)
        if text not in self._known:
            made = super().expansion(plan)
            self._known[text] = made and Expanded(made.levels, made.gates, made.plan, made.declared)
        return self._known[text]

    @cached_property
    def _known(self) -> dict[bytes, Expansion | None]:
        return {}


@cache
def suites() -> Suites:
    several = Suites.read(ROOT)
    return Suites(Remembering.of(several.current), tuple(map(Remembering.of, several.released)))


@cache
def kept() -> dict[str, Base]:
    """The certificates that are kept with the repository."""
    found = {}
    for path in sorted((ROOT / "certificates").rglob("*.json")):
        statement = certificate.read_statement(path)
        assert statement is not None
        base = Base(f"{path.parent.name}/{path.stem}", statement, suites())
        found[base.name] = base
    return found


@cache
def written() -> dict[str, Base]:
    """Certificates in which all just holds by today's levels: for each level the shortest, of the kept ones' plans.

    With them, what no kept certificate shows (a GPU's levels, the latest suite) is tried too.
    """
    found: dict[str, Base] = {}
    for base in kept().values():
        for device in ("cpu", "gpu"):
            one = as_written(base, device)
            there = found.get(one.opened.verdict.level)
            if there is None or len(one.predicate["results"]) < len(there.predicate["results"]):
                found[one.opened.verdict.level] = one
    found["derived"] = as_derived(found["E2"])
    found["ranks"] = as_written(kept()["pytorch/cpu"], "cpu", ranks=2)
    return {one.name: one for one in found.values()}


def as_written(base: Base, device: str, known: Suites | None = None, **more: int) -> Base:
    """The certificate that a plan would have by the current suite, on a device, with what else is asked for."""
    plan, several = {**base.plan, "device": device, **more}, known or suites()
    image = {"name": plan["image"], "digest": "sha256:" + "d" * 64, "configDigest": "sha256:" + "c" * 64}
    facts = {"diffIDs": ["sha256:" + "a" * 64], "platform": "linux/amd64", "inputs": {"images/x": "e" * 64}}
    whole = reports.stated(reports.written(plan, several.current), several.current, **image, **facts)
    return Base(", ".join((f"{base.name.partition('/')[0]}/{device}", "written", *more)), whole, several)


def as_derived(base: Base) -> Base:
    """The certificate of an image that is derived from the one of a written certificate."""
    data = reports.written(base.plan, base.suites.current)
    added = {"einops": "0.8.1", "more": "1"}
    data["stack"]["added"] = added
    reports.metric(data, "static.packages", "added")["value"] = str(len(added))
    below = {"name": base.plan["image"], "digest": "sha256:" + "b" * 64, "level": "E2", "layers": 1}
    image = {"name": f"{base.plan['image']}/derived", "digest": "sha256:" + "d" * 64}
    facts = {"configDigest": "sha256:" + "c" * 64, "diffIDs": ["sha256:" + "a" * 64, "sha256:" + "f" * 64]}
    derived = {"derived": {"base": below, "added": added}}
    whole = reports.stated(data, base.suites.current, **image, **facts, **derived)
    return Base(f"{base.name}, derived", whole, base.suites)


def cost(base: Base, edit: Edit, rules: Rules = ALL) -> str | None:
    """What an edit costs: the level that is left, a mark, or that it is refused. None if it costs nothing."""
    before = base.opened.verdict
    try:
        after = certificate.read(edit.statement, edit.policy, rules)
    except VerificationFailed:
        return REFUSED
    if RANK[after.verdict.level] < RANK[before.level] or not after.verdict.passed:
        return after.verdict.level
    return UNMARKED if set(before.marks) - set(after.verdict.marks) else None


def tellers(edit: Edit) -> frozenset[str]:
    """The rules that tell of an edit, each asked alone; none for what cannot be opened at all."""
    try:
        opened = open_up(edit.statement, edit.policy, ())
    except VerificationFailed:
        return frozenset()
    if opened.suite is None or opened.plan is None:
        return frozenset()
    derived = opened.about.predicate.derived is not None
    case = Case.of(opened.report, opened.plan, opened.suite, derived=derived)
    told = {rule.__name__ for rule in RULES if any(True for _ in rule(case))}
    return frozenset(told | {rule.__name__ for rule in ORIGIN if any(True for _ in rule(opened))})


def but(name: str) -> Rules:
    """All rules but one."""
    return Rules(*(tuple(one for one in each if one.__name__ != name) for each in (RULES, ORIGIN)))


@dataclass
class Tables:
    """What was found: of each kind of edit the costs, of each rule what it tells, alone, and an edit for which it is
    needed."""

    costs: dict[str, Counter[str]] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    needed: dict[str, str] = field(default_factory=dict)
    lived: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(costs.total() for costs in self.costs.values())

    def take(self, base: Base, several: Iterable[Edit], *, rules: bool = True) -> None:
        for edit in several:
            found = cost(base, edit)
            self.costs.setdefault(edit.kind, Counter())[found or "LIVED"] += 1
            if found is None:
                self.lived.append(f"{base.name}: {edit.kind}: {edit.target}")
            if rules:
                self._tell(base, edit)

    def _tell(self, base: Base, edit: Edit) -> None:
        told = tellers(edit)
        self.told.update(told)
        if len(told) == 1:
            (name,) = told
            self.alone[name] += 1
            if name not in self.needed and cost(base, edit, but(name)) is None:
                self.needed[name] = f"{edit.kind}: {edit.target} ({base.name})"

    def lines(self) -> Iterator[str]:
        columns = sorted({name for costs in self.costs.values() for name in costs})
        yield f"{'edit':58}{'edits':>7}" + "".join(f"{name:>9}" for name in columns)
        for kind, costs in sorted(self.costs.items()):
            yield f"{kind:58}{costs.total():>7}" + "".join(f"{costs[name] or '':>9}" for name in columns)
        totals = sum(self.costs.values(), Counter())
        yield f"{'all':58}{self.count:>7}" + "".join(f"{totals[name]:>9}" for name in columns)
        yield ""
        yield f"{'rule':30}{'told':>7}{'alone':>7}  passes without it"
        for name in EVERY:
            yield f"{name:30}{self.told[name]:>7}{self.alone[name]:>7}  {self.needed.get(name, 'DEAD')}"


def main() -> None:
    """Try them all; with a number, of each kind of edit at most so many variants on one result."""
    began, found = time.monotonic(), Tables()
    most = int(sys.argv[1]) if len(sys.argv) > 1 else None
    bases = [*kept().values(), *written().values()]
    for base in bases:
        found.take(base, edits(base, most))
    print("\n".join(found.lines()))
    print(f"\n{found.count} edits of {len(bases)} certificates in {time.monotonic() - began:.0f} s")
    for text in found.lived[:40]:
        print("LIVED", text)


if __name__ == "__main__":
    main()
