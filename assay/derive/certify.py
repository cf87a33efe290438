"""Certify a derived image: it stands on a certified one, adds packages only, and passes all that its base passed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from assay import certificate
from assay.certificate import LONGEST_LIFE, BaseImage, Certificate, Derived, Policy, Report, Suites
from assay.certificate.derived import COUNT, PACKAGES, name_of
from assay.certify import Options, Outcome, Target, row, run_suite
from assay.derive.added import packages
from assay.derive.base import choose
from assay.derive.image import DerivedImage, read, require_started_alike
from assay.derive.layers import trees
from assay.derive.suite import suite_of
from assay.engine import Engine
from assay.errors import UsageError, VerificationFailed, of_image

FOLDER = "derived"  # below build/: what is there is no certificate of the catalog's


@dataclass(frozen=True)
class Certified:
    """What came of a derived image: the outcome, and its base's certificate."""

    outcome: Outcome
    base: Certificate


def certify(
    root: Path,
    engine: Engine,
    name: str,
    certificates: Iterable[Certificate],
    how: tuple[Suites, Options],
    tell: Callable[[str], None],
) -> Certified:
    """Certify the image of this name; its certificate is written below ``root``/build/derived.

    ``certificates`` are those that its base may have, ``how`` the suites that are known, and the device. What the
    checks find is in the outcome. All else raises: `CertificateFailed` for an image that changes its base,
    `VerificationFailed` where no certified base is found, or the report says other than the layers hold.
    """
    suites, options = how
    image = read(engine, name)
    base = choose(image, certificates, options.device)
    _require_counting(base)
    require_started_alike(image)
    plan = dict(base.report.plan)
    below, whole = trees(engine, image, len(base.diff_ids), tell)
    try:
        added = packages(below, whole, plan["packages"])
    except Exception as error:
        raise of_image(name, error) from None
    folder = _folder(name)
    with suite_of(base, below) as suite:
        tell("training")
        target = Target(name, f"{FOLDER}/{folder}", image.reference, suite)
        report, seconds = run_suite(root, engine, target, plan, options)
    _require_same(base, report)
    derived = Derived(BaseImage(base.image, base.digest, base.verdict.level, len(base.diff_ids)), added)
    data = _statement(image, report, base, derived, engine.description)
    opened = certificate.read(data, _policy(suites, image, derived))
    if opened.origin:
        raise VerificationFailed(f"{name}: {opened.origin}", "Add packages with pip, and leave the base's labels.")
    path = root / "build" / FOLDER / folder / f"{options.device}.json"
    certificate.write(path, data)
    return Certified(Outcome(name, options.device, seconds, report, opened.verdict, path, derived=derived), base)


def as_json(found: Certified) -> dict[str, object]:
    """What came of a derived image, for programs."""
    derived = found.outcome.derived
    return {**row(found.outcome), "derived": msgspec.to_builtins(derived)}


def _folder(name: str) -> str:
    """A name of an image as one folder's."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip(".-")[:120] or "image"


def _require_counting(base: Certificate) -> None:
    """Raise `UsageError` where the base's suite takes what is added for a fault, and cannot count it."""
    metrics = (metric.name for result in base.report.results if result.id == PACKAGES for metric in result.metrics)
    if COUNT not in metrics:
        raise UsageError(
            f"{base.image} has a suite that does not count what is added",
            "Build and certify it anew, and derive again.",
        )


def _require_same(base: Certificate, report: Report) -> None:
    """Raise `VerificationFailed` unless a report is by the suite of the base's certificate."""
    if (report.suite.sha256, report.gates, report.reference) != (
        base.report.suite.sha256,
        base.report.gates,
        base.report.reference,
    ):
        raise VerificationFailed("the report is by another suite than its base's", "Do not use this image.")


def _policy(suites: Suites, image: DerivedImage, derived: Derived) -> Policy:
    return Policy(
        suites,
        digest=image.digest,
        configuration=image.configuration,
        max_age_days=LONGEST_LIFE,
        derived=derived,
    )


def _statement(
    image: DerivedImage, report: Report, base: Certificate, derived: Derived, engine: str
) -> dict[str, object]:
    assert base.suite is not None  # noqa: S101 - a certificate of an unknown suite does not hold
    facts = {
        "name": name_of(base.image),
        "digest": image.digest,
        "configDigest": image.configuration.digest,
        "diffIDs": image.diff_ids,
        "platform": image.configuration.platform,
        "inputs": {},
        "parent": {"name": base.image, "digest": base.digest},
        "derived": msgspec.to_builtins(derived),
    }
    return certificate.statement(report, certificate.judge(report, base.suite, derived=True), facts, engine)
