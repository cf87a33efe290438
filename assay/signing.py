"""Keys and signed statements: DSSE in a Sigstore bundle, with a local key and no transparency log.

ECDSA on P-256 over SHA-256, which ``cosign verify-attestation --key`` takes. Signatures are deterministic (RFC 6979):
the same statement under the same key is the same bundle, so that what is published already is not sent again.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from assay.errors import UsageError, VerificationFailed

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_TYPES = re.compile(r"application/vnd\.dev\.sigstore\.bundle(\.v[0-9]+\.[0-9]+\+json|\+json;version=[0-9.]+)")
PAYLOAD_TYPE = "application/vnd.in-toto+json"
LARGEST_BUNDLE = 32 * 2**20
LARGEST_KEY = 64 * 2**10
PASSWORD_VARIABLE = "ASSAY_PASSWORD"  # noqa: S105 - a variable's name


class _Signature(msgspec.Struct, frozen=True):
    sig: bytes
    keyid: str = ""


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    payload: bytes
    payload_type: str
    signatures: Annotated[tuple[_Signature, ...], msgspec.Meta(max_length=16)]


class _PublicKey(msgspec.Struct, frozen=True):
    hint: str = ""


class _Material(msgspec.Struct, frozen=True, rename="camel"):
    public_key: _PublicKey | None = None


class _Bundle(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope


class WrongKey(VerificationFailed):
    """A statement was signed with another key."""


@dataclass(frozen=True)
class PublicKey:
    """What a signature is checked with."""

    key: ec.EllipticCurvePublicKey

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Read a PEM file; `UsageError` unless it is a public key on P-256."""
        todo = "Name the .pub file that `assay keygen` wrote, or that the publisher gave out."
        try:
            key = serialization.load_pem_public_key(_read(path))
        except (ValueError, UnsupportedAlgorithm):
            raise UsageError(f"{path} is no public key in PEM", todo) from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise UsageError(f"{path} is no key of ECDSA on P-256", todo)
        return cls(key)

    def pem(self) -> bytes:
        """The key as cosign takes it."""
        return self.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def hint(self) -> str:
        """What bundles call the key: the hash of its DER form."""
        der = self.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    def open(self, bundle: bytes) -> bytes:
        """The payload of a bundle, once its signature is found to be this key's.

        `WrongKey` for another key's; `VerificationFailed` for what was stripped, edited or malformed.
        """
        todo = "Do not use what it is attached to, or ask the publisher for the key."
        found = _decoded(bundle)
        envelope = found.dsse_envelope
        if envelope.payload_type != PAYLOAD_TYPE:
            raise VerificationFailed(f"the bundle holds {envelope.payload_type[:60]!r}, and no statement", todo)
        if not any(one.sig for one in envelope.signatures):
            raise VerificationFailed("the signature was stripped: the bundle has none", todo)
        if any(self._fits(one.sig, envelope.payload) for one in envelope.signatures):
            return envelope.payload
        named = found.verification_material.public_key
        if named is None or named.hint != self.hint:
            raise WrongKey("it was signed with another key", todo)
        raise VerificationFailed("the payload or its signature was edited: they do not fit", todo)

    def _fits(self, signature: bytes, payload: bytes) -> bool:
        with contextlib.suppress(InvalidSignature):
            self.key.verify(signature, _pae(payload), ec.ECDSA(hashes.SHA256()))
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
        """The other half."""
        return PublicKey(self.key.public_key())

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """A Sigstore bundle of a Statement; the same bytes for the same statement."""
        payload = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        signature = self.key.sign(_pae(payload), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        bundle = _Bundle(
            media_type=BUNDLE_TYPE,
            verification_material=_Material(_PublicKey(self.public.hint)),
            dsse_envelope=_Envelope(payload, PAYLOAD_TYPE, (_Signature(signature),)),
        )
        return msgspec.json.encode(bundle)


def generate(prefix: Path, password: str) -> tuple[Path, Path]:
    """Make a key pair: ``prefix``.key, encrypted and readable by its owner only, and ``prefix``.pub.

    Never overwrites: `UsageError` where one of the two is there.
    """
    if not password:
        raise UsageError("the password is empty", f"Type one, or set {PASSWORD_VARIABLE}.")
    private = ec.generate_private_key(ec.SECP256R1())
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )
    paths = prefix.with_name(f"{prefix.name}.key"), prefix.with_name(f"{prefix.name}.pub")
    for path in paths:
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} is there already", "Give another name with --out, or keep that key.")
    for path, data, mode in zip(paths, (secret, PrivateKey(private).public.pem()), (0o600, 0o644), strict=True):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123
            file.write(data)
    return paths


def _pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _decoded(bundle: bytes) -> _Bundle:
    todo = "Do not use what it is attached to."
    try:
        found = msgspec.json.decode(bundle, type=_Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VerificationFailed(f"the bundle is malformed: {error}", todo) from None
    if not BUNDLE_TYPES.fullmatch(found.media_type):
        raise VerificationFailed(f"the bundle is of the type {found.media_type[:60]!r}, which is unknown", todo)
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_KEY)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Name a key file.") from None
