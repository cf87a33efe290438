"""A tag that is an index: which of its images is verified, and every way in which it may name another."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import verify
from assay.attestation import PROVENANCE
from assay.errors import VerificationFailed
from assay.host import machine
from assay.registry import OCI_INDEX, OCI_MANIFEST, Manifest, Repository, image_of, platforms, with_image
from tests.fake_registry import FakeRegistry
from tests.published import TAG, Image, image, key, put, reference
from tests.unit.verify.known import JSON, ask, problems

AMD64, ARM64 = "linux/amd64", "linux/arm64"
ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}


def both() -> dict[str, Image]:
    return {platform: image(platform=platform) for platform in (AMD64, ARM64)}


def entry(made: Image, platform: str, **more: Any) -> dict[str, Any]:
    system, _, architecture = platform.partition("/")
    on = {"architecture": architecture, "os": system}
    size = len(made.manifest.data)
    return {"mediaType": OCI_MANIFEST, "digest": made.digest, "size": size, "platform": on, **more}


def put_index(fake: FakeRegistry, *entries: dict[str, Any], **more: Any) -> None:
    """Write the images, each with what is attached to it, and an index that says this of them."""
    for made in both().values():
        put(fake.host, made, tags=())
    data = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, **more}
    fake.manifests[reference("").path, TAG] = (OCI_INDEX, json.dumps(data).encode())


@pytest.fixture
def index(fake: FakeRegistry) -> FakeRegistry:
    put_index(fake, *(entry(made, platform) for platform, made in both().items()))
    return fake


@pytest.mark.parametrize(("kernel", "platform"), [("x86_64", AMD64), ("aarch64", ARM64)])
def test_the_image_of_this_machine_is_meant(
    index: FakeRegistry, kernel: str, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "architecture", lambda: kernel)
    found = ask(index)
    assert found.passed, found.problems
    assert (found.digest, found.platform) == (both()[platform].digest, platform)
    digest, _ = verify.evidence(reference(index.host), key().public, PROVENANCE)
    assert digest == found.digest


@pytest.mark.parametrize("platform", [AMD64, ARM64])
def test_or_the_one_that_is_asked_for(index: FakeRegistry, platform: str) -> None:
    found = ask(index, platform=platform)
    assert found.passed, found.problems
    assert (found.digest, verify.row(found)["platform"]) == (both()[platform].digest, platform)


def test_a_digest_is_of_whatever_platform_it_is(index: FakeRegistry) -> None:
    assert ask(index, None, both()[ARM64].digest).passed
    assert "linux/amd64 was asked for" in problems(index, None, both()[ARM64].digest, platform=AMD64)


def test_a_platform_that_it_lacks(fake: FakeRegistry) -> None:
    put_index(fake, entry(both()[AMD64], AMD64), entry(both()[ARM64], ARM64, annotations=ATTESTATION))
    assert "is an index with no images for linux/arm64; it has linux/amd64" in problems(fake, platform=ARM64)


def test_two_images_for_one_platform(fake: FakeRegistry) -> None:
    put_index(fake, *(entry(made, AMD64) for made in both().values()))
    assert "is an index with 2 images for linux/amd64" in problems(fake, platform=AMD64)


def test_an_index_that_calls_an_image_by_another_platform(fake: FakeRegistry) -> None:
    put_index(fake, entry(both()[AMD64], ARM64))
    assert "linux/arm64 was asked for, and the image is of linux/amd64" in problems(fake, platform=ARM64)


def test_an_index_that_is_an_image_as_well(fake: FakeRegistry) -> None:
    put_index(fake, entry(both()[AMD64], AMD64), layers=[])
    assert "is an index and an image at once" in problems(fake, platform=AMD64)


def test_an_index_in_an_index(fake: FakeRegistry) -> None:
    inner = Manifest(json.dumps({"schemaVersion": 2, "manifests": []}).encode(), OCI_INDEX)
    put_index(fake, {**entry(both()[AMD64], AMD64), "digest": inner.digest, "mediaType": OCI_INDEX})
    fake.manifests[reference("").path, inner.digest] = (OCI_INDEX, inner.data)
    assert "index of several images" in problems(fake, platform=AMD64)


def test_an_index_without_end(fake: FakeRegistry) -> None:
    put_index(fake, *[entry(both()[AMD64], AMD64)] * 65)
    assert "lists 65 manifests, and at most 64 are read" in problems(fake, platform=AMD64)


@given(JSON | st.fixed_dictionaries({"manifests": st.lists(JSON)}) | st.fixed_dictionaries({"manifests": JSON}))
def test_no_index_makes_a_traceback(data: object) -> None:
    found = Manifest(json.dumps(data).encode(), OCI_INDEX)
    with contextlib.suppress(VerificationFailed):
        assert all(isinstance(platform, str) for platform in platforms(found))


def test_an_index_grows_by_one_platform_at_a_time(fake: FakeRegistry) -> None:
    made = both()
    first = with_image(None, made[ARM64].manifest, ARM64)
    second = with_image(first, made[AMD64].manifest, AMD64)
    assert list(platforms(second)) == [AMD64, ARM64]
    assert with_image(second, made[AMD64].manifest, AMD64).data == second.data
    newer = image("2.16.0")
    third = with_image(second, newer.manifest, AMD64)
    put(fake.host, newer, tags=())
    put(fake.host, made[ARM64], tags=())
    with Repository(reference(fake.host, "some"), pause=0.001) as there:
        there.put_manifest(third.data, third.media_type, "some")
        assert image_of(there, AMD64)[0].digest == newer.digest
        assert image_of(there, ARM64)[0].digest == made[ARM64].digest


def test_what_is_no_index_is_not_merged() -> None:
    made = both()
    assert list(platforms(with_image(made[AMD64].manifest, made[ARM64].manifest, ARM64))) == [ARM64]
