"""The Sigstore bundle that a signed statement is kept in: a DSSE envelope, and a hint at the key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from assay.errors import VerificationFailed

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_TYPES = re.compile(r"application/vnd\.dev\.sigstore\.bundle(\.v[0-9]+\.[0-9]+\+json|\+json;version=[0-9.]+)")
PAYLOAD_TYPE = "application/vnd.in-toto+json"
LARGEST_BUNDLE = 32 * 2**20


class _Signature(msgspec.Struct, frozen=True):
    sig: bytes
    keyid: str = ""


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    payload: bytes
    payload_type: str
    signatures: Annotated[tuple[_Signature, ...], msgspec.Meta(max_length=16)]


class _KeyHint(msgspec.Struct, frozen=True):
    hint: str = ""


class _Material(msgspec.Struct, frozen=True, rename="camel"):
    public_key: _KeyHint | None = None


class Bundle(msgspec.Struct, frozen=True, rename="camel"):
    """A Sigstore bundle, as far as it is used here."""

    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope

    @property
    def payload(self) -> bytes:
        """The signed statement."""
        return self.dsse_envelope.payload

    @property
    def signatures(self) -> tuple[bytes, ...]:
        """The signatures; one that was emptied is left out."""
        return tuple(signature.sig for signature in self.dsse_envelope.signatures if signature.sig)

    @property
    def by_key(self) -> bool:
        """Whether it names a key as what it was signed with, and no certificate."""
        return self.verification_material.public_key is not None

    @property
    def hint(self) -> str | None:
        """What the bundle calls the key that it was signed with; None if it names none."""
        named = self.verification_material.public_key
        return named.hint if named else None


def payload_of(statement: Mapping[str, Any]) -> bytes:
    """Return what is signed of a Statement: the same bytes for the same statement."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def encode(payload: bytes, signature: bytes, hint: str) -> bytes:
    """Return the bundle of one signature; the same bytes for the same payload and signature."""
    bundle = Bundle(
        media_type=BUNDLE_TYPE,
        verification_material=_Material(_KeyHint(hint)),
        dsse_envelope=_Envelope(payload, PAYLOAD_TYPE, (_Signature(signature),)),
    )
    return msgspec.json.encode(bundle)


def decode(bundle: bytes) -> Bundle:
    """Return a bundle; `VerificationFailed` for whatever is none."""
    todo = "Do not use what it is attached to."
    try:
        decoded = msgspec.json.decode(bundle, type=Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VerificationFailed(f"the bundle is malformed: {error}", todo) from None
    if not BUNDLE_TYPES.fullmatch(decoded.media_type):
        raise VerificationFailed(f"the bundle is of the type {decoded.media_type[:60]!r}, which is unknown", todo)
    return decoded


def to_be_signed(payload: bytes) -> bytes:
    """Return the bytes that a signature is made of: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
