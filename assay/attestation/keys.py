"""Keys on disk, and what they sign: statements in Sigstore bundles, without a transparency log.

The keys are ECDSA on P-256 over SHA-256, as ``cosign verify-attestation --key`` takes them. Signatures are
deterministic (RFC 6979): the same statement and key give the same bundle, so what is published is not sent again.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from assay.attestation.bundle import PAYLOAD_TYPE, decode, encode, payload_of, to_be_signed
from assay.errors import UsageError, VerificationFailed
from assay.host.secrets import PASSWORD_VARIABLE

SHORTEST_PASSWORD = 8  # of a new key
LARGEST_KEY = 64 * 2**10


class WrongKey(VerificationFailed):
    """A statement was signed with another key."""


class OtherKind(VerificationFailed):
    """A statement was signed without a key where one is asked for, or with one where an identity is."""


@dataclass(frozen=True)
class Opened:
    """A payload whose signature holds, and who signed it: a key, with its last day if it has one, or an identity."""

    payload: bytes
    key: str = ""
    until: datetime.date | None = None
    identity: str = ""


class Keys(Protocol):
    """What signatures are checked with: one public key, the several of a `Keyring`, or an `Identity`."""

    @property
    def named(self) -> str:
        """How a message goes on after "signed": with which key, or by whom."""

    @property
    def todo(self) -> str:
        """What to name in their place, where nothing is signed so."""

    def opened(self, bundle: bytes, now: datetime.datetime) -> Opened:
        """Return what is signed. Raises `WrongKey` or `OtherKind` if it was otherwise, else `VerificationFailed`."""


class Signer(Protocol):
    """What statements are signed with."""

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """Return the Sigstore bundle of a Statement."""


class WithKey:
    """How messages call that a key is asked for."""

    named = "with this key"
    todo = "Name the publisher's key with --key."


@dataclass(frozen=True)
class PublicKey(WithKey):
    """What a signature is checked with."""

    key: ec.EllipticCurvePublicKey

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Read a PEM file; `UsageError` unless it is a public key on P-256."""
        return cls.parse(_read(path), str(path))

    @classmethod
    def parse(cls, pem: bytes, shown: str) -> PublicKey:
        """Read a PEM text, which errors name as ``shown``; raises as `read` does."""
        todo = "Name the .pub file that `assay keygen` wrote, or that the publisher gave out."
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise UsageError(f"{shown} is no public key in PEM", todo) from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise UsageError(f"{shown} is no key of ECDSA on P-256", todo)
        return cls(key)

    def pem(self) -> bytes:
        """Return the key as cosign takes it."""
        return self.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def hint(self) -> str:
        """The name of the key in bundles: the hash of its DER form."""
        der = self.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    def open(self, bundle: bytes) -> bytes:
        """Return the payload of a bundle that this key signed.

        Raises `WrongKey` if another key signed it, `OtherKind` if none did, `VerificationFailed` if it was stripped,
        edited or is malformed.
        """
        todo = "Do not use what it is attached to, or ask the publisher for the key."
        opened = decode(bundle)
        if opened.dsse_envelope.payload_type != PAYLOAD_TYPE:
            kind = opened.dsse_envelope.payload_type[:60]
            raise VerificationFailed(f"the bundle holds {kind!r}, and no statement", todo)
        if not opened.signatures:
            raise VerificationFailed("the signature was stripped: the bundle has none", todo)
        if any(self._fits(signature, opened.payload) for signature in opened.signatures):
            return opened.payload
        if not opened.by_key:
            raise OtherKind("it was signed by an identity, and with no key", todo)
        if opened.hint != self.hint:
            raise WrongKey("it was signed with another key", todo)
        raise VerificationFailed("the payload or its signature was edited: they do not fit", todo)

    def opened(self, bundle: bytes, now: datetime.datetime) -> Opened:  # noqa: ARG002 - of this key nothing is dated
        """As `open`, with the name of the key, which is the beginning of its hint."""
        return Opened(self.open(bundle), self.hint[:12])

    def _fits(self, signature: bytes, payload: bytes) -> bool:
        with contextlib.suppress(InvalidSignature):
            self.key.verify(signature, to_be_signed(payload), ec.ECDSA(hashes.SHA256()))
            return True
        return False


@dataclass(frozen=True)
class PrivateKey:
    """What statements are signed with."""

    key: ec.EllipticCurvePrivateKey

    @classmethod
    def read(cls, path: Path, password: str) -> PrivateKey:
        """Read an encrypted PEM file; `UsageError` for a wrong password and for any other kind of key."""
        try:
            key = serialization.load_pem_private_key(_read(path), password.encode())
        except TypeError:
            raise UsageError(f"{path} is not encrypted", "Use a key that `assay keygen` made.") from None
        except (ValueError, UnsupportedAlgorithm):
            raise UsageError(
                f"{path} cannot be opened: the password is wrong, or it is no encrypted key in PEM",
                f"The password is asked for, or taken from {PASSWORD_VARIABLE}.",
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise UsageError(f"{path} is no key of ECDSA on P-256", "Use a key that `assay keygen` made.")
        return cls(key)

    @property
    def public(self) -> PublicKey:
        """The public half of the key."""
        return PublicKey(self.key.public_key())

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """Return the Sigstore bundle of a Statement; the same bytes for the same statement."""
        payload = payload_of(statement)
        signature = self.key.sign(to_be_signed(payload), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        return encode(payload, signature, self.public.hint)


def generate(prefix: Path, password: str) -> tuple[Path, Path]:
    """Write a key pair: ``prefix``.key, encrypted and readable by its owner only, and ``prefix``.pub.

    Nothing is overwritten: raises `UsageError` if one of the two files exists, and for a short password.
    """
    if not password:
        raise UsageError("the password is empty", f"Type one, or set {PASSWORD_VARIABLE}.")
    if len(password) < SHORTEST_PASSWORD:
        what = f"the password has fewer than {SHORTEST_PASSWORD} characters: whoever gets the file finds it soon"
        raise UsageError(what, "Take several words that do not belong together.")
    if not prefix.name:
        raise UsageError(f"{str(prefix)!r} is no name for a key", "Give one with --out, such as --out assay.")
    # It takes a seventh of what `assay verify` takes in all to import this, and only a new key needs it.
    from assay.attestation import encrypted  # noqa: PLC0415

    private = ec.generate_private_key(ec.SECP256R1())
    secret = encrypted.pem(private, password.encode())
    paths = prefix.with_name(f"{prefix.name}.key"), prefix.with_name(f"{prefix.name}.pub")
    for path in paths:
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} is there already", "Give another name with --out, or keep that key.")
    for path, data, mode in zip(paths, (secret, PrivateKey(private).public.pem()), (0o600, 0o644), strict=True):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123
            file.write(data)
    return paths


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_KEY)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Name a key file.") from None
