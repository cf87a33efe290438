"""Where a certificate comes from, held against a policy: of this image, of a known suite, of this time.

Each rule takes a Statement that was opened and yields what is wrong with it; none relies on another.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from assay.certificate.derived import Derived, name_of
from assay.certificate.levels import RANK
from assay.certificate.report import Plan, Report, Word
from assay.certificate.statement import PREDICATE_TYPE, STATEMENT_TYPE
from assay.certificate.suite import Suite, Suites
from assay.certificate.verdict import Verdict
from assay.errors import VerificationFailed

LEEWAY = datetime.timedelta(hours=1)  # by which clocks may differ
LABEL = "assay."
REMEDY = "Have the image certified again, or take the certificate from where it is published."

# As images are named in a repository, and their digests written.
_NAME = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*", re.ASCII)
# Python reads more: weeks, any character in place of the T, a zone that is left out.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_Short = Annotated[str, msgspec.Meta(max_length=256)]


@dataclass(frozen=True)
class Configuration:
    """What an image's own configuration says: its digest, its layers' DiffIDs, OS/architecture, and labels."""

    digest: str
    diff_ids: tuple[str, ...]
    platform: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """What a certificate is held against; None: not asked.

    ``digest``: of the image's manifest. ``plan`` and ``inputs``: those of the checkout. ``max_age_days``: how old it
    may be. ``now``: the time; None is the clock's. ``marks``: those that it must bear. ``derived``: what was found of
    the image's base and above it.
    """

    suites: Suites
    digest: str | None = None
    configuration: Configuration | None = None
    plan: Mapping[str, Any] | None = None
    inputs: Mapping[str, str] | None = None
    max_age_days: int | None = None
    now: datetime.datetime | None = None
    marks: tuple[str, ...] = ()
    derived: Derived | None = None


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image that a Statement is about."""

    name: _Short
    digest: dict[str, _Short]


class _Image(msgspec.Struct, frozen=True, rename="camel"):
    config_digest: _Short = ""
    diff_ids: Annotated[tuple[_Short, ...], msgspec.Meta(max_length=1024)] = msgspec.field(default=(), name="diffIDs")
    platform: _Short = ""
    inputs: dict[str, _Short] = {}


class _Predicate(msgspec.Struct, frozen=True, rename="camel"):
    image: _Image
    time_created: _Short = ""
    achieved: _Short = ""
    marks: Annotated[tuple[_Short, ...], msgspec.Meta(max_length=64)] = ()
    derived: Derived | None = None


class About(msgspec.Struct, frozen=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    """What a Statement says around its report."""

    type: Word
    predicate_type: Word
    subject: Annotated[tuple[Subject, ...], msgspec.Meta(min_length=1, max_length=16)]
    predicate: _Predicate


@dataclass(frozen=True)
class Opened:
    """A Statement before the verdict on it: what it says, who made it, and what its evidence amounts to."""

    about: About
    report: Report
    plan: Plan | None
    suite: Suite | None
    evidence: Verdict
    policy: Policy

    @property
    def subject(self) -> Subject:
        """The image that it is about."""
        return self.about.subject[0]


def plan_digest(plan: Mapping[str, Any]) -> str:
    """SHA-256 of a plan whatever its device, and its ranks: the image's label tells it, so no other plan can be
    certified for it.
    """
    told = {name: value for name, value in plan.items() if name not in {"device", "ranks"}}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def about_of(statement: Mapping[str, Any]) -> About:
    """What a Statement says around its report. Raises `VerificationFailed` for what is malformed."""
    try:
        return msgspec.convert(statement, type=About)
    except (msgspec.ValidationError, RecursionError) as error:
        raise VerificationFailed(f"the certificate is malformed: {error}", REMEDY) from None


def moment_of(text: str) -> datetime.datetime | None:
    """A time with its zone, as RFC 3339 writes it; None for anything else."""
    try:
        return datetime.datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None


def is_a_certificate(opened: Opened) -> Iterator[str]:
    """It is an in-toto Statement of our type."""
    if opened.about.type != STATEMENT_TYPE:
        yield f"it is no in-toto Statement v1 but {opened.about.type[:60]!r}"
    if opened.about.predicate_type != PREDICATE_TYPE:
        yield f"it is no certificate but {opened.about.predicate_type[:60]!r}"


def of_one_image(opened: Opened) -> Iterator[str]:
    """It is about one image, by one digest."""
    if len(opened.about.subject) != 1:
        yield f"it is about {len(opened.about.subject)} images at once"
    if list(opened.subject.digest) != ["sha256"] or not _HEX.fullmatch(opened.subject.digest["sha256"]):
        yield "it names its image by more, or less, than one SHA-256"


def of_the_name(opened: Opened) -> Iterator[str]:
    """The image that it is about is the one that its plan is of, or is derived from that."""
    of = opened.report.image if opened.about.predicate.derived is None else name_of(opened.report.image)
    if not _NAME.fullmatch(opened.subject.name):  # it is shown, and stands in commands
        yield f"it is about {opened.subject.name[:60]!r}, and no image has such a name"
    if opened.subject.name != of:
        yield f"it is about {opened.subject.name[:60]!r}, and its report is of {of[:60]!r}"


def of_the_digest(opened: Opened) -> Iterator[str]:
    """It is about the image at hand."""
    found = opened.subject.digest.get("sha256", "")
    if opened.policy.digest is not None and f"sha256:{found}" != opened.policy.digest:
        yield f"it is about another image (sha256:{found[:12]})"


def claims_no_more(opened: Opened) -> Iterator[str]:
    """It claims no more than its evidence amounts to; where that has faults of its own, these say enough."""
    claimed, evidence = opened.about.predicate.achieved, opened.evidence
    if opened.suite and evidence.passed and RANK.get(claimed, len(RANK)) > RANK[evidence.level]:
        yield f"it claims {claimed[:20] or 'no level'}, and its evidence amounts to {evidence.level}"
    for mark in opened.about.predicate.marks if evidence.passed else ():
        if mark not in evidence.marks:
            yield f"it bears the mark {mark[:20]!r}, and nothing in it shows that"


def of_its_marks(opened: Opened) -> Iterator[str]:
    """It bears the marks that are asked of it."""
    for mark in opened.policy.marks:
        if opened.evidence.passed and mark not in opened.evidence.marks:
            wrong = "; ".join(f"{name}: {what}" for name, what in opened.evidence.unmarked[:3])
            yield f"it lacks the mark {mark}: {wrong or 'its suite does not look'}"


def of_its_time(opened: Opened) -> Iterator[str]:
    """It was made at some time, not in the future, and not too long ago."""
    created, policy = opened.about.predicate.time_created, opened.policy
    now = policy.now or datetime.datetime.now(datetime.UTC)
    moment = moment_of(created)
    if moment is None:
        yield "it does not say when it was made"
    elif moment - now > LEEWAY:
        yield f"it was made in the future ({created})"
    elif policy.max_age_days is not None and now - moment > datetime.timedelta(days=policy.max_age_days):
        yield f"it is {(now - moment).days} days old, and at most {policy.max_age_days} are allowed"


def of_the_configuration(opened: Opened) -> Iterator[str]:
    """It was made of this configuration and these layers."""
    facts, config = opened.about.predicate.image, opened.policy.configuration
    if config is None:
        return
    if facts.config_digest != config.digest:
        yield "it names another image configuration than the image has"
    if facts.diff_ids != config.diff_ids:
        yield "it names other layers (DiffIDs) than the image's configuration"
    if facts.platform != config.platform:
        yield f"it is of {facts.platform[:40]}, and the image is of {config.platform[:40]}"


def of_the_promises(opened: Opened) -> Iterator[str]:
    """What its plan promises is what the image's own labels promise: no more, and no less."""
    plan, suite, config = opened.plan, opened.suite, opened.policy.configuration
    if plan is None or suite is None or config is None:
        return
    told = _told(plan, opened.report)
    for name in told:
        there = config.labels.get(LABEL + name, "")
        if name not in suite.levels.promises:
            # An image that says more is of a later suite. The one before asks less: it cannot certify it.
            if there:
                yield f"the image's label promises its {name}, and it is of an earlier suite, which does not look"
        elif there != told[name]:
            yield f"its {name} is {told[name][:60]!r}, and by the image's label it is {there[:60]!r}"
    if "labels" in suite.levels.promises:
        labels = {
            name.removeprefix(LABEL): value
            for name, value in config.labels.items()
            if name.startswith(LABEL) and name.removeprefix(LABEL) not in told
        }
        for label in sorted(labels.keys() | plan.labels.keys()):
            ours, theirs = plan.labels.get(label, "nothing"), labels.get(label, "nothing")
            if ours != theirs:
                yield f"its plan promises {label[:40]} {ours[:40]}, and the image's label {theirs[:40]}"


def of_the_checkout(opened: Opened) -> Iterator[str]:
    """It answers the plan of this checkout, was made by its suite, and of its inputs."""
    policy = opened.policy
    if policy.plan is not None and not _answers(opened.report.plan, policy.plan):
        yield "it answers another plan than this checkout has for the image"
    if policy.plan is not None and opened.suite and opened.suite != policy.suites.current:
        yield "it is of an earlier suite than this checkout's"
    if policy.inputs is not None and opened.about.predicate.image.inputs != dict(policy.inputs):
        yield "it is of other inputs than the checkout has now"


OriginRule = Callable[[Opened], Iterator[str]]
ORIGIN: tuple[OriginRule, ...] = (
    is_a_certificate,
    of_one_image,
    of_the_name,
    of_the_digest,
    claims_no_more,
    of_its_marks,
    of_its_time,
    of_the_configuration,
    of_the_promises,
    of_the_checkout,
)


def _answers(answered: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether a plan is the one that was asked for; one that asks for ranks beside it shows all of that too."""
    more = {"ranks"} - asked.keys()
    return {name: value for name, value in answered.items() if name not in more} == dict(asked)


def _told(plan: Plan, report: Report) -> dict[str, str]:
    """What a report says of its plan and of its suite, in the words of the labels."""
    return {
        "framework": plan.framework.name,
        "backends": ",".join(plan.framework.backends),
        "workloads": ",".join(plan.workloads),
        "plan": plan_digest(report.plan),
        "suite": report.suite.sha256,
    }
