"""The certified image that another stands on: found by its layers, and held to its certificate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from assay import certificate, verify
from assay.attestation import Keys
from assay.certificate import LONGEST_LIFE, Certificate, Policy, Suites
from assay.derive.image import DerivedImage
from assay.errors import CertificateFailed, UsageError, VerificationFailed
from assay.host.foreign import shown
from assay.registry import Reference
from assay.verify import Demands

FOLDERS = ("build/certificates", "certificates")


def of_checkout(root: Path, suites: Suites) -> list[Certificate]:
    """The certificates that a checkout, or this Assay, has, each judged anew."""
    paths = (path for folder in FOLDERS for path in sorted((root / folder).rglob("*.json")))
    return [opened for path in paths if (opened := _opened(path, suites)) is not None]


def of_file(path: Path, suites: Suites) -> list[Certificate]:
    """The certificate in a file. Raises `UsageError` for what is none."""
    opened = _opened(path, suites)
    if opened is None:
        raise UsageError(f"{path} is no certificate", "Name one that `assay smoke` wrote, or a reference and --key.")
    return [opened]


def of_registry(reference: Reference, key: Keys, suites: Suites, *, plain_http: bool) -> list[Certificate]:
    """Those of a published image. Raises `VerificationFailed` where `assay verify` finds something wrong."""
    demands = Demands(plain_http=plain_http)
    found = verify.verify(reference, key, suites, demands)
    verify.require_passed(found)
    return verify.certificates(reference.at(found.digest), key, suites, demands=demands)


def choose(image: DerivedImage, certificates: Iterable[Certificate], device: str) -> Certificate:
    """The certificate of the base that an image stands on: of those whose layers it begins with, the one with most.

    Raises `VerificationFailed` where it stands on none, or the certificate does not hold, `CertificateFailed` where
    the base is not certified on this device, `UsageError` where the image is the base itself.
    """
    name, below = shown(image.name), list(_below(image, certificates))
    if not below:
        raise VerificationFailed(
            f"{name}: its layers begin with no certified image's",
            "Derive it from an image that is certified here (`assay smoke`), or name its base: --base REF --key KEY.",
        )
    most = max(len(one.diff_ids) for one in below)
    on = [one for one in below if len(one.diff_ids) == most]
    base = on[0].image
    if any(one.digest == image.digest for one in on):
        raise UsageError(f"{name} is {base} itself, and not derived from it", f"Run `assay smoke {base}`.")
    of_it = [one for one in on if one.device == device]
    if not of_it:
        raise CertificateFailed(
            f"{name} stands on {base}, which has no certificate on the {device}",
            f"Certify that first: `assay smoke {base} --device {device}`.",
        )
    (newest,) = certificate.worst_of_newest(of_it)
    if not newest.verdict.passed:
        what, why = newest.verdict.problems[0]
        raise VerificationFailed(
            f"{name} stands on {base}, whose certificate does not hold: {what}: {shown(why)[:200]}",
            f"Certify that first: `assay smoke {base}`.",
        )
    return newest


def _below(image: DerivedImage, certificates: Iterable[Certificate]) -> Iterator[Certificate]:
    for one in certificates:
        count = len(one.diff_ids)
        if count and one.derived is None and image.diff_ids[:count] == one.diff_ids:
            yield one


def _opened(path: Path, suites: Suites) -> Certificate | None:
    statement = certificate.read_statement(path)
    if statement is None:
        return None
    try:
        return certificate.read(statement, Policy(suites, max_age_days=LONGEST_LIFE))
    except VerificationFailed:
        return None
