"""No peer makes a request last, or grow, beyond what it may: each answer here has no end of its own."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from assay.errors import AssayError, RegistryFailed, VerificationFailed
from assay.registry import Descriptor, Reference, Repository, bounded, digest_of
from assay.registry.connection import ATTEMPTS

Peer = Callable[[socket.socket], None]
SECONDS = 0.4
LAYER = Descriptor("application/octet-stream", digest_of(b"x" * 2000), 2000)
MIB = 2**20


class Server:
    """Reads each request's head, and leaves the rest to what it is told to be.

    Requests by the methods in ``well`` get these answers, and are not counted.
    """

    def __init__(self, peer: Peer, well: dict[str, bytes]) -> None:
        self.peer = peer
        self.well = well
        self.requests = 0
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.open.append(connection)
                self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self.threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(1)
                if not data:
                    return
                head += data
            answer = self.well.get(head.split()[0].decode())
            if answer is None:
                self.requests += 1
                self.peer(connection)
            else:
                connection.sendall(answer)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()


@contextlib.contextmanager
def served(peer: Peer, well: dict[str, bytes] | None = None) -> Iterator[Server]:
    server = Server(peer, well or {})
    try:
        yield server
    finally:
        server.close()


def dripping(before: bytes, drop: bytes) -> Peer:
    """A few bytes at a time, each soon enough for a bound between two bytes."""

    def peer(connection: socket.socket) -> None:
        connection.sendall(before)
        while True:
            connection.sendall(drop)
            time.sleep(0.05)

    return peer


def halting(before: bytes) -> Peer:
    """Begins an answer, and says no more."""

    def peer(connection: socket.socket) -> None:
        connection.sendall(before)
        connection.recv(1)

    return peer


def flooding(before: bytes, piece: bytes = b"x" * 2**16) -> Peer:
    def peer(connection: socket.socket) -> None:
        connection.sendall(before)
        while True:
            connection.sendall(piece)

    return peer


def deaf(connection: socket.socket) -> None:
    """Takes an upload in drops."""
    while connection.recv(2**17):
        time.sleep(0.05)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
DRIPS = {
    "status line": dripping(b"HTTP/1.1 200 ", b"x"),
    "header": dripping(OK + b"X-Long: ", b"x"),
    "body": dripping(OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
    "body without end": dripping(OK + b"\r\n", b"x"),
    "chunk": dripping(OK + CHUNKED + b"fffff\r\n", b"x"),
    "chunk size": dripping(OK + CHUNKED, b"0"),
    "chunk extension": dripping(OK + CHUNKED + b"1;", b"x"),
    "trailers": dripping(OK + CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n"),
    "continue": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "error": dripping(b"HTTP/1.1 404 No\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "failure of the moment": dripping(b"HTTP/1.1 503 No\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "challenge": dripping(b"HTTP/1.1 401 No\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "redirect": dripping(b"HTTP/1.1 307 No\r\nContent-Length: 1000000\r\nLocation: ", b"x"),
}
FLOODS = {
    "body": flooding(OK + b"\r\n"),
    "chunks": flooding(OK + CHUNKED, b"10000\r\n" + b"x" * 2**16 + b"\r\n"),
    "empty lines of chunks": flooding(OK + CHUNKED + b"1"),
    "trailer": flooding(OK + CHUNKED + b"1\r\nx\r\n0\r\n"),
    "trailers": flooding(OK + CHUNKED + b"1\r\nx\r\n0\r\n", b"X: " + b"y" * 250 + b"\r\n"),
    "continue": flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "failure of the moment": flooding(b"HTTP/1.1 503 No\r\n\r\n"),
    "redirect": flooding(b"HTTP/1.1 307 No\r\nLocation: /elsewhere\r\n\r\n"),
    "redirect in chunks": flooding(
        b"HTTP/1.1 302 No\r\nLocation: /x\r\n" + CHUNKED, b"10000\r\n" + b"x" * 2**16 + b"\r\n"
    ),
    "accepted": flooding(b"HTTP/1.1 202 OK\r\nLocation: /x\r\n\r\n"),
    "created": flooding(b"HTTP/1.1 201 OK\r\n\r\n"),
    "challenge": flooding(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm="/token"\r\n\r\n'),
}
ASKED: dict[str, Callable[[Repository], object]] = {
    "manifest": lambda there: there.manifest(),
    "blob": lambda there: there.blob(LAYER, MIB),
    "stream": lambda there: list(there.stream(LAYER)),
    "large": lambda there: [None for _ in there.stream(Descriptor("a/b", LAYER.digest, 2**40))],
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
    with served(DRIPS[drip]) as server, repository(server) as there:
        began = time.monotonic()
        with contextlib.suppress(AssayError):
            ASKED[asked](there)
        assert time.monotonic() - began < 4 * SECONDS


@pytest.mark.parametrize("peer", [DRIPS["body"], halting(OK + b"Content-Length: 9\r\n\r\nx")], ids=["drips", "halts"])
def test_what_is_said_of_it(peer: Peer) -> None:
    with served(peer) as server, repository(server) as there:
        with pytest.raises(RegistryFailed, match=r"was not done with its answer after \d+ s"):
            there.manifest()
        time.sleep(0.2)  # so that a second request would have come
        assert server.requests == 1, "there is no time to ask again"


@pytest.mark.parametrize(("flood", "asked"), CASES)
def test_an_answer_without_end_fills_no_memory(flood: str, asked: str) -> None:
    with served(FLOODS[flood], WELL.get(asked)) as server, repository(server, 1.0) as there:
        tracemalloc.start()
        try:
            with contextlib.suppress(AssayError):
                ASKED[asked](there)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 24 * MIB
        # An attempt to upload takes up, begins, sends, ends and begins anew.
        assert 0 < server.requests <= (5 * ATTEMPTS if asked in WELL else ATTEMPTS + 1)


def test_a_body_that_is_too_large_is_named() -> None:
    with served(FLOODS["body"]) as server, repository(server, 60) as there:
        with pytest.raises(VerificationFailed, match="more than 4194304 bytes where that is the most"):
            there.manifest()
        with pytest.raises(VerificationFailed, match="truncated or changed"):
            list(there.stream(LAYER))


def test_an_upload_that_is_taken_in_drops_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "SLOWEST", 2**30)
    with served(deaf, WELL["finish"]) as server, repository(server) as there:
        began = time.monotonic()
        with pytest.raises(RegistryFailed, match="was not done"):
            send(there, bytes(32 * MIB))
        assert time.monotonic() - began < 6 * SECONDS


def test_content_gets_the_time_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer takes longer than a small answer, as long as it comes."""
    monkeypatch.setattr(bounded, "SLOWEST", 2**15)
    data = b"x" * (8 * bounded.SLOWEST)
    layer = Descriptor("a/b", digest_of(data), len(data))

    def peer(connection: socket.socket) -> None:
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

    def peer(connection: socket.socket) -> None:
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
