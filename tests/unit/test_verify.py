"""Verification, and every way in which a registry may try to get an image past it."""

from __future__ import annotations

import base64
import contextlib
import copy
import io
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import zstandard
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import attestation, certificate, verify
from assay.attestation.bundle import BUNDLE_TYPE, to_be_signed
from assay.certificate import Configuration, Suites
from assay.errors import RegistryFailed, VerificationFailed
from assay.registry import OCI_EMPTY, OCI_MANIFEST, Descriptor, ImageManifest, Manifest, Repository, digest_of
from assay.verify import Policy, Verdict
from tests.fake_registry import Answer, FakeRegistry, serving
from tests.published import CONTENT, NOW, TAG, Image, image, key, name, put, reference, suite, suites

REPOSITORY = f"team/{name()}"


@pytest.fixture(
    params=[(True, False), (True, True), (False, False)], ids=["referrers-api", "of-configs", "fallback-tag"]
)
def either(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with serving(FakeRegistry(*request.param)) as running:
        yield running


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as running:
        yield running


@pytest.fixture(scope="module")
def lasting() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as running:
        yield running


def ask(fake: FakeRegistry, tag: str | None = TAG, digest: str | None = None, **policy: Any) -> Verdict:
    return verify.verify(reference(fake.host, tag, digest), key().public, suites(), Policy(**policy), NOW)


def problems(fake: FakeRegistry, tag: str | None = TAG, digest: str | None = None, **policy: Any) -> str:
    """What is wrong; that something is."""
    found = ask(fake, tag, digest, **policy)
    assert not found.passed
    with pytest.raises(VerificationFailed):
        verify.require_passed(found)
    json.dumps(verify.row(found))
    return "\n".join(found.problems)


def edited(change: Any) -> Image:
    """The image with a certificate that was changed, and signed with the right key all the same."""
    made = image()
    change(made.certificate)
    return made


def bundles(fake: FakeRegistry) -> dict[str, dict[str, Any]]:
    """The bundles in the registry, by the digest of their blob."""
    found = {}
    for (_, digest), data in fake.blobs.items():
        if b"dsseEnvelope" in data:
            found[digest] = json.loads(data)
    return found


def attach_raw(fake: FakeRegistry, made: Manifest, bundle: bytes) -> None:
    """Attach bytes as a bundle, as anyone can who may write to the registry."""
    with Repository(reference(fake.host), pause=0.001) as there:
        there.upload(digest_of(bundle), io.BytesIO(bundle), len(bundle))
        there.attach(
            ImageManifest(
                config=there.ensure_empty(),
                layers=(Descriptor(BUNDLE_TYPE, digest_of(bundle), len(bundle)),),
                artifact_type=BUNDLE_TYPE,
                subject=Descriptor(OCI_MANIFEST, made.digest, len(made.data)),
            )
        )


# ---- what holds


def test_a_published_image_holds(either: FakeRegistry) -> None:
    put(either.host, image())
    for tag, digest in ((TAG, None), ("latest", None), (None, image().digest)):
        found = ask(either, tag, digest, layers=True)
        assert found.passed, found.problems
        assert (found.level, found.image, found.digest) == ("E2", name(), image().digest)
        assert [one.device for one in found.certificates] == ["cpu"]
        assert len(found.statements) == 4
    assert json.loads(json.dumps(verify.row(found)))["passed"]


def test_a_suite_that_was_released_is_known_and_no_other(fake: FakeRegistry) -> None:
    """A check that was added since changes the suite, and no certificate that was published."""
    put(fake.host, image())
    later = msgspec.structs.replace(suite(), digests={}, gates_digest="0" * 64, gates={})
    for known, holds in ((Suites(later), False), (Suites(later, (suite(),)), True)):
        assert verify.verify(reference(fake.host), key().public, known, Policy(), NOW).passed is holds


def test_the_newest_certificate_of_a_device_counts(fake: FakeRegistry) -> None:
    made = image()
    older = copy.deepcopy(made.certificate)
    older["predicate"]["timeCreated"] = "2026-01-01T00:00:00Z"
    older["predicate"]["results"] = []
    put(fake.host, made, older, *made.statements())
    assert ask(fake).passed


# ---- what does not


def test_more_is_required_than_was_shown(fake: FakeRegistry) -> None:
    put(fake.host, image())
    assert "amounts to E2, and E3 is required" in problems(fake, require="E3")


def test_another_key(fake: FakeRegistry) -> None:
    put(fake.host, image())
    found = verify.verify(reference(fake.host), key(2).public, suites(), Policy(), NOW)
    assert not found.passed
    assert "signed with another key" in found.problems[0]


def test_another_images_certificate(fake: FakeRegistry) -> None:
    """Valid, signed, and about an image that is not this one."""
    put(fake.host, image(), *image(content=(b"other",)).statements())
    assert "about another image" in problems(fake)


def test_an_old_certificate_for_a_moved_tag(fake: FakeRegistry) -> None:
    """The tag is moved to an image of ours with a valid certificate: of an older version."""
    put(fake.host, image())
    put(fake.host, image("2.14.0"), tags=(TAG,))
    assert f"the tag {TAG} points to {name()} {TAG.replace('2.15', '2.14')}: it was moved" in problems(fake)
    assert ask(fake, None, image("2.14.0").digest).passed


def test_an_old_certificate_put_beside_a_new_image(fake: FakeRegistry) -> None:
    put(fake.host, image())
    changed = image(content=(*CONTENT[:1], b"something else"))
    put(fake.host, changed, *image().statements())
    assert "a certificate put here from there" in problems(fake)


def test_a_certificate_of_another_image_of_ours(fake: FakeRegistry) -> None:
    def change(one: Any) -> None:
        one["predicate"]["plan"]["image"] = one["subject"][0]["name"] = "another"

    put(fake.host, edited(change))
    assert f"the repository is {REPOSITORY}, and the certificate is of another" in problems(fake)

    put(fake.host, edited(lambda one: one["predicate"]["plan"].update(image="another")))
    assert f"it is about {name()!r}, and its report is of 'another'" in problems(fake)


def test_of_two_images_that_end_in_one_word_each_is_only_itself(fake: FakeRegistry) -> None:
    def change(one: Any) -> None:
        one["predicate"]["plan"]["image"] = one["subject"][0]["name"] = f"another/{name()}"

    put(fake.host, edited(change))
    assert f"the repository is {REPOSITORY}, and the certificate is of another/{name()}" in problems(fake)


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


@pytest.mark.parametrize("absent", verify.NEEDED)
def test_one_statement_is_missing(fake: FakeRegistry, absent: str) -> None:
    made = image()
    put(fake.host, made, *(one for one in made.statements() if one["predicateType"] != absent))
    assert f"no signed statement of the type {absent}" in problems(fake)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["predicate"]["results"].pop(), "certificate (cpu)"),
        (lambda one: one["predicate"]["faults"].pop(), "was not put in"),
        (lambda one: one["predicate"].update(complete=False), "only a part"),
        (lambda one: one["predicate"]["suite"]["digest"].update(sha256="0" * 64), "its suite (0000"),
        (lambda one: one["predicate"]["suite"]["gates"].update(sha256="0" * 64), "its gates (0000"),
        (lambda one: one["predicate"]["image"].update(configDigest="x"), "another image configuration"),
        (lambda one: one["predicate"]["image"].update(diffIDs=[]), "other layers (DiffIDs)"),
        (lambda one: one["predicate"]["image"].update(platform="linux/arm64"), "it is of linux/arm64"),
        (lambda one: one["predicate"].update(timeCreated="2025-11-22T17:00:00Z"), "373 days old"),
        (lambda one: one["predicate"].update(timeCreated="2027-01-01T00:00:00Z"), "made in the future"),
        (lambda one: one["predicate"].update(timeCreated="2026-01-01T00:00:00"), "when it was made"),
        (lambda one: one["predicate"].update(timeCreated=None), "malformed"),
        (lambda one: one["predicate"].update(schema=2), "schema 2"),
        (lambda one: one["predicate"].update(image=None), "malformed"),
    ],
)  # fmt: skip
def test_a_signed_certificate_that_does_not_hold(fake: FakeRegistry, change: Any, said: str) -> None:
    made = image()
    statements = made.statements()
    change(made.certificate)
    put(fake.host, made, made.certificate, *statements[1:])
    assert said in problems(fake)


def test_what_a_certificate_says_of_itself_counts_for_nothing(fake: FakeRegistry) -> None:
    put(fake.host, edited(lambda one: one["predicate"].update(achieved="E1")))
    assert ask(fake).level == "E2"
    assert "E3 is required" in problems(fake, require="E3")


def test_who_claims_more_than_there_is_holds_nothing(fake: FakeRegistry) -> None:
    put(fake.host, edited(lambda one: one["predicate"].update(achieved="E4")))
    assert "it claims E4, and its evidence amounts to E2" in problems(fake)
    assert ask(fake).level == "E0"


def test_any_age_where_that_is_asked_for(fake: FakeRegistry) -> None:
    put(fake.host, edited(lambda one: one["predicate"].update(timeCreated="2020-01-01T00:00:00Z")))
    assert ask(fake, max_age_days=None).passed


# ---- what could be read in two ways


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


@pytest.mark.parametrize(
    ("kind", "predicate", "said"),
    [
        *((kind, {}, f"the signed statement of the type {kind} has no") for kind in verify.NEEDED),
        (attestation.TEST_RESULT, {"result": "FAILED", "passedTests": ["x"]}, "a signed test result says 'FAILED'"),
        (attestation.SBOM, {"bomFormat": "CycloneDX", "components": []}, "has no components"),
    ],
)
def test_a_statement_that_says_nothing_is_none(
    fake: FakeRegistry, kind: str, predicate: dict[str, Any], said: str
) -> None:
    made = image()
    kept = [one for one in made.statements() if one["predicateType"] != kind]
    put(fake.host, made, *kept, {**made.statements()[1], "predicateType": kind, "predicate": predicate})
    told = problems(fake)
    assert said in told
    assert f"no signed statement of the type {kind}" in told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"manifests": []}, "is an image and an index at once"),
        ({"Manifests": []}, "is an image and an index at once"),
        ({"Layers": []}, "writes layers as 'Layers'"),
        ({"schemaVersion": 1}, "has schemaVersion 1"),
        ({"mediaType": "application/vnd.oci.image.index.v1+json"}, "calls itself 'application/vnd.oci.image.index"),
    ],
)
def test_a_manifest_that_could_be_taken_for_another(fake: FakeRegistry, change: dict[str, Any], said: str) -> None:
    made = image()
    put(fake.host, made)
    fake.manifests[REPOSITORY, TAG] = (
        OCI_MANIFEST,
        json.dumps({**json.loads(made.manifest.data), **change}).encode(),
    )
    assert said in problems(fake)


def test_a_manifest_with_a_key_twice(fake: FakeRegistry) -> None:
    put(fake.host, image())
    text = image().manifest.data.replace(b'"layers":', b'"layers":[],"layers":', 1)
    fake.manifests[REPOSITORY, TAG] = (OCI_MANIFEST, text)
    assert "the key 'layers' stands in it twice" in problems(fake)


@pytest.mark.parametrize("first", ["good", "bad"])
def test_of_two_certificates_of_one_second_the_worse_counts(fake: FakeRegistry, first: str) -> None:
    made = image()
    bad = copy.deepcopy(made.certificate)
    bad["predicate"]["results"] = bad["predicate"]["results"][1:]
    rest = made.statements()
    put(fake.host, made, *([*rest, bad] if first == "good" else [bad, *rest]))
    assert "it is not in the report" in problems(fake)


# ---- what the image promises itself


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plan: plan["labels"].pop("cuda"), "its plan promises cuda nothing, and the image's label 1"),
        (lambda plan: plan["labels"].update(cuda="9.9"), "its plan promises cuda 9.9, and the image's label 1"),
        (lambda plan: plan["labels"].update(more="1"), "its plan promises more 1, and the image's label nothing"),
    ],
)
def test_a_plan_that_promises_other_than_its_image(fake: FakeRegistry, change: Any, said: str) -> None:
    put(fake.host, edited(lambda one: change(one["predicate"]["plan"])))
    assert said in problems(fake)


# ---- content that was changed


def layer_of(made: Image) -> Descriptor:
    return made.manifest.image().layers[1]


def test_a_layer_that_is_gone(fake: FakeRegistry) -> None:
    put(fake.host, image())
    del fake.blobs[REPOSITORY, layer_of(image()).digest]
    assert "is not in the registry" in problems(fake)


def test_a_truncated_layer(fake: FakeRegistry) -> None:
    put(fake.host, image())
    layer = layer_of(image())
    fake.blobs[REPOSITORY, layer.digest] = fake.blobs[REPOSITORY, layer.digest][:-1]
    assert f"of {layer.size} bytes" in problems(fake)
    assert "truncated or changed" in problems(fake, layers=True)


def test_a_changed_layer(fake: FakeRegistry) -> None:
    put(fake.host, image())
    layer = layer_of(image())
    fake.blobs[REPOSITORY, layer.digest] = zstandard.compress(b"b second layer" * 2000)[: layer.size].ljust(
        layer.size
    )
    assert "truncated or changed" in problems(fake, layers=True)


def test_a_layer_that_unpacks_to_something_else(fake: FakeRegistry) -> None:
    """The manifest and the configuration do not fit each other."""
    made = image()
    data = zstandard.compress(b"another layer altogether")
    manifest = made.manifest.image()
    changed = msgspec.structs.replace(
        manifest, layers=(manifest.layers[0], Descriptor(manifest.layers[1].media_type, digest_of(data), len(data)))
    )
    other = Manifest(msgspec.json.encode(changed), OCI_MANIFEST)
    made.certificate["subject"][0]["digest"]["sha256"] = other.digest[7:]
    put(fake.host, Image(other, made.blobs | {digest_of(data): data}, made.certificate))
    assert "unpacks to other content than certified" in problems(fake, layers=True)


def test_a_changed_configuration(fake: FakeRegistry) -> None:
    put(fake.host, image())
    config = image().manifest.image().config
    fake.blobs[REPOSITORY, config.digest] = b"{}".ljust(config.size)
    assert "truncated or changed" in problems(fake)


@pytest.mark.parametrize("body", [b"[" * 2_000_000, b" " * (5 * 2**20), b'{"config": 1}', b"", b"\xff"])
def test_a_hostile_manifest(fake: FakeRegistry, body: bytes) -> None:
    put(fake.host, image())
    fake.manifests[REPOSITORY, TAG] = (OCI_MANIFEST, body)
    assert any(word in problems(fake) for word in ("malformed", "more than"))


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
    assert "at most 128 are read" in problems(fake)


def test_a_registry_that_fails_is_no_verdict(fake: FakeRegistry) -> None:
    with pytest.raises(RegistryFailed):
        ask(fake)
    put(fake.host, image())
    fake.always("GET", "/manifests/", Answer(302, {"Location": "https://evil.example/"}))
    with pytest.raises(RegistryFailed, match="elsewhere"):
        ask(fake)


def test_a_bomb_is_unpacked_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "LARGEST_LAYER", 2**20)
    bomb = zstandard.compress(bytes(2**26))
    with pytest.raises(VerificationFailed, match="unpacks to more than"):
        verify._diff_id(iter([bomb]), "x+zstd")


# ---- fuzzed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def _paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data[:3]) if isinstance(data, list) else ()
    for step, value in items:
        yield from _paths(value, (*path, step))


PATHS = sorted(set(_paths(image().certificate)) - {()}, key=repr)


def _replaced(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    target = data
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return data


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(PATHS), value=JSON)
def test_no_signed_certificate_makes_a_traceback(path: tuple[Any, ...], value: Any) -> None:
    data = _replaced(copy.deepcopy(image().certificate), path, value)
    config = Configuration("sha256:c", ("a",), "linux/amd64", {"assay.cuda": "1"})
    policy = certificate.Policy(suites(), digest="sha256:d", configuration=config, max_age_days=1, now=NOW)
    try:
        opened = certificate.read(data, policy)
    except VerificationFailed as error:
        assert len(str(error).splitlines()) == 2  # noqa: PT017 - most are opened
        return
    assert not opened.verdict.passed
    assert certificate.worst_of_newest([opened, opened]) == [opened]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_bundle_makes_a_traceback(data: st.DataObject) -> None:
    bundle = json.loads(key().sign({"_type": "x"}))
    path = data.draw(st.sampled_from(sorted(set(_paths(bundle)) - {()}, key=repr)))
    raw = json.dumps(_replaced(bundle, path, data.draw(JSON))).encode()
    cut = data.draw(st.integers(0, len(raw)))
    for text in (raw, raw[:cut]):
        with contextlib.suppress(VerificationFailed):
            assert json.loads(key().public.open(text)) == {"_type": "x"}


@settings(max_examples=60, deadline=None)
@given(seed=st.data())
def test_no_registry_makes_a_traceback(lasting: FakeRegistry, seed: st.DataObject) -> None:
    """Any answer is replaced by something else, one kind of request at a time."""
    lasting.hook = lambda method, path: None
    put(lasting.host, image())
    kind = seed.draw(st.sampled_from(["/manifests/2", "/manifests/sha", "/blobs/", "/referrers/"]))
    answer = Answer(
        seed.draw(st.sampled_from([200, 201, 204, 206, 301, 401, 403, 404, 410, 418, 501])),
        seed.draw(st.dictionaries(
            st.sampled_from(["Content-Type", "Location", "Link", "WWW-Authenticate", "Docker-Content-Digest"]),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40), max_size=3,
        )),
        seed.draw(st.binary(max_size=200) | JSON.map(lambda one: json.dumps(one).encode())),
    )  # fmt: skip
    lasting.hook = lambda method, path: answer if kind in path else None
    with contextlib.suppress(RegistryFailed):
        assert not ask(lasting, layers=True).passed
