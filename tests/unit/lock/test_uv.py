from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import BuildFailed, UsageError
from assay.host import network, process
from assay.host.process import Completed
from assay.lock import uv as uv_room
from tests.unit.lock.resolver import UNREACHABLE, Resolver, write_locks

CERTIFICATE = """\
warning: No valid certificates found in `SSL_CERT_FILE`: a.in. No default certificates will be trusted.
error: Failed to fetch: http://index.example/simple/six/
  cause: error sending request for url (http://index.example/simple/six/)
  cause: client error (Connect)
  cause: invalid peer certificate: UnknownIssuer
"""
SERVER_ERROR = """\
error: Failed to fetch: http://127.0.0.1:18205/simple/six/
  cause: HTTP status server error (500 Internal Server Error) for url (http://127.0.0.1:18205/simple/six/)
"""
UNAUTHORIZED = """\
error: No solution found when resolving dependencies
  cause: Because six was not found in the package registry and you require six, we can conclude that your \
requirements are unsatisfiable.

hint: An index URL (http://127.0.0.1:18202/simple) could not be queried due to a lack of valid authentication \
credentials (401 Unauthorized)
"""
FORBIDDEN = """\
error: No solution found when resolving dependencies
  cause: Because six was not found in the package registry and you require six, we can conclude that your \
requirements are unsatisfiable.

hint: An index (http://127.0.0.1:18203/simple) returned a 403 Forbidden error. Check that the index URL is correct \
and the credentials are valid.
"""
OFFLINE = """\
error: No solution found when resolving dependencies
  cause: Because six was not found in the cache and you require six, we can conclude that your requirements are \
unsatisfiable.

hint: Packages were unavailable because the network was disabled. When the network is disabled, registry packages \
may only be read from the cache.
"""
NO_PACKAGE = """\
error: No solution found when resolving dependencies
  cause: Because nosuchpkg-zzz-1 was not found in the package registry and you require nosuchpkg-zzz-1==3, we can \
conclude that your requirements are unsatisfiable.
"""
NO_VERSION = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of six==99 and you require six==99, we can conclude that your requirements \
are unsatisfiable.
"""
NO_WHEEL = """\
error: No solution found when resolving dependencies
  cause: Because theano==1.0.5 has no usable wheels and you require theano==1.0.5, we can conclude that your \
requirements are unsatisfiable.

hint: Wheels are required for `theano` because building from source is disabled for all packages (i.e., with \
`--no-build`)
"""


@pytest.mark.parametrize(
    ("said", "status", "kind", "what", "todo"),
    [
        (UNREACHABLE, 2, BuildFailed, "Connection refused", "See to the network"),
        (CERTIFICATE, 2, BuildFailed, "UnknownIssuer", "no lock was changed"),
        (SERVER_ERROR, 2, BuildFailed, "500 Internal Server Error", "See to the network"),
        (UNAUTHORIZED, 1, BuildFailed, "401 Unauthorized", "See to the network"),
        (FORBIDDEN, 1, BuildFailed, "403 Forbidden", "See to the network"),
        (OFFLINE, 1, BuildFailed, "the network was disabled", "See to the network"),
        (NO_PACKAGE, 1, UsageError, "nosuchpkg-zzz-1 was not found", "Correct images/torchy/requirements.in."),
        (NO_VERSION, 1, UsageError, "there is no version of six==99", "Correct images/torchy/requirements.in."),
        (NO_WHEEL, 1, UsageError, "no usable wheels", "Wheels are required for `theano`"),
        ("uv: not found", 127, BuildFailed, "uv: not found", "See to"),
        ("uv: no end after 600 seconds", 124, BuildFailed, "no end after 600 seconds", "See to"),
        ("", -9, BuildFailed, "exit status -9", "See to"),
    ],
)
def test_why_uv_failed(
    root: Path, uv: Resolver, said: str, status: int, kind: type[Exception], what: str, todo: str
) -> None:
    uv.answer = Completed(status, "", said)
    (root / "images/cuda/1.0/requirements.in").rename(root / "aside")
    with pytest.raises(kind) as caught:
        write_locks(root)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("torchy: ")
    assert what in lines[0]
    assert todo in lines[1]
    assert not list(root.rglob("requirements.lock*"))


@given(st.text(), st.integers(-15, 255))
def test_whatever_uv_says_is_two_lines(said: str, status: int) -> None:
    assert len(str(uv_room.failure("x", Completed(status, "", said))).splitlines()) == 2


def test_uv_gets_the_index_and_the_ca_bundle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [name for name in network.uv_environment() if name.startswith(("UV_", "PIP_", "SSL_CERT_FILE"))]
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    (home / "ca.pem").touch()
    monkeypatch.setenv("PIP_CERT", str(home / "ca.pem"))
    environment = network.uv_environment()
    assert environment["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert environment["SSL_CERT_FILE"] == str(home / "ca.pem")
    assert "PIP_INDEX_URL" not in environment


def test_nothing_else_reaches_uv(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "PIP_FIND_LINKS": "/wheels",
        "PIP_EXTRA_INDEX_URL": "file:///simple",
        "UV_FIND_LINKS": "/wheels",
        "UV_INDEX": "https://extra.example",
        "UV_EXTRA_INDEX_URL": "https://extra.example",
        "UV_EXCLUDE_NEWER": "2020-01-01",
        "UV_PRERELEASE": "allow",
        "UV_RESOLUTION": "lowest",
        "UV_CONSTRAINT": "c.txt",
        "UV_TORCH_BACKEND": "cpu",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "300")
    environment = network.uv_environment()
    assert not told.keys() & environment.keys()
    assert environment["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert environment["UV_HTTP_TIMEOUT"] == "300"


def test_the_command_line(locked: Path, uv: Resolver) -> None:
    write_locks(locked, "torchy")
    argv, _ = uv.calls[0]
    assert argv[1:9] == [
        *("pip", "compile", "images/torchy/requirements.in", "images/cuda/1.0/requirements.lock"),
        *("--output-file", "images/torchy/requirements.lock"),
        *("--python", sys.executable),
    ]
    assert {"--generate-hashes", "--no-config", "--no-python-downloads"} <= set(argv)
    assert argv[argv.index("--only-binary") + 1] == ":all:"
    assert "--no-binary" not in argv
    assert argv[argv.index("--python-version") + 1] == "3.13"
    assert argv[argv.index("--python-platform") + 1] == "x86_64-manylinux_2_40"


def test_only_what_is_said_to_come_as_source_may(root: Path, uv: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "images/torchy/image.toml").write_text(
        (root / "images/torchy/image.toml").read_text() + '[sources]\nSix = ["cuda-lib>=1.0", "torch"]\n'
    )
    settings = {}
    answer = uv.__call__

    def run(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float) -> Completed:
        settings[argv[3]] = (cwd / "uv.toml").read_text()
        return answer(argv, env=env, cwd=cwd, timeout=timeout)

    monkeypatch.setattr(process, "run", run)
    write_locks(root)
    stack, torchy = (argv for argv, _ in uv.calls)
    assert "--no-binary" not in stack
    assert "--no-config" in stack
    assert torchy[torchy.index("--only-binary") : torchy.index("--only-binary") + 4] == [
        *("--only-binary", ":all:", "--no-binary", "six"),
    ]
    assert torchy[torchy.index("--config-file") + 1] == "uv.toml"
    assert "--no-config" not in torchy
    told = tomllib.loads(settings["images/torchy/requirements.in"])
    # What it needs is told, so that uv builds nothing to find it out.
    assert told == {"dependency-metadata": [{"name": "six", "requires-dist": ["cuda-lib>=1.0", "torch"]}]}
