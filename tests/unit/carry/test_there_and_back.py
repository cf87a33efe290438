"""An image from one registry through a file into another: what arrives, and what goes when part of it is there."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import msgspec
import pytest

from assay import carry, verify
from assay.errors import RegistryFailed, UsageError, VerificationFailed
from assay.registry import OCI_MANIFEST, Descriptor, ImageManifest, Manifest, Reference, Repository, digest_of
from tests.fake_registry import Answer, FakeRegistry, digest, serving
from tests.published import NOW, TAG, image, key, name, put, reference, suites
from tests.unit.carry.known import HOME, brought, held, took
from tests.unit.publish.known import Watched


def test_all_of_it_arrives_and_verifies(origin: FakeRegistry, target: FakeRegistry, tmp_path: Path) -> None:
    file, made = tmp_path / "image.tar", image()
    out = took(origin, file)
    assert out.reference == f"{origin.host}/{HOME}@{made.digest}"
    assert (out.tags, out.attached, out.left_out) == ((TAG, "latest"), 4, ())
    assert out.size == file.stat().st_size
    into = brought(file, target)
    assert into.reference == f"{target.host}/{HOME}@{made.digest}"
    assert (into.tags, into.attached) == ((TAG, "latest"), 4)
    assert held(target) == held(origin)
    for tag in (TAG, "latest"):
        found = verify.verify(reference(target.host, tag), key().public, suites(), verify.Demands(layers=True), NOW)
        assert found.passed, found.problems
        assert found.level == "E2"
    with Repository(reference(target.host)) as there:
        assert len(there.referrers(made.digest)) == 4


def test_the_same_content_is_the_same_file(origin: FakeRegistry, target: FakeRegistry, tmp_path: Path) -> None:
    first, again, second = (tmp_path / one for one in ("first", "again", "second"))
    took(origin, first)
    took(origin, again)
    brought(first, target)
    took(target, second, which=reference(target.host, None, image().digest))
    assert first.read_bytes() == again.read_bytes() == second.read_bytes()


def test_the_file_is_an_oci_layout(carried: Path) -> None:
    with tarfile.open(carried) as archive:
        members = archive.getmembers()
        data = {one.name: archive.extractfile(one).read() for one in members}  # type: ignore[union-attr]
    names = [one.name for one in members]
    assert names == sorted(names)
    assert {(one.mtime, one.uid, one.gid, one.mode, one.type) for one in members} == {(0, 0, 0, 0o644, b"0")}
    assert json.loads(data["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(data["index.json"])
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    tags = [one.get("annotations", {}).get("org.opencontainers.image.ref.name") for one in index["manifests"]]
    assert tags == [TAG, "latest", None, None, None, None]
    assert index["manifests"][1]["annotations"]["io.containerd.image.name"] == f"docker.io/assay/{name()}:latest"
    for one in index["manifests"]:
        blob = data[f"blobs/{one['digest'].replace(':', '/')}"]
        assert (digest(blob), len(blob)) == (one["digest"], one["size"])


def test_nothing_is_sent_twice(target: FakeRegistry, carried: Path) -> None:
    assert brought(carried, target).size > 0
    target.log.clear()
    assert brought(carried, target).size == 0
    assert target.written() == []


def test_what_broke_off_goes_on(target: FakeRegistry, carried: Path) -> None:
    """The tags come last: none is there until all else is, and what is there is not sent again."""
    target.hook = lambda method, path: (
        Answer(403) if method == "PUT" and f"manifests/{image().digest}" in path else None
    )
    with pytest.raises(RegistryFailed, match="denies access"):
        brought(carried, target)
    assert not target.manifests
    sent = set(held(target).blobs)
    target.hook = lambda method, path: None
    view = Watched()
    brought(carried, target, view)
    assert sent
    assert view.sizes == {}
    assert target.tag(HOME, TAG) == image().digest
    last = [path.rpartition("/")[2] for path in target.written()][-2:]
    assert last == [TAG, "latest"]


def test_its_progress_is_told(tmp_path: Path, origin: FakeRegistry, target: FakeRegistry) -> None:
    out, into = Watched(), Watched()
    with Repository(reference(origin.host)) as there:
        carry.take(there, tmp_path / "image.tar", None, out)
    brought(tmp_path / "image.tar", target, into)
    for view in (out, into):
        assert view.sizes == {one: len(data) for one, data in held(target).blobs.items()}
        assert sorted(view.whole) == sorted(view.sizes)
        assert all(counts[-1] == view.sizes[one] for one, counts in view.counts.items())


def test_a_tag_of_another_image_stays_behind(origin: FakeRegistry, tmp_path: Path) -> None:
    put(origin.host, image("2.16.0"), tags=("latest",))
    assert took(origin, tmp_path / "x").tags == (TAG,)
    assert took(origin, tmp_path / "x", which=reference(origin.host, None, image().digest)).tags == (TAG,)


def test_an_image_without_a_tag(origin: FakeRegistry, target: FakeRegistry, tmp_path: Path) -> None:
    other = image("2.16.0")
    put(origin.host, other, tags=())
    assert took(origin, tmp_path / "x", which=reference(origin.host, None, other.digest)).tags == ()
    brought(tmp_path / "x", target)
    assert {which for which in held(target).manifests if not which.startswith("sha256:")} == set()
    assert target.tag(HOME, other.digest) == other.digest


def test_the_name_of_a_mirror(origin: FakeRegistry, target: FakeRegistry, tmp_path: Path) -> None:
    mirror = Reference(origin.host, "mirror/dl-image", TAG)
    for store in (origin.blobs, origin.manifests):
        store |= {("mirror/dl-image", which): data for (_, which), data in list(store.items())}  # type: ignore[attr-defined]
    took(origin, tmp_path / "x", which=mirror, called=name())
    brought(tmp_path / "x", target)
    assert target.tag(HOME, TAG) == image().digest


def attached_to(subject: Manifest, *blobs: Descriptor) -> Manifest:
    about = Descriptor(OCI_MANIFEST, subject.digest, len(subject.data))
    empty = Descriptor("application/vnd.oci.empty.v1+json", digest_of(b"{}"), 2)
    made = ImageManifest(config=empty, layers=blobs, artifact_type="a/b", subject=about,
                         annotations={"org.opencontainers.image.ref.name": "latest"})  # fmt: skip
    return Manifest(msgspec.json.encode(made), OCI_MANIFEST)


def test_what_others_attached_goes_too_and_sets_no_tag(
    origin: FakeRegistry, target: FakeRegistry, tmp_path: Path
) -> None:
    with Repository(reference(origin.host)) as there:
        there.ensure_empty()
        there.attach_manifest(attached_to(image().manifest))
    assert took(origin, tmp_path / "x").attached == 5
    brought(tmp_path / "x", target)
    assert held(target) == held(origin)
    assert target.tag(HOME, "latest") == image().digest


def test_what_is_attached_and_not_to_be_had_is_named(origin: FakeRegistry, tmp_path: Path) -> None:
    gone = attached_to(image().manifest, Descriptor("a/b", digest_of(b"gone"), 4))
    origin.blobs |= {(HOME, digest_of(data)): data for data in (b"gone", b"{}")}
    with Repository(reference(origin.host)) as there:
        there.attach_manifest(gone)
    del origin.blobs[HOME, digest_of(b"gone")]
    out = took(origin, tmp_path / "x")
    assert out.attached == 4
    (text,) = out.left_out
    assert text == f"{gone.digest[7:19]}: its blob {digest_of(b'gone')[:19]} is not there"


def test_a_blob_that_the_registry_changed(origin: FakeRegistry, tmp_path: Path) -> None:
    """What was there before stays, and nothing else is left."""
    layer = image().manifest.image().layers[0].digest
    origin.blobs[HOME, layer] = origin.blobs[HOME, layer][:-1] + b"x"
    (tmp_path / "image.tar").write_bytes(b"older")
    with pytest.raises(VerificationFailed, match="truncated or changed"):
        took(origin, tmp_path / "image.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["image.tar"]
    assert (tmp_path / "image.tar").read_bytes() == b"older"


def test_what_is_no_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    with serving(FakeRegistry()) as fake:
        for place in (tmp_path, tmp_path / "link", Path("/dev/null")):
            with pytest.raises(UsageError, match="is there and no file"):
                took(fake, place)
        assert fake.log == []
    assert Path("/dev/null").is_char_device()


def test_what_is_no_image_is_not_carried(origin: FakeRegistry, tmp_path: Path) -> None:
    with Repository(reference(origin.host)) as there:
        attached = there.referrers(image().digest)[0].digest
    with pytest.raises(UsageError, match="is attached to an image, and none itself"):
        took(origin, tmp_path / "x", which=reference(origin.host, None, attached))
    with pytest.raises(UsageError, match="can be no image's name"):
        took(origin, tmp_path / "x", called="a/b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("registry", ["nowhere", "", "host.example/team:tag", "host.example/UP", "host.example/a@b"])
def test_where_nothing_can_go(registry: str) -> None:
    with pytest.raises(UsageError):
        carry.destination(registry, "x")


@pytest.mark.parametrize("called", ["a/b", "a:b", "a@b", "", "..", "A"])
def test_what_no_image_is_called(called: str) -> None:
    with pytest.raises(UsageError):
        carry.destination("host.example/team", called)
