"""One image that is to be certified on one device: what is asked of it, and the certificate that a report becomes.

Where the suite was run, on this machine or on a cluster's node, makes no difference here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assay import catalog, certificate
from assay.catalog import Built, Catalog, Image, read_images
from assay.catalog.drift import drift_inputs
from assay.certificate import Policy, Report, Suites, Verdict
from assay.certify.outcome import Options, Outcome
from assay.errors import UsageError, VerificationFailed


@dataclass(frozen=True)
class Asked:
    """An image as it is built, the plan that the suite is given, and the policy for its certificate."""

    catalog: Catalog
    image: Image
    built: Built
    plan: Mapping[str, object]
    policy: Policy
    options: Options

    @property
    def path(self) -> Path:
        """Where its certificate is kept."""
        return self.catalog.root / "build" / "certificates" / self.image.name / f"{self.options.device}.json"

    def kept(self) -> Outcome | None:
        """The outcome of the certificate that the image has, if that still holds and passed, and none is to be made
        again."""
        statement = None if self.options.again else certificate.read_statement(self.path)
        if statement is None:
            return None
        try:
            opened = certificate.read(statement, self.policy)
        except VerificationFailed:
            return None
        if not opened.verdict.passed or _lost(opened.verdict, self.options):
            return None
        return Outcome(
            opened.image, opened.device, 0.0, opened.report, opened.verdict, self.path, kept_from=opened.created
        )

    def certified(self, report: Report, seconds: float, engine: str) -> Outcome:
        """Judge a report and write its certificate; ``engine`` says what ran the suite.

        Raises `VerificationFailed` where the report is of another image than the one that is built.
        """
        verdict = certificate.judge(report, self.policy.suites.current)
        data = certificate.statement(report, verdict, self._subject(), engine)
        # A mark that it lacks is shown as what failed, with its remedy: the evidence is there, and is of this image.
        opened = certificate.read(data, dataclasses.replace(self.policy, marks=()))
        if opened.origin:
            raise VerificationFailed(opened.origin, "Run the smoke suite again, in the image that is built now.")
        certificate.write(self.path, data)
        marks = self.policy.marks
        lacking = (
            *(marks if set(marks) - set(opened.verdict.marks) else ()),
            *_lost(opened.verdict, self.options),
        )
        name, device = self.image.name, self.options.device
        return Outcome(name, device, seconds, report, opened.verdict, self.path, lacking=lacking)

    def _subject(self) -> dict[str, object]:
        built = self.built
        parent = read_images(self.catalog.root).images.get(self.image.parent or "")
        return {
            "name": self.image.name,
            "digest": built.digest,
            "configDigest": built.config,
            "diffIDs": built.diff_ids,
            "platform": self.image.built_for.name,
            "inputs": {**catalog.inputs(self.catalog, self.image), **drift_inputs(built.drift)},
            "parent": {"name": self.image.parent, "digest": parent.digest} if parent else None,
        }


def ask(cat: Catalog, image: Image, suites: Suites, options: Options) -> Asked:
    """What is asked of an image. Raises `UsageError` where it is not built, or not with this checkout's suite."""
    built = read_images(cat.root).images.get(image.name)
    if image.framework is None:
        raise UsageError(f"{image.name} has no framework: nothing is trained in it", "Name a framework image.")
    if built is None:
        raise not_built(image)
    if built.suite != suites.current.digest_of(image.framework.name):
        raise UsageError(
            f"{image.name} holds another smoke suite than this checkout",
            "Run `assay build`: only the last, small step of the image is made anew.",
        )
    plan = catalog.plan(image, options.device, options.ranks)
    policy = dataclasses.replace(catalog.policy(cat, image, built, suites, options.device), plan=plan)
    return Asked(cat, image, built, plan, policy, options)


def not_built(image: Image) -> UsageError:
    """The error for an image that is not there."""
    return UsageError(f"{image.name} is not built", f"Run `assay build {image.name}` first.")


def _lost(verdict: Verdict, options: Options) -> tuple[str, ...]:
    """Marks that were asked for with these options, and that something wrong took away; not those that a framework
    cannot have.
    """
    return tuple(mark for mark in verdict.lost if mark == "ranks" and options.ranks)
