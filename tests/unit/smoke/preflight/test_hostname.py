"""Whether the container's own name has an address."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from smoke.preflight import hostname
from smoke.preflight.finding import OK, WARN


def test_a_name_that_has_an_address():
    found = hostname.judge_hostname("localhost", hostname.ask("localhost"))
    assert (found.state, found.remedy) == (OK, "")


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_has_none(monkeypatch, error):
    def refuse(*_arguments):
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    found = hostname.judge_hostname("box", hostname.ask("box"))
    assert found.state == WARN
    assert error.args[-1] in found.message
    assert "--hostname localhost" in found.remedy


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments: over.wait(60))
    begun = time.monotonic()
    found = hostname.judge_hostname("box", hostname.ask("box"), seconds=0.2)
    over.set()
    assert time.monotonic() - begun < 30
    assert found.state == WARN
    assert "no answer within 0.2 seconds" in found.message


def test_without_a_thread_it_is_not_known(monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    found = hostname.judge_hostname("box", hostname.ask("box"))
    assert found.state == WARN
    assert "not known" in found.message
