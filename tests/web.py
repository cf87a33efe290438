"""The HTTP server that the tests' own servers are made of."""

from __future__ import annotations

import sys
from http.server import ThreadingHTTPServer
from typing import Any


class WebServer(ThreadingHTTPServer):
    """A server on loopback to whom a client that hangs up is nothing: tests make clients do so. All else it tells."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
