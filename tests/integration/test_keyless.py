"""Signatures without a key, through a private Sigstore of the tests: published for real, and what cosign says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from assay import attestation, certificate, publish
from assay.attestation.keyless import Keyless
from assay.registry import Repository
from tests import published, sigstores
from tests.integration.conftest import PASSWORD, Newcomer, assay
from tests.registries import Registry
from tests.sigstores import IDENTITY, ISSUER, Sigstore

KINDS = (certificate.PREDICATE_TYPE, attestation.PROVENANCE, attestation.SBOM, attestation.TEST_RESULT)


@pytest.fixture
def sigstore(tmp_path: Path) -> Iterator[Sigstore]:
    with sigstores.serving(Sigstore(tmp_path / "sigstore")) as found:
        yield found


def cosign(programs: Path, sigstore: Sigstore, reference: str, identity: str, kind: str) -> int:
    """The exit code of the real cosign. It gets each root in a file too: what it lacks it asks the network for."""
    public = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    roots = {
        "SIGSTORE_ROOT_FILE": sigstore.authority.pem + sigstore.root.pem,
        "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": sigstore.certificates.public_key().public_bytes(*public),
        "SIGSTORE_REKOR_PUBLIC_KEY": sigstore.log.key.public_key().public_bytes(*public),
    }
    environment = {**os.environ, "HOME": str(sigstore.folder), "HTTPS_PROXY": "http://127.0.0.1:1"}
    for name, root in roots.items():
        path = sigstore.folder / name
        path.write_bytes(root)
        environment[name] = str(path)
    argv = [programs / "cosign", "verify-attestation", "--new-bundle-format", "--type", kind]
    argv += ["--trusted-root", sigstore.trust_root, "--certificate-oidc-issuer", ISSUER]
    argv += ["--certificate-identity", identity, reference]
    return subprocess.run(argv, env=environment, capture_output=True, timeout=120, check=False).returncode


def test_cosign_takes_what_is_signed_and_for_no_other_identity(
    programs: Path, registry: Registry, sigstore: Sigstore
) -> None:
    made = published.fresh()
    published.put(registry.host, made)
    session = Keyless.configured(sigstore.trust_config, sigstore.token()).session()
    with Repository(published.reference(registry.host)) as there:
        for one in made.statements():
            assert publish.attach(there, made.manifest, one, session)
    reference = str(published.reference(registry.host))
    for kind in KINDS:
        assert cosign(programs, sigstore, reference, IDENTITY, kind) == 0, kind
        assert cosign(programs, sigstore, reference, f"{IDENTITY}x", kind) != 0, kind


def verify(site: Path, folder: Path, reference: str, *asked: str) -> subprocess.CompletedProcess[str]:
    """`assay verify` of the installed wheel, which knows the newcomer's suite."""
    program = "import sys; from assay.cli import main; sys.argv[0] = 'assay'; main()"
    argv = [sys.executable, "-c", program, "verify", reference, *asked]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.engine
def test_an_image_that_is_published_without_a_key_beside_one(
    certified: Newcomer, registry: Registry, sigstore: Sigstore, key: Path, installed: Path
) -> None:
    def published_anew() -> int:
        argv = ("newcomer", "--registry", f"{registry.host}/team", "--key", str(key), "--keyless", "--json")
        services = ("--trust-config", str(sigstore.trust_config), "--identity-token", str(sigstore.token()))
        done = assay(certified.checkout, "publish", *argv, *services, **PASSWORD)
        assert done.returncode == 0, done.stderr
        return int(json.loads(done.stdout)[0]["attached"])

    assert published_anew() == 8
    assert published_anew() == 0
    reference = f"{registry.host}/team/newcomer:latest"
    whose = ("--issuer", ISSUER, "--trust-root", str(sigstore.trust_root), "--identity")
    public = ("--key", str(key.with_suffix(".pub")))
    for asked, code in (
        ((*whose, IDENTITY), 0),
        ((*whose, IDENTITY, *public), 0),
        (public, 0),
        ((*whose, f"{IDENTITY}x"), 5),
        ((*whose, f"{IDENTITY}x", *public), 5),
        ((*whose, IDENTITY, "--key", str(key.with_name("other.pub"))), 5),
    ):
        done = verify(installed, key.parent, reference, *asked)
        assert done.returncode == code, done.stdout + done.stderr
