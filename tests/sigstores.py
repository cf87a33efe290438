"""A private Sigstore on loopback: what names signers (Fulcio), what keeps signatures (Rekor), what tells the time.

Its keys and roots are made anew each time. All that it gives out is whole: a certificate with a root and an authority
above it, and in it the promise of a log of certificates; entries in a Merkle tree with a signed head; time stamps by
`openssl ts`. What it may get wrong is told to it, for the tests of what is refused.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import json
import struct
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.web import WebServer

ISSUER = "https://forge.example"
IDENTITY = "https://forge.example/team/project/.github/workflows/image.yml@refs/heads/main"
MINUTES = datetime.timedelta(minutes=10)
_ISSUER_V1, _ISSUER_V2 = (
    x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1"),
    x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8"),
)
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_P256 = "PKIX_ECDSA_P256_SHA_256"
_TSA = """
[tsa]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
accuracy = secs:1
"""


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _usage(**allowed: bool) -> x509.KeyUsage:
    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
    more = ("encipher_only", "decipher_only", "digital_signature", "key_cert_sign")
    return x509.KeyUsage(**{**dict.fromkeys((*names, *more), False), **allowed})


@dataclass
class Authority:
    """A certificate with its key, and who issued it; itself, of a root."""

    name: str
    above: Authority | None = None
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.certificate = self._made(x509.BasicConstraints(True, None), _usage(key_cert_sign=True, crl_sign=True))

    @property
    def subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def _made(self, constraints: x509.BasicConstraints, usage: x509.KeyUsage, *more: Any) -> x509.Certificate:
        issuer = self.above or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_now() - datetime.timedelta(days=30))
            .not_valid_after(_now() + datetime.timedelta(days=30))
            .add_extension(constraints, critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
            )
        )
        for extension in more:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(issuer.key, hashes.SHA256())


class TimeStamper(Authority):
    """The certificate of what stamps the time."""

    def __post_init__(self) -> None:
        stamping = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        self.certificate = self._made(x509.BasicConstraints(False, None), _usage(digital_signature=True), stamping)


class Log:
    """A log whose head is signed: a Merkle tree (RFC 6962) over the entries' bodies."""

    name = "log.forge.example"

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.bodies = [b"an entry before", b"and another"]

    @property
    def id(self) -> bytes:
        return hashlib.sha256(_spki(self.key)).digest()

    def add(self, body: bytes) -> int:
        self.bodies.append(body)
        return len(self.bodies) - 1

    def proof(self, index: int) -> tuple[list[bytes], bytes]:
        """The hashes from an entry to the root, and the root."""
        return _path(self.bodies, index), _root(self.bodies)

    @property
    def head(self) -> str:
        """The signed note about the tree."""
        note = f"{self.name} - 1\n{len(self.bodies)}\n{_base64(_root(self.bodies))}\n"
        return f"{note}\n\u2014 {self.name} {_base64(self.id[:4] + _sign(self.key, note.encode()))}\n"


def _root(bodies: list[bytes]) -> bytes:
    if len(bodies) == 1:
        return hashlib.sha256(b"\0" + bodies[0]).digest()
    half = 1 << (len(bodies) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root(bodies[:half]) + _root(bodies[half:])).digest()


def _path(bodies: list[bytes], index: int) -> list[bytes]:
    if len(bodies) == 1:
        return []
    half = 1 << (len(bodies) - 1).bit_length() - 1
    if index < half:
        return [*_path(bodies[:half], index), _root(bodies[half:])]
    return [*_path(bodies[half:], index - half), _root(bodies[:half])]


@dataclass
class Sigstore:
    """The services. ``version``: of the log's API, 1 or 2; ``stamps``: whether the time is stamped too.

    ``late``: how long after it was signed the log takes something; ``down``: whether the log fails.
    """

    folder: Path
    version: int = 1
    stamps: bool = False
    late: datetime.timedelta = datetime.timedelta()
    down: bool = False
    host: str = ""
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = Authority("root")
        self.authority = Authority("authority", self.root)
        self.certificates = ec.generate_private_key(ec.SECP256R1())
        self.stamper = TimeStamper("time", self.root)
        self.issuer = ec.generate_private_key(ec.SECP256R1())
        self.log = Log()
        self.folder.mkdir(parents=True, exist_ok=True)
        key = self.stamper.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        texts = {"tsa.pem": self.stamper.pem, "tsa.key": key, "serial": b"01\n"}
        texts["tsa.cnf"] = _TSA.format(folder=self.folder).encode()
        for name, text in texts.items():
            (self.folder / name).write_bytes(text)

    def token(self, identity: str = IDENTITY, issuer: str = ISSUER, lived: int = 0) -> Path:
        """An identity token in a file, of so many seconds ago; it lives for five minutes."""
        began = int(_now().timestamp()) - lived
        claims = {"iss": issuer, "sub": identity, "aud": "sigstore", "iat": began, "exp": began + 300}
        path = self.folder / "token"
        path.write_text(jwt.encode(claims, self.issuer, algorithm="ES256") + "\n")
        return path

    @property
    def trust_root(self) -> Path:
        """What verifies what it gave out."""
        path = self.folder / "trusted_root.json"
        path.write_text(json.dumps(self._trusted()))
        return path

    @property
    def trust_config(self) -> Path:
        """What signs with it."""
        path = self.folder / "trust_config.json"
        services = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [self._service(f"http://{self.host}", 1)],
            "rekorTlogUrls": [self._service(f"http://{self.host}", self.version)],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [self._service(f"http://{self.host}/time", 1)] if self.stamps else [],
            "tsaConfig": {"selector": "ANY"},
        }
        kind = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
        path.write_text(json.dumps({"mediaType": kind, "trustedRoot": self._trusted(), "signingConfig": services}))
        return path

    def _service(self, url: str, version: int) -> dict[str, Any]:
        return {"url": url, "majorApiVersion": version, "validFor": self._lives, "operator": "the tests"}

    @property
    def _lives(self) -> dict[str, str]:
        return {"start": (_now() - datetime.timedelta(days=29)).isoformat()}

    def _trusted(self) -> dict[str, Any]:
        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            spki = _spki(key)
            public = {"rawBytes": _base64(spki), "keyDetails": _P256, "validFor": self._lives}
            known = {"keyId": _base64(hashlib.sha256(spki).digest())}
            return {"baseUrl": "https://log", "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": known}

        def chain(*authorities: Authority) -> dict[str, Any]:
            certificates = [{"rawBytes": _base64(one.der)} for one in authorities]
            subject = {"organization": "tests", "commonName": authorities[0].name}
            return {"subject": subject, "certChain": {"certificates": certificates}, "validFor": self._lives}

        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log.key)],
            "certificateAuthorities": [chain(self.authority, self.root)],
            "ctlogs": [log(self.certificates)],
            "timestampAuthorities": [chain(self.stamper, self.root)],
        }

    def certificate(self, request: x509.CertificateSigningRequest, token: str) -> bytes:
        """The certificate of whom a token names, with the promise of the log of certificates; PEM."""
        claims = jwt.decode(token, self.issuer.public_key(), algorithms=["ES256"], audience="sigstore")
        name, issuer = str(claims["sub"]), str(claims["iss"])
        named = x509.UniformResourceIdentifier(name) if "://" in name else x509.RFC822Name(name)
        public = request.public_key()
        assert request.is_signature_valid
        assert isinstance(public, ec.EllipticCurvePublicKey)
        v2 = issuer.encode()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.authority.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_now())
            .not_valid_after(_now() + MINUTES)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.key.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([named]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V1, v2), critical=False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V2, bytes([12, len(v2)]) + v2), critical=False)
        )
        promise = self._promise(builder.sign(self.authority.key, hashes.SHA256()).tbs_certificate_bytes)
        builder = builder.add_extension(x509.UnrecognizedExtension(_SCTS, promise), critical=False)
        return builder.sign(self.authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _promise(self, to_be_signed: bytes) -> bytes:
        """A signed certificate timestamp (RFC 6962, 3.2) about a certificate that has none yet, in DER."""
        when = struct.pack("!Q", int(_now().timestamp() * 1000))
        above = hashlib.sha256(_spki(self.authority.key)).digest()
        entry = above + len(to_be_signed).to_bytes(3, "big") + to_be_signed
        signed = _sign(self.certificates, b"\0\0" + when + struct.pack("!H", 1) + entry + b"\0\0")
        log = hashlib.sha256(_spki(self.certificates)).digest()
        one = b"\0" + log + when + b"\0\0" + b"\4\3" + struct.pack("!H", len(signed)) + signed
        several = struct.pack("!HH", len(one) + 2, len(one)) + one
        assert len(several) < 128
        return bytes([4, len(several)]) + several

    def stamp(self, query: bytes) -> bytes:
        """The answer to a question for the time (RFC 3161)."""
        (self.folder / "query").write_bytes(query)
        words = ["-reply", "-queryfile", "query", "-config", "tsa.cnf", "-section", "tsa"]
        done = subprocess.run(["openssl", "ts", *words], cwd=self.folder, capture_output=True, check=True, timeout=30)
        return done.stdout

    def entered(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """What the first version of the log answers: an entry, with the promise that it is in (or soon will be)."""
        content = proposed["spec"]["proposedContent"]
        envelope, (verifier,) = json.loads(content["envelope"]), content["verifiers"]
        payload = base64.b64decode(envelope["payload"])
        spec = {
            "envelopeHash": _sha256(content["envelope"].encode()),
            "payloadHash": _sha256(payload),
            "signatures": [{"signature": one["sig"], "verifier": verifier} for one in envelope["signatures"]],
        }
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        index, at = self.log.add(body), int((_now() + self.late).timestamp())
        about = {"body": _base64(body), "integratedTime": at, "logID": self.log.id.hex(), "logIndex": index}
        path, root = self.log.proof(index)
        proof = {
            "checkpoint": self.log.head,
            "hashes": [one.hex() for one in path],
            "logIndex": index,
            "rootHash": root.hex(),
            "treeSize": len(self.log.bodies),
        }
        promise = _base64(_sign(self.log.key, _canonical(about)))
        return {"id": {**about, "verification": {"inclusionProof": proof, "signedEntryTimestamp": promise}}}

    def entered_by_hash(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """What the second version answers: an entry, and no word of the time."""
        asked = proposed["hashedRekordRequestV002"]
        spec = {"data": {"algorithm": "SHA2_256", "digest": asked["digest"]}, "signature": asked["signature"]}
        body = _canonical({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": spec}})
        index = self.log.add(body)
        path, root = self.log.proof(index)
        return {
            "logIndex": str(index),
            "logId": {"keyId": _base64(self.log.id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": {
                "logIndex": str(index),
                "rootHash": _base64(root),
                "treeSize": str(len(self.log.bodies)),
                "hashes": [_base64(one) for one in path],
                "checkpoint": {"envelope": self.log.head},
            },
            "canonicalizedBody": _base64(body),
        }


def _sha256(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _canonical(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


@contextlib.contextmanager
def serving(made: Sigstore) -> Iterator[Sigstore]:
    """Its services on a port of loopback."""

    class Handler(_Handler):
        sigstore = made

    server = WebServer(("127.0.0.1", 0), Handler)
    made.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    sigstore: Sigstore

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        """What GitHub's runners ask for the identity token of a job."""
        given = self.headers.get("Authorization") == "bearer of-the-job" and "audience=sigstore" in self.path
        token = self.sigstore.token().read_text().strip() if given else ""
        self._say(200 if given else 403, json.dumps({"value": token}).encode())

    def do_POST(self) -> None:
        made, data = self.sigstore, self.rfile.read(int(self.headers["Content-Length"]))
        made.asked.append(self.path)
        if self.path == "/api/v2/signingCert":
            try:
                self._say(201, json.dumps(self._certified(json.loads(data))).encode())
            except jwt.PyJWTError as error:
                self._say(401, json.dumps({"message": str(error)}).encode())
        elif made.down and "/log/" in self.path:
            self._say(503, b"{}")
        elif self.path == "/api/v1/log/entries":
            self._say(201, json.dumps(made.entered(json.loads(data))).encode())
        elif self.path == "/api/v2/log/entries":
            self._say(201, json.dumps(made.entered_by_hash(json.loads(data))).encode())
        elif self.path == "/time":
            self._say(201, made.stamp(data))
        else:
            self._say(404, b"{}")

    def _certified(self, asked: dict[str, str]) -> dict[str, Any]:
        request = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
        leaf = self.sigstore.certificate(request, self.headers["Authorization"].removeprefix("Bearer "))
        chain = [leaf, self.sigstore.authority.pem, self.sigstore.root.pem]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": [one.decode() for one in chain]}}}

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
