"""The one way to open a certificate: whoever reads one asks here, and holds it against one policy.

A certificate is a Statement about an image. Its evidence is judged by `verdict.judge`; here it is asked whether it is
of this image, of a suite that is known, of this time, and whether its plan promises what the image promises.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from assay.certificate.base import EVERY_ORIGIN
from assay.certificate.derived import Derived, name_of
from assay.certificate.levels import RANK
from assay.certificate.origin import Opened, OriginRule, Policy, about_of, moment_of
from assay.certificate.report import Plan, Report
from assay.certificate.rules import RULES, Rule
from assay.certificate.statement import report_of
from assay.certificate.suite import Suite
from assay.certificate.verdict import Verdict, judge, merged

LONGEST_LIFE = 365  # days after which a published certificate says too little of the drivers of today


@dataclass(frozen=True)
class Certificate:
    """A certificate that was opened: whose it is, and what it amounts to under the policy."""

    image: str
    digest: str
    device: str
    created: str
    platform: str
    report: Report
    verdict: Verdict
    suite: Suite | None
    derived: Derived | None = None
    diff_ids: tuple[str, ...] = ()
    origin: str = ""  # what is wrong with where it comes from; it stands among the verdict's problems too

    @property
    def age_key(self) -> datetime.datetime:
        """When it was made; where it does not say, it is the newest, so that it is not passed over for an older."""
        return moment_of(self.created) or datetime.datetime.max.replace(tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Rules:
    """The rules that a certificate is opened by: all of them, unless a test asks what one of them is good for."""

    evidence: tuple[Rule, ...] = RULES
    origin: tuple[OriginRule, ...] = EVERY_ORIGIN


def read(statement: Mapping[str, Any], policy: Policy, rules: Rules = Rules()) -> Certificate:
    """Open a certificate: its evidence judged, its origin held against the policy.

    Raises `VerificationFailed` for what is malformed. All else that is wrong stands in the verdict; where it is the
    origin, the level is E0, since evidence of unknown origin amounts to nothing.
    """
    opened = open_up(statement, policy, rules.evidence)
    plan, evidence, derived = opened.plan, opened.evidence, opened.about.predicate.derived
    told = [*_unknown(opened), *(what for rule in rules.origin for what in rule(opened))]
    problems = merged(("certificate", what) for what in told)
    origin = problems[0][1] if problems else ""
    return Certificate(
        image=(name_of(opened.report.image) if derived else opened.report.image)[:256],
        digest=f"sha256:{opened.subject.digest.get('sha256', '')}",
        device=plan.device if plan else "?",
        created=opened.about.predicate.time_created,
        platform=opened.about.predicate.image.platform,
        report=opened.report,
        verdict=_refused(evidence, problems) if problems else evidence,
        suite=opened.suite,
        derived=derived,
        diff_ids=opened.about.predicate.image.diff_ids,
        origin=origin,
    )


def _refused(evidence: Verdict, problems: tuple[tuple[str, str], ...]) -> Verdict:
    """What evidence of a wrong origin amounts to: nothing."""
    return Verdict("E0", (*problems, *evidence.problems), evidence.not_run, (), evidence.unmarked, evidence.lost)


def open_up(statement: Mapping[str, Any], policy: Policy, rules: tuple[Rule, ...] = RULES) -> Opened:
    """A Statement's parts, and what its evidence amounts to by its own suite; raises as `read` does."""
    report = report_of(statement)
    about = about_of(statement)
    plan = _plan(report)
    suite = policy.suites.of(report, plan.framework.name) if plan else None
    # Without its suite nothing tells what its numbers had to be: it is not judged at all.
    derived = about.predicate.derived is not None
    evidence = judge(report, suite, rules, derived=derived) if suite else Verdict("E0", (), ())
    return Opened(about, report, plan, suite, evidence, policy)


def _unknown(opened: Opened) -> list[str]:
    """What is not known of the suite that made it."""
    if opened.plan is None:
        return ["its plan is malformed"]
    if opened.suite is None:
        return [opened.policy.suites.unknown(opened.report, opened.plan.framework.name)]
    return []


def worst_of_newest(several: list[Certificate]) -> list[Certificate]:
    """Of each device the newest certificate, since an image may be certified anew; of two of one second the worse."""
    found: dict[str, Certificate] = {}
    for one in several:
        there = found.get(one.device)
        if there is None or _order(one) > _order(there):
            found[one.device] = one
    return [found[device] for device in sorted(found)]


def _order(one: Certificate) -> tuple[datetime.datetime, bool, int]:
    return one.age_key, not one.verdict.passed, -RANK[one.verdict.level]


def _plan(report: Report) -> Plan | None:
    try:
        return msgspec.convert(report.plan, type=Plan)
    except (msgspec.ValidationError, RecursionError):
        return None
