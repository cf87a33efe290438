"""How the tests of verification ask, and what they put into a registry."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

from assay import verify
from assay.attestation.bundle import BUNDLE_TYPE
from assay.errors import VerificationFailed
from assay.registry import OCI_MANIFEST, Descriptor, ImageManifest, Manifest, Reference, Repository, digest_of
from assay.verify import Demands, Verification
from tests.fake_registry import FakeRegistry
from tests.published import NOW, TAG, Image, image, key, name, reference, suites

REPOSITORY = f"team/{name()}"


def mirror(fake: FakeRegistry, *, attached: bool = True) -> Reference:
    """Copy what is there to a repository of another name, as mirrors have it; its reference by the version's tag."""
    there = Reference(fake.host, "mirror/dl-image", TAG)
    fake.blobs |= {(there.path, digest): data for (_, digest), data in fake.blobs.items()}
    fake.manifests |= {
        (there.path, which): (kind, data)
        for (_, which), (kind, data) in fake.manifests.items()
        if attached or not (b'"subject"' in data or which.startswith("sha256-"))
    }
    return there


def ask(fake: FakeRegistry, tag: str | None = TAG, digest: str | None = None, **demands: Any) -> Verification:
    return verify.verify(reference(fake.host, tag, digest), key().public, suites(), Demands(**demands), NOW)


def problems(fake: FakeRegistry, tag: str | None = TAG, digest: str | None = None, **demands: Any) -> str:
    """What is wrong; that something is."""
    found = ask(fake, tag, digest, **demands)
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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def paths_in(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data[:3]) if isinstance(data, list) else ()
    for step, value in items:
        yield from paths_in(value, (*path, step))


def replaced(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    target = data
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return data
