"""Signed statements about a published image: keys, bundles, provenance, SBOM."""

from assay.attestation.keys import PASSWORD_VARIABLE, PrivateKey, PublicKey, WrongKey, generate
from assay.attestation.provenance import provenance, test_result
from assay.attestation.statement import PROVENANCE, SBOM, TEST_RESULT

__all__ = [
    "PASSWORD_VARIABLE",
    "PROVENANCE",
    "SBOM",
    "TEST_RESULT",
    "PrivateKey",
    "PublicKey",
    "WrongKey",
    "generate",
    "provenance",
    "test_result",
]
