"""Signed statements about a published image: keys, bundles, provenance, SBOM."""

from assay.attestation.keys import PrivateKey, PublicKey, WrongKey, generate
from assay.attestation.provenance import provenance, test_result
from assay.attestation.statement import PROVENANCE, SBOM, TEST_RESULT

__all__ = [
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
