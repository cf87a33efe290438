from __future__ import annotations

import pytest

from assay import attestation
from tests.published import Image, image


@pytest.fixture
def made() -> Image:
    return image()


def test_provenance_names_what_is_needed_to_build_again(made: Image) -> None:
    commit = "c" * 40
    found = attestation.provenance(made.certificate, "2026-11-22T17:00:00Z", {"cuda/1": "sha256:" + "a" * 64}, commit)
    materials = {one["name"]: one["digest"] for one in found["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert materials["source"] == {"gitCommit": commit}
    assert materials["cuda/1"] == {"sha256": "a" * 64}
    inputs = made.certificate["predicate"]["image"]["inputs"]
    assert inputs
    assert all(materials[path] == {"sha256": value} for path, value in inputs.items())
    assert found["subject"] == made.certificate["subject"]


def test_provenance_names_the_caches_that_may_have_given_layers(made: Image) -> None:
    def parameters(*caches: str) -> object:
        found = attestation.provenance(made.certificate, "2026-11-22T17:00:00Z", {}, "c" * 40, caches)
        return found["predicate"]["buildDefinition"]["internalParameters"]

    suite = made.certificate["predicate"]["suite"]["digest"]
    assert parameters() == {"suite": suite}
    assert parameters("r.example/b", "r.example/a", "r.example/b") == {
        "suite": suite, "caches": ["r.example/a", "r.example/b"],
    }  # fmt: skip
