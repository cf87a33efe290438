"""What a provenance names, and the sources that it names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import attestation
from assay.errors import UsageError, VerificationFailed
from assay.reproduce.source import Source, check_inputs, exported, source_of
from tests import published
from tests.unit.reproduce.made import COMMIT, git


def statement(commit: str | None = COMMIT, **inputs: str) -> dict[str, Any]:
    made = published.image().certificate
    made["predicate"]["image"]["inputs"] = {"images/x": "a" * 64, **inputs}
    return attestation.provenance(made, "2026-11-22T17:00:00Z", {"base/x": "sha256:" + "b" * 64}, commit)


def test_what_the_provenance_names() -> None:
    assert source_of(statement()) == Source(published.name(), COMMIT, {"images/x": "a" * 64})


def test_the_caches_that_the_provenance_names() -> None:
    made = statement()
    made["predicate"]["buildDefinition"]["internalParameters"]["caches"] = ["r.example/cache"]
    assert source_of(made).caches == ("r.example/cache",)


def test_a_provenance_without_a_commit_cannot_be_rebuilt() -> None:
    with pytest.raises(VerificationFailed, match="names no commit"):
        source_of(statement(None))


@pytest.mark.parametrize("commit", ["--output=/etc/passwd", "HEAD", "c" * 39, COMMIT + "\n", "C" * 40])
def test_what_is_no_commit_is_refused(commit: str) -> None:
    with pytest.raises(VerificationFailed, match="malformed"):
        source_of(statement(commit))


NAMES = ["buildDefinition", "externalParameters", "resolvedDependencies", "image", "name", "digest"]


PREDICATES = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)


@given(PREDICATES)
def test_any_predicate_is_a_source_or_a_problem(predicate: Any) -> None:
    with pytest.raises(VerificationFailed):
        source_of({"predicate": predicate})


def test_the_tree_of_the_commit_and_not_the_work_tree(checkout: Path) -> None:
    with exported(checkout, git(checkout, "rev-parse", "HEAD")) as tree:
        assert (tree / "images/torchy/requirements.in").read_text() == "torch==2.0"
    assert not tree.exists()


def test_a_commit_that_is_not_there(checkout: Path) -> None:
    with pytest.raises(UsageError, match="the commit cccccccccccc cannot be had"), exported(checkout, COMMIT):
        pass


def test_inputs_are_held_against_the_provenance(tmp_path: Path) -> None:
    (tmp_path / "tree/images").mkdir(parents=True)
    (tmp_path / "tree/images/x").write_text("x")
    (tmp_path / "outside").write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()
    check_inputs(Source("i", COMMIT, {"images/x": digest}), tmp_path / "tree")
    for inputs, said in (
        ({"images/x": "0" * 64}, "images/x is 2d711642b726 at cccccccccccc, and the provenance says 000000000000"),
        ({"images/y": digest}, "images/y is nothing"),
        ({"images/../../outside": digest}, "outside is nothing"),
        ({}, "names no inputs"),
    ):
        with pytest.raises(VerificationFailed, match=said):
            check_inputs(Source("i", COMMIT, inputs), tmp_path / "tree")
