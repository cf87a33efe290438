from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.engine import BuildRequest
from assay.engine.builds import build_argv, remedy
from assay.errors import AssayError, BuildFailed, EngineMissing
from assay.host import process
from tests.unit.engine.sdk import Client, Container, engine, two_lines

REQUEST = BuildRequest(
    tag="assay/x:latest",
    dockerfile=Path("/r/images/Dockerfile"),
    context=Path("/r/images/x"),
    args={"PLAN": '{"a": "b c"}', "PARENT": "assay/base:1"},
    contexts={"smoke": "/r/smoke", "common": "/r/images/common"},
    secrets={"network": Path("/t/network"), "ca": Path("/t/ca.pem")},
    labels={"b": "2", "a": "1"},
)


def test_the_command_line_of_a_build() -> None:
    argv = build_argv(REQUEST, Path("/t/metadata.json"))
    assert argv == [
        *("docker", "buildx", "build", "--builder", "default", "--progress", "rawjson", "--network", "host"),
        *("--provenance=false", "--sbom=false", "--metadata-file", "/t/metadata.json"),
        "--output",
        "type=image,name=assay/x:latest,unpack=true,oci-mediatypes=true,"
        "compression=zstd,force-compression=true,compression-level=7",
        *("--file", "/r/images/Dockerfile"),
        *("--build-arg", "PARENT=assay/base:1", "--build-arg", 'PLAN={"a": "b c"}'),
        *("--label", "a=1", "--label", "b=2"),
        *("--build-context", "common=/r/images/common", "--build-context", "smoke=/r/smoke"),
        *("--secret", "id=ca,src=/t/ca.pem", "--secret", "id=network,src=/t/network"),
        "/r/images/x",
    ]


def test_a_build_without_cache() -> None:
    plain = BuildRequest("t", Path("D"), Path("c"))
    fresh = BuildRequest("t", Path("D"), Path("c"), no_cache=True)
    assert "--no-cache" not in build_argv(plain, Path("m"))
    assert [word for word in build_argv(fresh, Path("m")) if word not in build_argv(plain, Path("m"))] == [
        "--no-cache"
    ]


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("error: Hash mismatch for `six`", "not the one that was locked"),
        ("error: No solution found when resolving", "gone from the index"),
        ("Because six was not found in the package registry and", "gone from the index"),
        ("cause: dns error", "cannot be reached"),
        ("cause: client error (Connect)", "cannot be reached"),
        ("cause: invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ("something else", "build/logs"),
        ("", "build/logs"),
    ],
)
def test_what_to_do(said: str, advice: str) -> None:
    assert advice in remedy(said)


def streaming(monkeypatch: pytest.MonkeyPatch, status: int, lines: list[str], metadata: str | None = None) -> None:
    def stream(argv: list[str], on_line: Callable[[str], None], **_: Any) -> int:
        for line in lines:
            on_line(line)
        if metadata is not None:
            Path(argv[argv.index("--metadata-file") + 1]).write_text(metadata)
        return status

    monkeypatch.setattr(process, "stream", stream)


def test_a_build_gives_the_manifest_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    streaming(monkeypatch, 0, [], '{"containerimage.digest": "sha256:1"}')
    assert engine().build(REQUEST, lambda step: None) == "sha256:1"


@pytest.mark.parametrize(
    ("alive", "line", "kind", "words"),
    [
        (True, "error: Hash mismatch for `six`", BuildFailed, "not the one that was locked"),
        (True, "ERROR: failed", BuildFailed, "assay/x:latest was not built: ERROR: failed"),
        (True, "write: no space left on device", BuildFailed, "the disk is full: assay/x:latest was not built"),
        (True, "cause: No space left on device (os error 28)", BuildFailed, "the disk is full: assay/x"),
        (False, "rpc error: Unavailable", EngineMissing, "the engine went away while it built assay/x:latest"),
        (False, "write: no space left on device", EngineMissing, "the engine went away"),
    ],
)
def test_a_build_that_fails(
    monkeypatch: pytest.MonkeyPatch, alive: bool, line: str, kind: type[AssayError], words: str
) -> None:
    streaming(monkeypatch, 1, [line])
    client = Client(Container())
    client.alive = alive
    with pytest.raises(kind) as caught:
        engine(client).build(REQUEST, lambda step: None)
    assert words in two_lines(caught.value)


def test_a_registrys_cache_is_packed_as_the_image_is() -> None:
    plain = BuildRequest("t", Path("D"), Path("c"))
    cached = BuildRequest("t", Path("D"), Path("c"), cache_from="r.example/a:cache", cache_to="r.example/b:cache")
    added = [word for word in build_argv(cached, Path("m")) if word not in build_argv(plain, Path("m"))]
    assert added[:2] == ["--cache-from", "type=registry,ref=r.example/a:cache"]
    assert added[2] == "--cache-to"
    packing = next(word for word in build_argv(plain, Path("m")) if word.startswith("type=image")).split(",")
    kept = added[3].split(",")
    assert kept[:3] == ["type=registry", "ref=r.example/b:cache", "mode=max"]
    assert [word for word in packing if "compression" in word] == [word for word in kept if "compression" in word]
