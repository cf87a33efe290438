"""Blobs, read and sent, against a registry that misbehaves at a chosen moment."""

from __future__ import annotations

import io

import msgspec
import pytest

from assay.errors import RegistryFailed, VerificationFailed
from assay.registry import (
    digest_of,
)
from tests.fake_registry import Answer, FakeRegistry
from tests.unit.registry.known import BLOB, DATA, DIGEST, repository, send


def test_a_blob_goes_there_and_comes_back(fake: FakeRegistry) -> None:
    with repository(fake) as there:
        assert send(there)
        assert there.sent == len(DATA)
        assert there.blob(BLOB, 2**21) == DATA
        assert b"".join(there.stream(BLOB)) == DATA
        assert there.size(DIGEST) == len(DATA)
        assert there.size(digest_of(b"")) is None


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "x"])
def test_a_size_that_is_no_number_is_no_size(fake: FakeRegistry, length: str) -> None:
    """Nor is one of thousands of digits, of which Python makes no number."""
    fake.always("HEAD", "/blobs/", Answer(200, {"Content_Length": length}))
    with repository(fake) as there:
        assert there.size(DIGEST) == -1


def test_what_is_there_is_not_sent_again(fake: FakeRegistry) -> None:
    with repository(fake) as there:
        send(there)
        before = list(fake.written())
        assert not send(there)
        assert there.sent == len(DATA)
        assert fake.written() == before


def test_a_layer_of_another_repository_is_mounted(fake: FakeRegistry) -> None:
    fake.blobs["team/other", DIGEST] = DATA
    with repository(fake) as there:
        assert there.mount(DIGEST, "team/other")
        assert not there.mount(digest_of(b"absent"), "team/other")
        assert not there.mount(DIGEST, "team/app")
        assert there.sent == 0
        assert there.size(DIGEST) == len(DATA)


@pytest.mark.parametrize(
    "changed", [DATA[:-1], DATA + b"x", DATA[:-1] + b"x", b""], ids=["short", "long", "other", "none"]
)
def test_a_changed_blob_is_named(fake: FakeRegistry, changed: bytes) -> None:
    fake.blobs["team/app", DIGEST] = changed
    with repository(fake) as there:
        with pytest.raises(VerificationFailed, match="truncated or changed"):
            there.blob(BLOB, 2**21)
        with pytest.raises(VerificationFailed, match="truncated or changed"):
            list(there.stream(BLOB))


def test_a_layer_of_a_size_that_none_has_is_not_asked_for(fake: FakeRegistry) -> None:
    with repository(fake) as there, pytest.raises(VerificationFailed, match="a layer at most"):
        next(there.stream(msgspec.structs.replace(BLOB, size=2**50)))
    assert not fake.log


def test_a_blob_that_breaks_off(fake: FakeRegistry) -> None:
    fake.always("GET", "/blobs/", Answer(200, {"Content_Length": str(len(DATA))}, DATA[:1000], keep=0))
    with repository(fake) as there:
        with pytest.raises(RegistryFailed, match="broke off"):
            there.blob(BLOB, 2**21)
        with pytest.raises(RegistryFailed, match="broke off"):
            list(there.stream(BLOB))


@pytest.mark.parametrize(
    "trouble",
    [
        [Answer(drop=True, keep=300_000)],
        [Answer(drop=True, keep=0)],
        [Answer(drop=True, keep=300_000), Answer(drop=True, keep=300_000), Answer(drop=True, keep=300_000)],
        [Answer(500), Answer(429)],
    ],
    ids=["kept-a-part", "kept-nothing", "again-and-again", "refused"],
)
def test_an_upload_goes_on(fake: FakeRegistry, trouble: list[Answer]) -> None:
    fake.once("PATCH", "/uploads/", *trouble)
    with repository(fake) as there:
        assert send(there)
        assert there.blob(BLOB, 2**21) == DATA


def test_only_what_is_missing_is_sent_again(fake: FakeRegistry) -> None:
    fake.once("PATCH", "/uploads/", Answer(drop=True, keep=len(DATA)))
    with repository(fake) as there:
        assert send(there)
    assert [method for method, _ in fake.log].count("PATCH") == 1


def test_a_registry_that_forgot_the_upload(fake: FakeRegistry) -> None:
    def hook(method: str, path: str) -> Answer | None:
        if method == "PATCH" and "u0" in path:
            fake.uploads.pop("u0", None)
            fake.uploads["u-1"] = b""
            return Answer(500)
        return None

    fake.hook = hook
    with repository(fake) as there:
        assert send(there)


def test_an_upload_that_never_works_ends(fake: FakeRegistry) -> None:
    fake.always("PATCH", "/uploads/", Answer(500))
    with repository(fake) as there, pytest.raises(RegistryFailed, match="in 6 attempts"):
        send(there)
    assert not fake.blobs


def test_content_that_is_not_its_digest_is_refused(fake: FakeRegistry) -> None:
    with repository(fake) as there, pytest.raises(RegistryFailed, match="other content"):
        there.upload(DIGEST, io.BytesIO(b"x" * len(DATA)), len(DATA))
