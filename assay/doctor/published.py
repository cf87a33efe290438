"""What is certified of images in a registry, by the certificates that are attached there and signed."""

from __future__ import annotations

from collections.abc import Iterable

from assay import verify
from assay.attestation import Keys
from assay.certificate import Suites
from assay.doctor.compatibility import Certified
from assay.doctor.facts import Gathered, certified
from assay.errors import VerificationFailed
from assay.registry import Reference


def published(
    references: Iterable[Reference],
    key: Keys,
    suites: Suites,
    *,
    plain_http: bool = False,
    name: str | None = None,
    platform: str = "",
) -> Gathered:
    """What is certified of images in a registry, by the certificates attached there and signed with this key.

    They are held to what `assay verify` holds them to; one that does not hold is of no use. ``name`` is the image
    that they have to be, where their repositories have other names; ``platform`` is which of several is meant, else
    that of this machine. Raises `RegistryFailed` where a registry does not answer.
    """
    demands = verify.Demands(plain_http=plain_http, name=name, platform=platform)
    images, unusable = [], []
    for reference in references:
        try:
            images.append(_verified(reference, key, suites, demands))
        except VerificationFailed as error:
            unusable.append((str(reference), error.what))
    return images, unusable


def verified(reference: Reference, key: Keys, suites: Suites, *, plain_http: bool = False) -> Certified:
    """What is certified of an image in a registry, whatever its repository is called.

    Raises `VerificationFailed` where it does not hold, `RegistryFailed` where the registry does not answer.
    """
    found = verify.verify(reference, key, suites, verify.Demands(plain_http=plain_http))
    verify.require_passed(found)
    return _verified(reference.at(found.digest), key, suites, verify.Demands(plain_http=plain_http))


def _verified(reference: Reference, key: Keys, suites: Suites, demands: verify.Demands) -> Certified:
    found = verify.Verification(str(reference))
    certificates = verify.certificates(reference, key, suites, demands=demands, found=found)
    return certified(certificates, str(reference.at(certificates[0].digest)), found.ended)
