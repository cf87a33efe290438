"""Manifests, tags and what is attached, against a registry that misbehaves."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import AssayError, RegistryFailed, VerificationFailed
from assay.registry import (
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    ImageManifest,
    NotThere,
    digest_of,
    fallback_tag,
)
from tests.fake_registry import Answer, FakeRegistry
from tests.unit.registry.known import BLOB, DATA, DIGEST, repository, send


def test_nothing_of_that_name(fake: FakeRegistry) -> None:
    with repository(fake) as there:
        assert there.digest("latest") is None
        with pytest.raises(NotThere, match="no such thing"):
            there.manifest()


def test_what_is_too_large_is_not_read(fake: FakeRegistry) -> None:
    fake.blobs["team/app", DIGEST] = DATA
    fake.manifests["team/app", "latest"] = (OCI_MANIFEST, b" " * 5 * 2**20)
    with repository(fake) as there:
        with pytest.raises(VerificationFailed, match="at most 10 are read"):
            there.blob(BLOB, 10)
        with pytest.raises(RegistryFailed, match="more than"):
            there.manifest()


def test_a_manifest_under_another_digest(fake: FakeRegistry) -> None:
    fake.manifests["team/app", DIGEST] = (OCI_MANIFEST, b"{}")
    with repository(fake) as there, pytest.raises(VerificationFailed, match="other content"):
        there.manifest(DIGEST)


@settings(max_examples=50, deadline=None)
@given(answer=st.binary(min_size=1, max_size=300), media_type=st.sampled_from([OCI_MANIFEST, OCI_INDEX, "text/html"]))
def test_no_answer_makes_a_traceback(lasting: FakeRegistry, answer: bytes, media_type: str) -> None:
    lasting.hook = lambda method, path: Answer(200, {"Content-Type": media_type}, answer)
    with repository(lasting) as there:
        for ask in (
            lambda: there.manifest().image(),
            lambda: there.referrers(DIGEST),
            lambda: there.blob(BLOB, 2**21),
            lambda: send(there),
        ):
            with pytest.raises(AssayError):
                ask()


def test_pages_without_end(fake: FakeRegistry) -> None:
    fake.always("GET", "/referrers/", Answer(200, {"Link": '<?page=2>; rel="next"'}, b'{"manifests": []}'))
    with repository(fake) as there, pytest.raises(RegistryFailed, match="pages"):
        there.referrers(DIGEST)


def test_pages_of_more_than_is_ever_attached(fake: FakeRegistry) -> None:
    one = {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 1}
    page = json.dumps({"manifests": [one] * 3000}).encode()
    fake.always("GET", "/referrers/", Answer(200, {"Link": '<?page=2>; rel="next"'}, page))
    with repository(fake) as there, pytest.raises(RegistryFailed, match="or 4096 entries"):
        there.referrers(DIGEST)
    assert len(fake.log) == 2


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_what_nests_too_deep_is_no_reason(fake: FakeRegistry, status: int) -> None:
    fake.always("GET", "/manifests/", Answer(status, body=b'{"errors":' + b"[" * 16_000))
    with repository(fake) as there, pytest.raises((RegistryFailed, VerificationFailed)):
        there.manifest().image()


def test_attachments_are_listed(either: FakeRegistry) -> None:
    with repository(either) as there:
        empty = there.ensure_empty()
        image = ImageManifest(config=empty, layers=())
        data = msgspec.json.encode(image)
        there.put_manifest(data, OCI_MANIFEST)
        subject = Descriptor(OCI_MANIFEST, digest_of(data), len(data))
        assert there.referrers(subject.digest) == ()
        made = [
            ImageManifest(
                config=empty, layers=(empty,), artifact_type="text/x", subject=subject, annotations={"n": str(n)}
            )
            for n in range(3)
        ]
        assert [there.attach(one) for one in made] == [True, True, True]
        before = there.sent
        assert [there.attach(one) for one in made] == [False, False, False]
        assert there.sent == before
        listed = there.referrers(subject.digest)
    assert [one.annotations for one in listed] == [{"n": str(n)} for n in range(3)]
    assert {one.artifact_type for one in listed} == {"text/x"}
    assert (("team/app", fallback_tag(subject.digest)) in either.manifests) is not either.referrers
