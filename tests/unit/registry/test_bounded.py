"""No peer makes a request last, or grow, beyond what it may: each answer here has no end of its own."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from assay.errors import RegistryFailed, UsageError, VerificationFailed
from assay.registry import Descriptor, Reference, Repository, bounded, digest_of
from assay.registry.connection import ATTEMPTS
from tests.fake_registry import Answer, FakeRegistry
from tests.hostile import DIGITS, DRIPS, FLOODS, MIB, OK, Server, deaf, served

SECONDS = 0.4
LAYER = Descriptor("application/octet-stream", digest_of(b"x" * 2000), 2000)
DONE = "was not done with its answer after"
ASKED: dict[str, Callable[[Repository], object]] = {
    "manifest": lambda there: there.manifest(),
    "blob": lambda there: there.blob(LAYER, MIB),
    "stream": lambda there: list(there.stream(LAYER)),
    "large": lambda there: [None for _ in there.stream(Descriptor("a/b", LAYER.digest, 2**35))],
    "size": lambda there: there.size(LAYER.digest),
    "referrers": lambda there: there.referrers(LAYER.digest),
    "upload": lambda there: send(there, b"x"),
    "resume": lambda there: send(there, b"x"),
    "finish": lambda there: send(there, b""),
    "mount": lambda there: there.mount(LAYER.digest, "team/other"),
    "put": lambda there: there.put_manifest(b"{}", "a/b"),
}


# What is answered well, so that an upload comes to where it is to meet a flood: in its beginning, when it is taken up
# again, and at its end.
NOTHING = b"HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
BEGUN = b"HTTP/1.1 202 OK\r\nLocation: /x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
BROKEN = b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
WELL = {
    "upload": {"HEAD": NOTHING},
    "resume": {"HEAD": NOTHING, "POST": BEGUN, "PATCH": BROKEN},
    "finish": {"HEAD": NOTHING, "POST": BEGUN},
}


# Each flood meets a read, a stream and a write; each request what its own answer may be; a large layer all before it.
USUAL = ("manifest", "stream", "put")
CASES = [(flood, asked) for flood in FLOODS for asked in USUAL]
CASES += [
    (flood, asked) for flood in ("accepted", "created", "redirect") for asked in sorted({*ASKED} - {*USUAL, "large"})
]
CASES += [(flood, "large") for flood in ("redirect", "redirect in chunks", "failure of the moment", "continue")]


@contextlib.contextmanager
def repository(server: Server, seconds: float = SECONDS) -> Iterator[Repository]:
    with Repository(Reference.parse(f"{server.host}/team/app"), pause=0.001, seconds=seconds) as there:
        yield there


def send(there: Repository, data: bytes) -> bool:
    return there.upload(digest_of(data), io.BytesIO(data), len(data))


@pytest.mark.parametrize("asked", ["manifest", "stream", "put"])
@pytest.mark.parametrize("drip", DRIPS)
def test_an_answer_that_drips_ends(drip: str, asked: str) -> None:
    with (
        served(DRIPS[drip]) as server,
        repository(server) as there,
        pytest.raises(RegistryFailed, match=DONE),
    ):
        ASKED[asked](there)


@pytest.mark.parametrize("drip", ["body", "silence within"])
def test_what_takes_all_the_time_is_not_asked_again(drip: str) -> None:
    with served(DRIPS[drip]) as server, repository(server) as there:
        with pytest.raises(RegistryFailed, match=DONE):
            there.manifest()
        time.sleep(0.2)  # so that a second request would have come
        assert server.requests == 1, "there is no time to ask again"


@pytest.mark.parametrize("asked", ["manifest", "stream", "put", "size", "resume"])
@pytest.mark.parametrize("digits", DIGITS)
def test_numbers_of_thousands_of_digits_are_none(digits: str, asked: str) -> None:
    with served(DIGITS[digits], WELL.get(asked)) as server, repository(server, 2.0) as there:
        with contextlib.suppress(RegistryFailed, VerificationFailed):
            ASKED[asked](there)
        assert server.requests


@pytest.mark.parametrize("seconds", ["", "0.4"])
def test_the_environment_says_how_long_an_answer_may_take(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv(bounded.VARIABLE, seconds)
    with Repository(Reference.parse("127.0.0.1:9/app")) as there:
        assert there.meter().seconds == float(seconds or bounded.SECONDS)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "two", "9" * 5000])
def test_what_is_no_number_of_seconds_is_refused(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv(bounded.VARIABLE, seconds)
    with pytest.raises(UsageError, match="no number of seconds"):
        Repository(Reference.parse("127.0.0.1:9/app"))


@pytest.mark.parametrize(("flood", "asked"), CASES)
def test_an_answer_without_end_fills_no_memory(flood: str, asked: str) -> None:
    with served(FLOODS[flood], WELL.get(asked)) as server, repository(server, 1.0) as there:
        tracemalloc.start()
        try:
            with contextlib.suppress(RegistryFailed, VerificationFailed):
                ASKED[asked](there)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 24 * MIB
        # An attempt to upload takes up, begins, sends, ends and begins anew.
        assert 0 < server.requests <= (5 * ATTEMPTS if asked in WELL else ATTEMPTS + 1)


def test_a_body_that_is_too_large_is_named() -> None:
    with served(FLOODS["body"]) as server, repository(server, 60) as there:
        with pytest.raises(RegistryFailed, match="more than 4194304 bytes where that is the most"):
            there.manifest()
        with pytest.raises(VerificationFailed, match="truncated or changed"):
            list(there.stream(LAYER))


def test_an_upload_that_is_taken_in_drops_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "SLOWEST", 2**30)
    with (
        served(deaf, WELL["finish"]) as server,
        repository(server) as there,
        pytest.raises(RegistryFailed, match=DONE),
    ):
        send(there, bytes(32 * MIB))


def test_a_manifest_that_is_taken_in_drops_ends() -> None:
    with served(deaf) as server, repository(server) as there, pytest.raises(RegistryFailed, match=DONE):
        there.put_manifest(bytes(32 * MIB), "a/b")


def test_a_host_of_a_thousand_addresses_gets_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them answers; each is tried for what is left, and not for as long as one alone."""
    tried = []

    def connect(sock: socket.socket, _: object) -> None:
        tried.append(sock.gettimeout())
        time.sleep(0.1)
        raise TimeoutError

    many = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))] * 1000
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: many)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with (
        Repository(Reference.parse("registry.test/app"), pause=0.001, seconds=SECONDS) as there,
        pytest.raises(RegistryFailed, match=DONE),
    ):
        there.manifest()
    assert 0 < len(tried) < 100
    assert max(tried) <= SECONDS


@pytest.mark.parametrize("shakes_hands", [True, False])
def test_over_tls_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shakes_hands: bool) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("registry.test").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    looked_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **named: looked_up("127.0.0.1", *rest, **named))
    with served(DRIPS["body"] if shakes_hands else deaf, tls=tls if shakes_hands else None) as server:
        there = Reference.parse(server.host.replace("127.0.0.1", "registry.test") + "/app")
        with Repository(there, seconds=2.0) as asked, pytest.raises(RegistryFailed, match=f"{DONE}|does not answer"):
            asked.manifest()


def test_cookies_are_not_kept(fake: FakeRegistry) -> None:
    fake.hook = lambda method, path: Answer(200, {"Set-Cookie": "a=b"}, b"{}")
    with Repository(Reference.parse(f"{fake.host}/team/app")) as there:
        there.manifest()
        there.manifest()
    assert "Cookie" not in fake.headers[-1]


def test_content_gets_the_time_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer takes longer than a small answer, as long as it comes."""
    monkeypatch.setattr(bounded, "SLOWEST", 2**15)
    data = b"x" * (8 * bounded.SLOWEST)
    layer = Descriptor("a/b", digest_of(data), len(data))

    def peer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(OK + f"Content-Length: {len(data)}\r\n\r\n".encode())
        for start in range(0, len(data), bounded.SLOWEST):
            time.sleep(0.1)
            connection.sendall(data[start : start + bounded.SLOWEST])

    with served(peer) as server, repository(server) as there:
        assert b"".join(there.stream(layer)) == data
        with pytest.raises(RegistryFailed, match="was not done"):
            there.blob(layer, len(data))


def test_connections_are_used_again() -> None:
    answer = b"HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\n{}"

    def peer(connection: socket.socket, _: bytes) -> None:
        """Answers each request once it is there whole, in however many pieces it comes."""
        said = b"\r\n\r\n"  # the first one's head is read already
        while True:
            while b"\r\n\r\n{}" not in said:
                piece = connection.recv(2**16)
                if not piece:
                    return
                said += piece
            said = b""
            connection.sendall(answer)

    with served(peer) as server, repository(server) as there:
        for _ in range(5):
            there.put_manifest(b"{}", "a/b")
        assert server.requests == 1
