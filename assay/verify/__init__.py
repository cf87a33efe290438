"""Verify a published image from its registry alone, with the publisher's public keys: no engine, no checkout.

`verify(Reference.parse(...), read_keys(...), Suites.read(...))` gives a `Verification`.
"""

from assay.verify.attached import evidence
from assay.verify.image import certificates, require_passed, row, verify, verify_in
from assay.verify.verdict import NEEDED, Demands, Verification

__all__ = [
    "NEEDED",
    "Demands",
    "Verification",
    "certificates",
    "evidence",
    "require_passed",
    "row",
    "verify",
    "verify_in",
]
