"""A small image in a registry, with everything attached that a published one has; the certificate is a real one."""

from __future__ import annotations

import copy
import datetime
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric import ec

from assay import attestation, certificate, publish
from assay.attestation import PrivateKey
from assay.attestation.sbom import Inventory, Package, sbom
from assay.certificate import Policy, Suite, Suites, plan_digest
from assay.registry import OCI_MANIFEST, Descriptor, ImageManifest, Manifest, Reference, Repository, digest_of, tag
from assay.registry.reference import VERSION_LABEL

ROOT = Path(__file__).parent.parent
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
CONTENT = (b"a first layer" * 1000, b"a second layer" * 2000)
NOW = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)


@cache
def key(number: int = 1) -> PrivateKey:
    return PrivateKey(ec.derive_private_key(number, ec.SECP256R1()))


@cache
def evidence() -> dict[str, Any]:
    """A certificate that real training in a real image made."""
    data = json.loads(min((ROOT / "certificates").rglob("cpu.json")).read_text())
    assert isinstance(data, dict)
    return data


def name() -> str:
    """The image that it is of."""
    return str(evidence()["predicate"]["plan"]["image"])


def plan() -> dict[str, Any]:
    """What it answers."""
    return {name: value for name, value in evidence()["predicate"]["plan"].items() if name != "engine"}


def labels(version: str) -> dict[str, str]:
    """The labels that its image has."""
    told = {
        "framework": plan()["framework"]["name"],
        "workloads": ",".join(plan()["workloads"]),
        "backends": ",".join(plan()["framework"].get("backends", ())),
        "plan": plan_digest(plan()),
        "suite": evidence()["predicate"]["suite"]["digest"]["sha256"],
    }
    promised = {name: told[name] for name in suite().levels.promises if name in told}
    return {
        VERSION_LABEL: version,
        **{f"assay.{name}": value for name, value in {**plan()["labels"], **promised}.items()},
    }


@cache
def suites() -> Suites:
    """The suites of this checkout, of which one made it."""
    return Suites.read(ROOT)


@cache
def suite() -> Suite:
    """The suite that made it."""
    found = certificate.read(evidence(), Policy(suites())).suite
    assert found is not None
    return found


TAG = tag(labels("2.15.0"))


@dataclass
class Image:
    """An image's manifest, its blobs by digest, and a certificate of it that holds."""

    manifest: Manifest
    blobs: dict[str, bytes]
    certificate: dict[str, Any]

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def diff_ids(self) -> tuple[str, ...]:
        return tuple(self.certificate["predicate"]["image"]["diffIDs"])

    def statements(self) -> list[dict[str, Any]]:
        report = certificate.report_of(self.certificate)
        verdict = certificate.judge(report, suite())
        built = "2026-11-22T17:00:00Z"
        inventory = Inventory(1, (Package("bash", "5", ("GPL-3.0-or-later",), "amd64"),), ())
        return [
            self.certificate,
            attestation.test_result(self.certificate, report, verdict),
            attestation.provenance(self.certificate, built, {}, None),
            sbom(name(), self.digest, built, "trixie", inventory),
        ]


def fresh(content: tuple[bytes, ...] = CONTENT, platform: str = "linux/amd64") -> Image:
    """An image that was certified now: for what asks the clock how old a certificate is."""
    made = image(content=content, platform=platform)
    made.certificate["predicate"]["timeCreated"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return made


def image(
    version: str = "2.15.0",
    content: tuple[bytes, ...] = CONTENT,
    compress: Callable[[bytes], bytes] = zstandard.compress,
    media_type: str = LAYER,
    platform: str = "linux/amd64",
) -> Image:
    """An image of a version, certified when the kept certificate was made."""
    layers = [compress(data) for data in content]
    config = msgspec.json.encode(
        {
            "architecture": platform.partition("/")[2],
            "os": "linux",
            "config": {"Labels": labels(version)},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in content]},
        }
    )
    manifest = ImageManifest(
        config=Descriptor(CONFIG, digest_of(config), len(config)),
        layers=tuple(Descriptor(media_type, digest_of(data), len(data)) for data in layers),
    )
    made = Manifest(msgspec.json.encode(manifest), OCI_MANIFEST)
    data = copy.deepcopy(evidence())
    data["subject"][0]["digest"]["sha256"] = made.digest.removeprefix("sha256:")
    facts = data["predicate"]["image"]
    facts["configDigest"] = manifest.config.digest
    facts["diffIDs"] = [digest_of(one) for one in content]
    facts["platform"] = platform
    return Image(made, {digest_of(one): one for one in (*layers, config)}, data)


def reference(host: str, tag: str | None = TAG, digest: str | None = None) -> Reference:
    return Reference(host, f"team/{name()}", tag, digest)


def put(host: str, made: Image, *statements: dict[str, Any], tags: tuple[str, ...] = (TAG, "latest")) -> None:
    """Write an image and what is attached to it (nothing named: all that belongs to it)."""
    with Repository(reference(host), pause=0.001) as there:
        for digest, data in made.blobs.items():
            there.upload(digest, io.BytesIO(data), len(data))
        there.put_manifest(made.manifest.data, OCI_MANIFEST)
        for one in statements or made.statements():
            publish.attach(there, made.manifest, one, key())
        for name_of_it in tags:
            there.put_manifest(made.manifest.data, OCI_MANIFEST, name_of_it)
