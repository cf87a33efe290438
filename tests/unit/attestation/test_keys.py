"""Keys on disk, and what a signature is over."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from assay.attestation import PrivateKey, PublicKey, WrongKey, generate
from assay.certificate.statement import in_toto
from assay.errors import UsageError, VerificationFailed

STATEMENT = in_toto("app", "sha256:" + "0" * 64, "urn:x", {"grüße": 1})


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return generate(tmp_path / "release", "a password")


def test_a_key_pair(pair: tuple[Path, Path]) -> None:
    secret, public = pair
    assert (secret.name, public.name) == ("release.key", "release.pub")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in secret.read_bytes()
    private = PrivateKey.read(secret, "a password")
    bundle = private.sign(STATEMENT)
    assert json.loads(PublicKey.read(public).open(bundle)) == STATEMENT
    assert private.sign(STATEMENT) == bundle, "the same statement is the same bundle"


def test_to_try_a_password_takes_600000_rounds(pair: tuple[Path, Path]) -> None:
    """Read by another program than writes it."""
    shown = subprocess.run(
        ["openssl", "asn1parse", "-in", pair[0]], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.partition("prim:")[2].split() for line in shown.splitlines() if "prim:" in line]
    assert [row[-1] for row in rows if row[0] == "OBJECT"] == [":PBES2", ":PBKDF2", ":hmacWithSHA256", ":aes-256-cbc"]
    assert int(next(row[1] for row in rows if row[0] == "INTEGER").removeprefix(":"), 16) >= 600_000
    opened = ["openssl", "pkey", "-in", pair[0], "-passin", "pass:a password", "-pubout"]
    assert subprocess.run(opened, capture_output=True, check=True).stdout == pair[1].read_bytes()


def test_two_keys_share_no_salt(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other, _ = generate(tmp_path / "other", "a password")
    heads = [base64.b64decode("".join(path.read_text().splitlines()[1:-1]))[:101] for path in (pair[0], other)]
    assert heads[0][:33] == heads[1][:33]
    assert heads[0] != heads[1]
    assert heads[0][35:51] != heads[1][35:51]
    assert heads[0][-16:] != heads[1][-16:]


@pytest.mark.parametrize("password", ["12345678", "viele grüße", "long " * 1000, "a\0b is one"])
def test_any_password_will_do(tmp_path: Path, password: str) -> None:
    secret, public = generate(tmp_path / "release", password)
    assert PrivateKey.read(secret, password).public.pem() == public.read_bytes()
    with pytest.raises(UsageError, match="password is wrong"):
        PrivateKey.read(secret, f"{password} ")


def test_a_key_of_older_versions_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "old.key"
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a password"),
        )
    )
    assert PrivateKey.read(path, "a password")


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_key_has_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a key"):
        generate(Path(name), "a password")


def test_a_key_is_never_overwritten(pair: tuple[Path, Path], tmp_path: Path) -> None:
    before = pair[0].read_bytes()
    for absent in (None, pair[0], pair[1]):
        kept = absent.read_bytes() if absent else b""
        if absent:
            absent.unlink()
        with pytest.raises(UsageError, match="is there already"):
            generate(tmp_path / "release", "a password")
        if absent:
            assert not absent.exists()
            absent.write_bytes(kept)
    assert pair[0].read_bytes() == before


def test_an_empty_password_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty"):
        generate(tmp_path / "release", "")
    assert not list(tmp_path.iterdir())


def test_keys_that_will_not_do(pair: tuple[Path, Path], tmp_path: Path) -> None:
    secret, _ = pair
    with pytest.raises(UsageError, match="password is wrong"):
        PrivateKey.read(secret, "another")
    with pytest.raises(UsageError, match="no public key"):
        PublicKey.read(secret)
    with pytest.raises(UsageError, match="cannot be read"):
        PublicKey.read(tmp_path / "absent")
    other = tmp_path / "other"
    for key in (ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()):
        other.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"x"),
            )
        )
        with pytest.raises(UsageError, match="no key of ECDSA"):
            PrivateKey.read(other, "x")
        public_bytes = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        other.write_bytes(public_bytes)
        with pytest.raises(UsageError, match="no key of ECDSA"):
            PublicKey.read(other)
    plain = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    other.write_bytes(plain)
    with pytest.raises(UsageError, match="not encrypted"):
        PrivateKey.read(other, "x")


def test_what_was_tampered_with(pair: tuple[Path, Path], tmp_path: Path) -> None:
    secret, public = pair
    bundle = json.loads(PrivateKey.read(secret, "a password").sign(STATEMENT))
    envelope = bundle["dsseEnvelope"]
    changes = (
        (envelope, "payload", base64.b64encode(b"{}").decode(), "edited"),
        (envelope, "payloadType", "text/plain", "no statement"),
        (envelope, "signatures", [], "stripped"),
        (envelope, "signatures", [{"sig": base64.b64encode(b"x").decode()}], "edited"),
        (bundle, "mediaType", "application/json", "unknown"),
    )
    for where, name, value, said in changes:
        kept = where[name]
        where[name] = value
        with pytest.raises(VerificationFailed, match=said):
            PublicKey.read(public).open(json.dumps(bundle).encode())
        where[name] = kept
    assert PublicKey.read(public).open(json.dumps(bundle).encode())
    other = PublicKey.read(generate(tmp_path / "other", "a password")[1])
    with pytest.raises(WrongKey, match="another key"):
        other.open(json.dumps(bundle).encode())


def test_the_encoding_that_is_signed(pair: tuple[Path, Path]) -> None:
    """DSSE's pre-authentication encoding, written out: whoever knows DSSE alone can check the signature."""
    bundle = json.loads(PrivateKey.read(pair[0], "a password").sign({"a": 1}))
    envelope = bundle["dsseEnvelope"]
    assert base64.b64decode(envelope["payload"]) == b'{"a":1}'
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    encoded = b'DSSEv1 28 application/vnd.in-toto+json 7 {"a":1}'
    PublicKey.read(pair[1]).key.verify(signature, encoded, ec.ECDSA(hashes.SHA256()))
