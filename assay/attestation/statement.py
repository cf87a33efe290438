"""The types of the statements that stand beside an image's certificates."""

from __future__ import annotations

PROVENANCE = "https://slsa.dev/provenance/v1"
SBOM = "https://cyclonedx.org/bom"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SUPPORT = "urn:assay:support:v1"
