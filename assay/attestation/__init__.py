"""Signed statements about a published image: keys, bundles, provenance, SBOM."""

from assay.attestation.keyring import Keyring
from assay.attestation.keyring import read as read_keys
from assay.attestation.keys import Keys, PrivateKey, PublicKey, Signer, WrongKey, generate
from assay.attestation.provenance import provenance, test_result
from assay.attestation.statement import PROVENANCE, SBOM, SUPPORT, TEST_RESULT

# fmt: off
__all__ = [
    "PROVENANCE", "SBOM", "SUPPORT", "TEST_RESULT", "Keyring", "Keys", "PrivateKey", "PublicKey", "Signer",
    "WrongKey", "generate", "provenance", "read_keys", "test_result",
]
