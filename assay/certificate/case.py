"""What the rules of the judge look at: a report, beside what its plan must have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from assay.certificate.levels import Expected, ExpectedFault
from assay.certificate.report import Fault, Plan, Report, Result
from assay.certificate.suite import Suite


@dataclass(frozen=True)
class Case:
    """A report, and what its plan must have by the levels of its suite.

    ``derived``: it is of an image that stands on the one that the plan is of, so packages may have been added.
    """

    report: Report
    plan: Plan
    suite: Suite
    expected: Mapping[str, Expected]
    faults: Mapping[str, ExpectedFault]
    derived: bool = False

    @classmethod
    def of(cls, report: Report, plan: Plan, suite: Suite, *, derived: bool = False) -> Case:
        """The case of a report by a suite."""
        held_to = suite.expansion(plan)
        expected = {one.id: one for one in held_to.results()} if held_to else {}
        faults = {one.id: one for one in held_to.faults()} if held_to else {}
        return cls(report, plan, suite, expected, faults, derived)

    def results(self, *, to_run: bool) -> Iterator[tuple[Result, Expected]]:
        """The results that must have been run, or those that must not."""
        for result in self.report.results:
            one = self.expected.get(result.id)
            if one is not None and (one.not_run is None) == to_run:
                yield result, one

    def measured(self) -> Iterator[tuple[Result, Expected]]:
        """The results that must have been run, and say that they were."""
        return ((result, one) for result, one in self.results(to_run=True) if result.state in {"pass", "fail"})

    def put_in(self) -> Iterator[tuple[Fault, ExpectedFault]]:
        """The faults that the plan must have, as they were reported."""
        for fault in self.report.faults:
            if fault.id in self.faults:
                yield fault, self.faults[fault.id]
