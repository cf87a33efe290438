"""An image in a registry, and every way in which the registry may get another one past verification."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import verify
from assay.errors import RegistryFailed
from assay.registry import OCI_MANIFEST, Descriptor, Manifest, digest_of
from assay.verify import Demands, Verification
from tests.fake_registry import Answer, FakeRegistry
from tests.published import NOW, TAG, Image, image, key, name, put, suites
from tests.unit.verify.known import JSON, REPOSITORY, ask, edited, mirror, problems


def test_a_published_image_holds(either: FakeRegistry) -> None:
    put(either.host, image())
    for tag, digest in ((TAG, None), ("latest", None), (None, image().digest)):
        found = ask(either, tag, digest, layers=True)
        assert found.passed, found.problems
        assert (found.level, found.image, found.digest) == ("E2", name(), image().digest)
        assert [one.device for one in found.certificates] == ["cpu"]
        assert len(found.statements) == 4
    assert json.loads(json.dumps(verify.row(found)))["passed"]


def test_an_old_certificate_for_a_moved_tag(fake: FakeRegistry) -> None:
    """The tag is moved to an image of ours with a valid certificate: of an older version."""
    put(fake.host, image())
    put(fake.host, image("2.14.0"), tags=(TAG,))
    assert f"the tag {TAG} points to {name()} {TAG.replace('2.15', '2.14')}: it was moved" in problems(fake)
    assert ask(fake, None, image("2.14.0").digest).passed


def test_a_certificate_of_another_image_of_ours(fake: FakeRegistry) -> None:
    def change(one: Any) -> None:
        one["predicate"]["plan"]["image"] = one["subject"][0]["name"] = "another"

    put(fake.host, edited(change))
    assert f"the repository is {REPOSITORY}, and the certificate is of another" in problems(fake)


def asked_of_a_mirror(fake: FakeRegistry, image_name: str | None = None, *, attached: bool = True) -> Verification:
    there = mirror(fake, attached=attached)
    return verify.verify(there, key().public, suites(), Demands(name=image_name), NOW)


def test_a_mirror_under_another_name_holds_by_the_images_name(either: FakeRegistry) -> None:
    put(either.host, image())
    found = asked_of_a_mirror(either, name())
    assert found.passed, found.problems
    assert (found.image, found.level) == (name(), "E2")


def test_a_mirror_says_whose_certificate_it_has(either: FakeRegistry) -> None:
    put(either.host, image())
    (problem,) = asked_of_a_mirror(either).problems
    assert problem.startswith(f"the repository is mirror/dl-image, and the certificate is of {name()}; ")
    assert problem.endswith(f"--name {name()}")


def test_a_mirror_of_another_image_than_was_asked_for(either: FakeRegistry) -> None:
    put(either.host, image())
    for another in ("another", "", f"team/{name()}", name()[1:]):
        assert asked_of_a_mirror(either, another).problems == [
            f"{another} was asked for, and the certificate is of {name()}"
        ]


def test_an_image_that_was_copied_without_its_certificates(either: FakeRegistry) -> None:
    put(either.host, image())
    found = asked_of_a_mirror(either, name(), attached=False)
    assert "nothing at all is attached; if it was copied without its certificates" in found.problems[0]
    assert f"`oras cp -r ORIGINAL {either.host}/mirror/dl-image:{TAG}`" in found.problems[0]


def test_a_certificate_whose_report_is_of_another_image(fake: FakeRegistry) -> None:
    put(fake.host, edited(lambda one: one["predicate"]["plan"].update(image="another")))
    assert f"it is about {name()!r}, and its report is of 'another'" in problems(fake)


def test_of_two_images_that_end_in_one_word_each_is_only_itself(fake: FakeRegistry) -> None:
    def change(one: Any) -> None:
        one["predicate"]["plan"]["image"] = one["subject"][0]["name"] = f"another/{name()}"

    put(fake.host, edited(change))
    assert f"the repository is {REPOSITORY}, and the certificate is of another/{name()}" in problems(fake)


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


@pytest.mark.parametrize("layers", [False, True])
def test_layers_are_asked_for_only_where_a_certificate_is_of_them(fake: FakeRegistry, layers: bool) -> None:
    """Whoever has no key can make a verification ask for no layer at all, however many a manifest names."""
    made = image()
    put(fake.host, made, made.statements()[-1])
    fake.log.clear()
    assert "no certificate of this image is signed" in problems(fake, layers=layers)
    wanted = {layer.digest for layer in made.manifest.image().layers}
    assert not [path for _, path in fake.log if path.rpartition("/")[2] in wanted]


def test_more_layers_than_an_engine_stacks(fake: FakeRegistry) -> None:
    put(fake.host, image())
    content = image().manifest.image()
    many = msgspec.structs.replace(content, layers=content.layers[:1] * 128)
    fake.manifests[REPOSITORY, TAG] = (OCI_MANIFEST, msgspec.json.encode(many))
    assert "the manifest is malformed" in problems(fake)


def test_a_registry_that_fails_within_the_layers_is_no_verdict(fake: FakeRegistry) -> None:
    """Nor is it asked for the next one."""
    put(fake.host, image())
    wanted = [layer.digest for layer in image().manifest.image().layers]
    broken = Answer(200, {"Content_Length": "99"}, b"x", keep=0)
    fake.hook = lambda method, path: broken if method == "GET" and path.endswith(wanted[0]) else None
    fake.log.clear()
    with pytest.raises(RegistryFailed, match="broke off"):
        ask(fake, layers=True)
    assert not [path for method, path in fake.log if method == "GET" and path.endswith(wanted[1])]


def test_a_changed_configuration(fake: FakeRegistry) -> None:
    put(fake.host, image())
    config = image().manifest.image().config
    fake.blobs[REPOSITORY, config.digest] = b"{}".ljust(config.size)
    assert "truncated or changed" in problems(fake)


@pytest.mark.parametrize("body", [b"[" * 2_000_000, b'{"config": 1}', b"", b"\xff"])
def test_a_hostile_manifest(fake: FakeRegistry, body: bytes) -> None:
    put(fake.host, image())
    fake.manifests[REPOSITORY, TAG] = (OCI_MANIFEST, body)
    assert "malformed" in problems(fake)


def test_a_registry_that_fails_is_no_verdict(fake: FakeRegistry) -> None:
    with pytest.raises(RegistryFailed):
        ask(fake)
    put(fake.host, image())
    fake.always("GET", "/manifests/", Answer(302, {"Location": "https://evil.example/"}))
    with pytest.raises(RegistryFailed, match="elsewhere"):
        ask(fake)


@settings(max_examples=60, deadline=None)
@given(seed=st.data())
def test_no_registry_makes_a_traceback(lasting: FakeRegistry, seed: st.DataObject) -> None:
    """Any answer is replaced by something else, one kind of request at a time."""
    lasting.hook = lambda method, path: None
    if not lasting.manifests:  # verification writes nothing
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
