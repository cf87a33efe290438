"""What JupyterLab is told, and what it is refused for."""

from __future__ import annotations

import dataclasses
import http.server
import socket
import threading
from pathlib import Path

import pytest

from assay import catalog
from assay.engine import Session
from assay.errors import UsageError
from assay.run import lab as lab_module
from assay.run.lab import Lab, lab_for
from tests.conftest import ROOT
from tests.registries import free_port


@pytest.fixture(autouse=True)
def own_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ports and locks that no other test looks for at the same time."""
    monkeypatch.setattr(lab_module, "FIRST_PORT", free_port())
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(
        "n", "sha256:x", ("python",), tmp_path, tmp_path, "1:1", 1, environment=("A=1",), volumes=("a:/a",)
    )


def test_the_token_is_in_files_and_on_no_command_line(tmp_path: Path, session: Session) -> None:
    lab = Lab.new(None, tmp_path)
    told = lab.session(session, image="with", own_network=True)
    assert len(lab.token) >= 32
    assert lab.token not in repr(told)
    assert (tmp_path / "token").read_text() == lab.token
    assert lab.address in lab.page.read_text()
    assert f"{tmp_path}/token:/run/lab/token:ro" in told.volumes
    assert "JUPYTER_TOKEN_FILE=/run/lab/token" in told.environment
    assert ("a:/a" in told.volumes, "A=1" in told.environment, told.image) == (True, True, "with")


def test_only_this_machine_reaches_it(tmp_path: Path, session: Session) -> None:
    lab = Lab.new(None, tmp_path)
    opened = lab.session(session, image="with", own_network=True)
    assert opened.ports == (f"127.0.0.1:{lab.port}:{lab.port}",)
    assert "--ServerApp.ip=0.0.0.0" in opened.command
    shared = lab.session(session, image="with", own_network=False)
    assert shared.ports == ()
    assert "--ServerApp.ip=127.0.0.1" in shared.command


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is taken"):
            Lab.new(port, tmp_path)
    assert Lab.new(port, tmp_path).port == port


def test_two_at_a_time_take_two_ports(tmp_path: Path) -> None:
    first, second = Lab.new(None, tmp_path), Lab.new(None, tmp_path)  # neither listens yet
    assert first.port != second.port
    with pytest.raises(UsageError, match=f"port {first.port} is taken"):
        Lab.new(first.port, tmp_path)


def test_it_is_told_once_when_it_answers(tmp_path: Path) -> None:
    lab, over = Lab.new(None, tmp_path), threading.Event()
    told: list[int] = []
    waiting = threading.Thread(target=lab.when_it_answers, args=(lambda: told.append(1), over))
    waiting.start()
    assert not lab.answers()

    class Api(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == f"token {lab.token}"
            self.send_response(200 if known else 403)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    other = dataclasses.replace(lab, token="of another lab on this port")
    with http.server.ThreadingHTTPServer(("127.0.0.1", lab.port), Api) as server:
        threading.Thread(target=server.serve_forever).start()
        waiting.join(20)
        assert not other.answers()
        server.shutdown()
    assert told == [1]


def test_one_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    lab, over = Lab.new(None, tmp_path), threading.Event()
    told: list[int] = []
    over.set()
    lab.when_it_answers(lambda: told.append(1), over)
    assert told == []


def test_there_is_a_lab_for_each_base() -> None:
    cat = catalog.load(ROOT)
    for image in cat.frameworks():
        lab = lab_for(cat, image.name, image.labels["python"])
        assert cat.ancestors(lab)[-1] == cat.ancestors(image)[-1]


def test_an_image_that_is_not_ours_has_none() -> None:
    with pytest.raises(
        UsageError, match="there is no JupyterLab for theirs, which is no image of a framework of ours"
    ):
        lab_for(catalog.load(ROOT), "theirs", "")
