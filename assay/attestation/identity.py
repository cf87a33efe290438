"""Whose keyless signatures count: an identity, and the issuer that vouched for it. It takes the extra ``keyless``.

The sigstore library does the checking, against a trust root: the certificate's chain and its entry in a log of
certificates, the time that a transparency log or an authority vouches for, the log's entry, and the signature.
"""

from __future__ import annotations

import datetime
import logging
from dataclasses import dataclass
from pathlib import Path

from cryptography.x509 import (
    Certificate,
    ExtensionNotFound,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
)
from sigstore.errors import Error
from sigstore.errors import VerificationError as Refused
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

from assay.attestation.bundle import PAYLOAD_TYPE, decode
from assay.attestation.keys import Opened, OtherKind, WrongKey
from assay.errors import RegistryFailed, UsageError, VerificationFailed

# What it warns of is either an error by then or no matter; without a handler Python prints it.
logging.getLogger("sigstore").addHandler(logging.NullHandler())

_TODO = "Do not use what it is attached to, or ask the publisher for the identity and its issuer."


class WrongIdentity(WrongKey):
    """A statement was signed by another identity, or another issuer vouched for it."""


@dataclass(frozen=True)
class _Signed:
    """The library's policy: a certificate of this identity and no other. Asked once its chain is known to hold."""

    identity: str
    issuer: str

    def verify(self, certificate: Certificate) -> None:
        """Raise `WrongIdentity` for any other."""
        try:
            policy.OIDCIssuer(self.issuer).verify(certificate)
        except Refused:
            raise WrongIdentity(f"it was signed by an identity that {self.issuer} did not vouch for", _TODO) from None
        try:
            policy.Identity(identity=self.identity, issuer=self.issuer).verify(certificate)
        except (Refused, ExtensionNotFound):
            raise WrongIdentity(f"it was signed by another identity: {names_of(certificate)[:300]}", _TODO) from None


@dataclass(frozen=True)
class Identity:
    """A signer as a certificate names it (an e-mail address, a workflow's URL), and the URL of the issuer."""

    identity: str
    issuer: str
    verifier: Verifier

    named = "by this identity"
    todo = "Name the publisher's with --identity and --issuer."

    @classmethod
    def trusted(cls, identity: str, issuer: str, trust_root: Path | None = None) -> Identity:
        """One whose signatures are checked against a trust root: a file, or the public-good instance's.

        The file is Sigstore's trusted_root.json, and then no network is needed. The public-good one is brought up to
        date over it. Raises `UsageError` for a file that is none, `RegistryFailed` where there is no network.
        """
        return cls(identity, issuer, public_verifier() if trust_root is None else verifier_of(trust_root))

    def opened(self, bundle: bytes, now: datetime.datetime) -> Opened:  # noqa: ARG002 - others vouch for the time
        """Return what the identity signed.

        Raises `OtherKind` if a key did, `WrongIdentity` if another identity did, else `VerificationFailed`.
        """
        if decode(bundle).by_key:
            raise OtherKind("it was signed with a key, and by no identity", _TODO)
        try:
            kind, payload = self.verifier.verify_dsse(Bundle.from_json(bundle), _Signed(self.identity, self.issuer))
        except VerificationFailed:
            raise
        except Exception as error:  # of a hostile bundle the library raises whatever it stumbles over
            raise VerificationFailed(f"its keyless signature does not hold: {line_of(error)}", _TODO) from None
        if kind != PAYLOAD_TYPE:
            raise VerificationFailed(f"the bundle holds {kind[:60]!r}, and no statement", _TODO)
        return Opened(payload, identity=f"{self.identity} ({self.issuer})")


def names_of(certificate: Certificate) -> str:
    """Return whom a certificate names; several with commas, none as such."""
    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return "nobody"
    found = names.get_values_for_type(RFC822Name) + names.get_values_for_type(UniformResourceIdentifier)
    return ", ".join(found) or "nobody"


def issuer_of(certificate: Certificate) -> str:
    """Return the issuer that vouched for whom a certificate names; empty where it has none."""
    try:
        extension = certificate.extensions.get_extension_for_oid(policy.OIDCIssuer.oid).value
    except ExtensionNotFound:
        return ""
    return extension.public_bytes().decode()


def public_verifier() -> Verifier:
    """What checks against the public-good instance's trust root, brought up to date by TUF."""
    try:
        return Verifier.production()
    except (Error, OSError) as error:
        raise RegistryFailed(
            f"the public trust root of Sigstore cannot be brought up to date: {line_of(error)}",
            "Let this machine reach it, or name a copy that you trust: --trust-root FILE.",
        ) from None


def verifier_of(trust_root: Path) -> Verifier:
    """What checks against the trust root in a file."""
    try:
        return Verifier(trusted_root=TrustedRoot.from_file(str(trust_root)))
    except OSError as error:
        raise UsageError(f"{trust_root} cannot be read: {error.strerror}", "Name a trust root.") from None
    except Exception as error:  # of what is no trust root the library raises whatever it stumbles over
        raise UsageError(
            f"{trust_root} is no trust root of Sigstore: {line_of(error)}", "Name a file as trusted_root.json is."
        ) from None


def line_of(error: BaseException) -> str:
    """What an error of the library says, and what it came of, in a line of bounded length."""
    several = (error, error.__cause__) if error.__cause__ else (error,)
    return ": ".join(" ".join(str(one).split())[:200] or type(one).__name__ for one in several)
