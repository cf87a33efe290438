"""What a publisher says of upstream's support of an image, signed apart, since it changes after the image was made.

It stands beside the certificates, and the manifest that carries it has the month as an annotation, for whoever lists
what is attached and opens nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec

from assay.attestation.statement import SUPPORT
from assay.certificate.statement import in_toto
from assay.errors import VerificationFailed

ANNOTATION = "assay.support.until"


class _Support(msgspec.Struct, frozen=True):
    until: Annotated[str, msgspec.Meta(pattern=r"^20\d\d-(0[1-9]|1[0-2])\Z")]
    why: Annotated[str, msgspec.Meta(max_length=256)]


def support(name: str, digest: str, told: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the statement: the last month (``until``), ``why``, and the first one (``since``) if it is known."""
    return in_toto(name, digest, SUPPORT, {key: value for key, value in told.items() if value})


def annotated(statement: Mapping[str, Any]) -> dict[str, str]:
    """Return what the manifest says that carries a statement: of support its last month, of others nothing."""
    about_support = statement["predicateType"] == SUPPORT
    return {ANNOTATION: str(statement["predicate"]["until"])} if about_support else {}


def ended(predicates: Iterable[Mapping[str, Any]], now: datetime.datetime) -> str:
    """Return that support has ended, in words; empty where it has not. Of several the earliest end counts.

    Raises `VerificationFailed` for one that is malformed.
    """
    try:
        several = [msgspec.convert(predicate, type=_Support) for predicate in predicates]
    except (msgspec.ValidationError, RecursionError) as error:
        raise VerificationFailed(
            f"the signed statement of support is malformed: {error}", "Ask its publisher."
        ) from None
    first = min(several, key=lambda one: one.until, default=None)
    over = first is not None and first.until < f"{now:%Y-%m}"
    return f"upstream's support ended {first.until}: {first.why}" if first and over else ""
