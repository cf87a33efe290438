"""What is attached counts if it is signed, whole, and about this image alone."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import verify
from assay.attestation.bundle import BUNDLE_TYPE, to_be_signed
from assay.errors import VerificationFailed
from assay.registry import OCI_EMPTY, OCI_MANIFEST, Descriptor, ImageManifest, Repository
from assay.verify import Demands
from tests.fake_registry import Answer, FakeRegistry
from tests.published import CONTENT, NOW, image, key, put, reference, suites
from tests.unit.verify.known import JSON, ask, attach_raw, edited, paths_in, problems, replaced


def test_another_key(fake: FakeRegistry) -> None:
    put(fake.host, image())
    found = verify.verify(reference(fake.host), key(2).public, suites(), Demands(), NOW)
    assert not found.passed
    assert "signed with another key" in found.problems[0]


def test_another_images_certificate(fake: FakeRegistry) -> None:
    """Valid, signed, and about an image that is not this one."""
    put(fake.host, image(), *image(content=(b"other",)).statements())
    assert "about another image" in problems(fake)


def test_an_old_certificate_put_beside_a_new_image(fake: FakeRegistry) -> None:
    put(fake.host, image())
    changed = image(content=(*CONTENT[:1], b"something else"))
    put(fake.host, changed, *image().statements())
    assert "a certificate put here from there" in problems(fake)


def test_an_edited_payload(fake: FakeRegistry) -> None:
    made = image()
    put(fake.host, made, *made.statements()[1:])
    bundle = json.loads(key().sign(made.certificate))
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b'"value":"0"', b'"value":"1"', 1)).decode()
    attach_raw(fake, made.manifest, json.dumps(bundle).encode())
    assert "the payload or its signature was edited" in problems(fake)


@pytest.mark.parametrize("signatures", [[], [{"sig": "", "keyid": ""}]], ids=["none", "empty"])
def test_a_stripped_signature(fake: FakeRegistry, signatures: list[Any]) -> None:
    made = image()
    put(fake.host, made, *made.statements()[1:])
    bundle = json.loads(key().sign(made.certificate))
    bundle["dsseEnvelope"]["signatures"] = signatures
    attach_raw(fake, made.manifest, json.dumps(bundle).encode())
    assert "the signature was stripped" in problems(fake)


def test_an_unsigned_statement_beside_a_signed_one_counts_for_nothing(fake: FakeRegistry) -> None:
    made = image()
    put(fake.host, made)
    attach_raw(fake, made.manifest, b"{}")
    found = ask(fake)
    assert found.passed
    assert "malformed" in found.ignored[0]


def test_nothing_is_attached(fake: FakeRegistry) -> None:
    put(fake.host, image())
    for one in [one for one, (_, data) in fake.manifests.items() if b"subject" in data]:
        del fake.manifests[one]
    assert "nothing at all is attached" in problems(fake)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["subject"].append({"name": "another", "digest": {"sha256": "0" * 64}}), "2 images at once"),
        (lambda one: one["subject"][0]["digest"].update(sha512="0"), "about another image"),
        (lambda one: one["subject"][0].update(name="lookalike"), "it is about 'lookalike'"),
    ],
)
def test_a_statement_about_more_than_this_image(fake: FakeRegistry, change: Any, said: str) -> None:
    put(fake.host, edited(change))
    assert said in problems(fake)


def test_a_signed_statement_with_a_key_twice(fake: FakeRegistry) -> None:
    made = image()
    put(fake.host, made, *made.statements()[1:])
    text = json.dumps(made.certificate).replace('"complete": true', '"complete": false, "complete": true')
    attach_raw(fake, made.manifest, signed(text.encode()))
    assert "the key 'complete' stands in it twice" in problems(fake)


def signed(payload: bytes) -> bytes:
    """A bundle of just these bytes, signed with the right key."""
    bundle = json.loads(key().sign({}))
    signature = key().key.sign(to_be_signed(payload), ec.ECDSA(hashes.SHA256()))
    envelope = bundle["dsseEnvelope"]
    envelope["payload"] = base64.b64encode(payload).decode()
    envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    return json.dumps(bundle).encode()


def test_a_bundle_that_is_too_large_is_not_read(fake: FakeRegistry) -> None:
    made = image()
    put(fake.host, made, *made.statements()[1:])
    with Repository(reference(fake.host), pause=0.001) as there:
        there.attach(
            ImageManifest(
                config=there.ensure_empty(),
                layers=(Descriptor(BUNDLE_TYPE, there.ensure_empty().digest, 2**40),),
                artifact_type=BUNDLE_TYPE,
                subject=Descriptor(OCI_MANIFEST, made.digest, len(made.manifest.data)),
            )
        )
    assert "at most" in problems(fake)


def test_what_is_attached_and_is_no_bundle(fake: FakeRegistry) -> None:
    made = image()
    put(fake.host, made)
    with Repository(reference(fake.host), pause=0.001) as there:
        config = there.ensure_empty()
        subject = Descriptor(OCI_MANIFEST, made.digest, len(made.manifest.data))
        for kind in (None, "application/vnd.example"):
            there.attach(ImageManifest(config=config, layers=(config,), artifact_type=kind, subject=subject))
    found = ask(fake)
    assert found.passed
    assert [one.partition(": ")[2] for one in found.ignored] == [f"it is no bundle of a signature but '{OCI_EMPTY}'"]


def test_more_bundles_than_are_read(fake: FakeRegistry) -> None:
    put(fake.host, image())
    one = {"mediaType": OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1, "artifactType": BUNDLE_TYPE}
    fake.always("GET", "/referrers/", Answer(200, body=json.dumps({"manifests": [one] * 1000}).encode()))
    assert "at most 256 are read" in problems(fake)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_bundle_makes_a_traceback(data: st.DataObject) -> None:
    bundle = json.loads(key().sign({"_type": "x"}))
    path = data.draw(st.sampled_from(sorted(set(paths_in(bundle)) - {()}, key=repr)))
    raw = json.dumps(replaced(bundle, path, data.draw(JSON))).encode()
    cut = data.draw(st.integers(0, len(raw)))
    for text in (raw, raw[:cut]):
        with contextlib.suppress(VerificationFailed):
            assert json.loads(key().public.open(text)) == {"_type": "x"}
