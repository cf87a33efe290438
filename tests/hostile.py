"""Peers that answer without end: in drops that each come soon enough, in a flood, or not at all."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

Peer = Callable[[socket.socket, bytes], None]  # a connection, and the head of the request that came
# Whoever waits for longer than this has no deadline of its own: then a peer gives up.
HARD_STOP = 60.0
PAUSE = 0.05


class Server:
    """Reads each request's head, and leaves the rest to what it is told to be.

    Requests by the methods in ``well`` get these answers, and are not counted.
    """

    def __init__(self, peer: Peer, well: dict[str, bytes], tls: ssl.SSLContext | None = None) -> None:
        self.peer = peer
        self.well = well
        self.tls = tls
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

    def _serve(self, raw: socket.socket) -> None:
        raw.settimeout(HARD_STOP)
        with contextlib.suppress(OSError), self._secured(raw) as connection:
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(1)
                if not data:
                    return
                head += data
            answer = self.well.get(head.split()[0].decode())
            if answer is None:
                self.requests += 1
                self.peer(connection, head)
            else:
                connection.sendall(answer)

    def _secured(self, raw: socket.socket) -> socket.socket:
        if not self.tls:
            return raw
        secured = self.tls.wrap_socket(raw, server_side=True)
        self.open.append(secured)
        return secured

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()


@contextlib.contextmanager
def served(peer: Peer, well: dict[str, bytes] | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(peer, well or {}, tls)
    try:
        yield server
    finally:
        server.close()


def until_the_hard_stop() -> Iterator[None]:
    end = time.monotonic() + HARD_STOP
    while time.monotonic() < end:
        yield


def dripping(before: bytes, drop: bytes) -> Peer:
    """A few bytes at a time, each soon enough for a bound between two bytes."""

    def peer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(before)
        for _ in until_the_hard_stop():
            connection.sendall(drop)
            time.sleep(PAUSE)

    return peer


def halting(before: bytes) -> Peer:
    """Begins an answer, and says no more."""

    def peer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(before)
        while connection.recv(2**17):
            pass

    return peer


def flooding(before: bytes, piece: bytes = b"x" * 2**16) -> Peer:
    def peer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(before)
        for _ in until_the_hard_stop():
            connection.sendall(piece)

    return peer


def saying(answer: bytes) -> Peer:
    """Gives an answer that has an end, however often it is asked."""
    return lambda connection, _: connection.sendall(answer + b"Connection: close\r\nContent-Length: 0\r\n\r\n")


def deaf(connection: socket.socket, _: bytes) -> None:
    """Takes what it is sent in drops."""
    for _ in until_the_hard_stop():
        if not connection.recv(2**17):
            return
        time.sleep(PAUSE)


def token(then: Peer) -> Peer:
    """Sends for a token to itself, where the answer is another peer's."""

    def peer(connection: socket.socket, head: bytes) -> None:
        if b" /token" in head:
            then(connection, head)
        else:
            realm = "http://{}:{}/token".format(*connection.getsockname())
            saying(f'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm="{realm}"\r\n'.encode())(connection, head)

    return peer


OK = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
MIB = 2**20
DRIPS: dict[str, Peer] = {
    "status line": dripping(b"HTTP/1.1 200 ", b"x"),
    "header": dripping(OK + b"X-Long: ", b"x"),
    "headers": dripping(OK, b"X: y\r\n"),
    "body": dripping(OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
    "body without end": dripping(OK + b"\r\n", b"x"),
    "chunk": dripping(OK + CHUNKED + b"fffff\r\n", b"x"),
    "chunk size": dripping(OK + CHUNKED, b"0"),
    "chunk extension": dripping(OK + CHUNKED + b"1;", b"x"),
    "trailers": dripping(OK + CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n"),
    "continue": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "error": dripping(b"HTTP/1.1 404 No\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "failure of the moment": dripping(b"HTTP/1.1 503 No\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "redirect": dripping(b"HTTP/1.1 307 No\r\nContent-Length: 1000000\r\nLocation: ", b"x"),
    "token": token(dripping(OK + b"Content-Length: 1000000\r\n\r\n", b"x")),
    "later": saying(b"HTTP/1.1 503 No\r\nRetry-After: 3600\r\n"),
    "silence": halting(b""),
    "silence within": halting(OK + b"Content-Length: 9\r\n\r\nx"),
}
FLOODS: dict[str, Peer] = {
    "status line": flooding(b"HTTP/1.1 200 "),
    "header": flooding(OK + b"X-Long: "),
    "headers": flooding(OK, b"X: " + b"y" * 250 + b"\r\n"),
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
    "token": token(flooding(OK + b"\r\n")),
    "encoding": flooding(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(16 * MIB))),
}
NINES = b"9" * 5000
# Numbers of which Python makes none, or nothing that the system takes.
DIGITS: dict[str, Peer] = {
    "length": lambda connection, _: connection.sendall(OK + b"Content-Length: " + NINES + b"\r\n\r\n"),
    "chunk size": lambda connection, _: connection.sendall(OK + CHUNKED + NINES + b"\r\nx"),
    "status": saying(b"HTTP/1.1 " + NINES + b" OK\r\n"),
    "later": saying(b"HTTP/1.1 503 No\r\nRetry-After: " + NINES + b"\r\n"),
    "much later": saying(b"HTTP/1.1 503 No\r\nRetry-After: Mon, 1 Jan " + b"9" * 30 + b" 00:00:00 GMT\r\n"),
    "kept": saying(b"HTTP/1.1 204 OK\r\nLocation: /x\r\nRange: 0-" + NINES + b"\r\n"),
}
