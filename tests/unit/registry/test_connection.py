"""One request: over HTTP or TLS, and made again where it fails for the moment."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from assay.errors import RegistryFailed
from assay.registry import (
    Credentials,
    Reference,
    Repository,
)
from assay.registry.connection import ATTEMPTS
from tests.fake_registry import Answer, FakeRegistry, serving
from tests.unit.registry.known import BLOB, DATA, DIGEST, challenged, repository, send


@pytest.mark.parametrize(
    ("netloc", "so"),
    [("localhost:5000", True), ("127.0.0.1", True), ("127.9.9.9:1", True), ("[::1]:5000", True),
     ("127.0.0.1.example", False),
     ("10.0.0.1:5000", False), ("registry.example", False), ("localhost.example:80", False)],
)  # fmt: skip
def test_plain_http_is_for_loopback_only(netloc: str, so: bool) -> None:
    there = Repository(Reference(netloc, "app"))
    assert there.home.scheme == ("http" if so else "https")
    assert Repository(Reference(netloc, "app"), plain_http=True).home.scheme == "http"


def test_failures_of_the_moment_are_asked_again(fake: FakeRegistry) -> None:
    fake.blobs["team/app", DIGEST] = DATA
    fake.once(
        "GET", "/blobs/", Answer(500), Answer(429, {"Retry-After": "0"}), Answer(drop=True), Answer(503), Answer(502)
    )
    with repository(fake) as there:
        assert there.blob(BLOB, 2**21) == DATA


@pytest.mark.parametrize("status", [429, 500, 503])
def test_failures_that_stay_end_within_bounds(fake: FakeRegistry, status: int) -> None:
    fake.always("GET", "/manifests/", Answer(status))
    with repository(fake) as there, pytest.raises(RegistryFailed, match=str(status)):
        there.manifest()
    assert len(fake.log) == ATTEMPTS


def test_no_registry_at_all() -> None:
    with (
        Repository(Reference.parse("127.0.0.1:9/app"), pause=0.001) as there,
        pytest.raises(RegistryFailed, match="does not answer") as caught,
    ):
        there.manifest()
    assert "(host=" not in caught.value.what, "an object is no reason"


def test_a_name_that_is_nowhere_is_said_without_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with (
        Repository(Reference.parse("registry.test/app"), pause=0.001) as there,
        pytest.raises(RegistryFailed, match=r"^registry\.test does not answer: Failed to resolve 'registry\.test'"),
    ):
        there.manifest()


def test_tls_with_a_private_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other name than loopback's is spoken to over TLS, and its certificate has to be one that is trusted."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("registry.test").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    looked_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **named: looked_up(host.replace("registry.test", "127.0.0.1"), *rest, **named),
    )
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(FakeRegistry(), tls) as fake:
        reference = Reference.parse(fake.host.replace("127.0.0.1", "registry.test") + "/team/app")
        with (
            Repository(reference, pause=0.001) as there,
            pytest.raises(RegistryFailed, match="certificate verify failed"),
        ):
            send(there)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with Repository(reference, pause=0.001) as there:
            assert send(there)
            assert there.blob(BLOB, 2**21) == DATA


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_stands_before_this_machine(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It would see the password, and answer in place of what runs here."""
    monkeypatch.setenv("NO_PROXY", "")
    known = Credentials("me", "secret word")
    challenged(fake, 'Basic realm="x"', known.basic())
    fake.blobs["team/app", DIGEST] = DATA
    with serving(FakeRegistry()) as proxy:
        monkeypatch.setenv(name, f"http://{proxy.host}")
        for host in (fake.host, fake.host.replace("127.0.0.1", "localhost")):
            with Repository(Reference.parse(f"{host}/team/app"), credentials=known, pause=0.001) as there:
                assert there.blob(BLOB, len(DATA)) == DATA
        assert proxy.log == []
        with (
            Repository(Reference.parse("r.example/team/app"), plain_http=True, pause=0.001) as there,
            pytest.raises(RegistryFailed),
        ):
            there.blob(BLOB, len(DATA))
        assert proxy.log, "to others it does"
