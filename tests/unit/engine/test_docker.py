from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from assay.engine import docker as door
from assay.engine.docker import BuildRequest, Engine, RunRequest, _Reader, _wait, build_argv, remedy
from assay.engine.progress import Decoder
from assay.errors import AssayError, BuildFailed, EngineMissing, UsageError
from assay.host import process
from assay.host.process import Completed


class Container:
    """A container of the SDK: what each call does is set by the test."""

    def __init__(self, status: int | Exception = 0, oom: bool = False) -> None:
        self.calls: list[str] = []
        self.status = status
        self.attrs = {"State": {"OOMKilled": oom}}
        self.start_error: Exception | None = None
        self.kill_error: Exception | None = None

    def start(self) -> None:
        self.calls.append("start")
        if self.start_error:
            raise self.start_error

    def wait(self, timeout: float) -> dict[str, int]:
        self.calls.append("wait")
        if isinstance(self.status, Exception) and "kill" not in self.calls:
            raise self.status
        return {"StatusCode": 137 if isinstance(self.status, Exception) else self.status}

    def kill(self) -> None:
        self.calls.append("kill")
        if self.kill_error:
            raise self.kill_error

    def reload(self) -> None:
        self.calls.append("reload")

    def logs(self, tail: int) -> bytes:
        return b"x" * 9000 + b"\xffend"

    def remove(self, force: bool, v: bool) -> None:
        self.calls.append("remove")


class Client:
    """The SDK's client, as far as it is used here."""

    def __init__(self, container: Container | Exception) -> None:
        self.container = container
        self.created: list[tuple[str, list[str], dict[str, Any]]] = []
        self.alive = True
        self.containers = self
        self.images = self

    def create(self, image: str, command: list[str], **options: Any) -> Container:
        self.created.append((image, command, options))
        if isinstance(self.container, Exception):
            raise self.container
        return self.container

    def get(self, reference: str) -> Any:
        assert isinstance(self.container, Exception)
        raise self.container

    def ping(self) -> bool:
        if not self.alive:
            raise requests.ConnectionError("refused")
        return True


def engine(client: Client | None = None, **info: Any) -> Engine:
    made = object.__new__(Engine)
    made.kind, made.environment, made.version, made._info = "system", {}, "28.5.2", info
    made._client = client or Client(Container())  # type: ignore[assignment]
    return made


def two_lines(error: AssayError) -> str:
    assert len(str(error).splitlines()) == 2
    return str(error)


# ---- the command line ------------------------------------------------------------------------------


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
        "compression=zstd,force-compression=true,compression-level=3",
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


# ---- building --------------------------------------------------------------------------------------


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
        (True, "ERROR: failed", BuildFailed, "assay/x:latest was not built: ERROR: failed"),
        (True, "write: no space left on device", BuildFailed, "the disk is full: assay/x:latest was not built"),
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


def test_the_log_lines_of_the_build_decide_the_remedy() -> None:
    decoder = Decoder(lambda step: None)
    decoder.feed("error: Hash mismatch for `six`")
    assert "not the one that was locked" in str(engine()._build_error("x", decoder))


# ---- what an engine can do -------------------------------------------------------------------------


def test_a_good_engine_lacks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "run", lambda *a, **k: Completed(0, "", ""))
    good = engine(DriverStatus=[["driver-type", "io.containerd.snapshotter.v1"]])
    assert good.shortcomings() == []


@pytest.mark.parametrize("version", ["22.0.1", "20.10.24+dfsg1", "0", "dev", ""])
def test_what_an_engine_lacks(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(process, "run", lambda *a, **k: Completed(1, "", ""))
    old = engine(DriverStatus=None)
    old.version = version
    assert [text.split()[0] for text in old.shortcomings()] == ["it", "its", "docker"]


@pytest.mark.parametrize(
    ("info", "access"),
    [
        ({}, None),
        ({"DiscoveredDevices": None, "CDISpecDirs": None, "Runtimes": None}, None),
        ({"Runtimes": {"runc": {}}}, None),
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, "nvidia-runtime"),
        ({"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]}, "cdi"),
        ({"DiscoveredDevices": [{"Source": "cdi", "ID": "other.com/gpu=all"}]}, None),
        ({"DiscoveredDevices": [{"ID": "nvidia.com/gpu=all"}], "Runtimes": {"nvidia": {}}}, "cdi"),
    ],
)
def test_the_way_to_the_gpus(info: dict[str, Any], access: str | None) -> None:
    assert engine(**info).gpu_access() == access


@pytest.mark.parametrize("name", ["nvidia.yaml", "nvidia.json"])
def test_a_cdi_specification_on_disk(tmp_path: Path, name: str) -> None:
    assert engine(CDISpecDirs=[str(tmp_path)]).gpu_access() is None
    (tmp_path / name).touch()
    assert engine(CDISpecDirs=[str(tmp_path)]).gpu_access() == "cdi"


def test_the_options_of_a_cpu_run() -> None:
    request = RunRequest("i", ("smoke",), mounts={Path("/t"): "/run/assay"}, environment={"A": "1"})
    assert engine(Runtimes={"nvidia": {}})._options(request) == {
        "network_mode": "none",
        "read_only": True,
        "user": "12345:12345",
        "shm_size": 64 * 2**20,
        "tmpfs": {"/tmp": "rw,exec,mode=1777"},
        "environment": {"A": "1"},
        "volumes": {"/t": {"bind": "/run/assay", "mode": "rw"}},
        "security_opt": ["no-new-privileges"],
        "cap_drop": ["ALL"],
    }


def test_the_options_that_are_asked_for() -> None:
    options = engine()._options(RunRequest("i", (), memory_bytes=2**30, entrypoint=()))
    assert (options["mem_limit"], options["memswap_limit"], options["entrypoint"]) == (2**30, 2**30, [])


def test_the_options_of_a_gpu_run() -> None:
    request = RunRequest("i", (), device="gpu")
    cdi = engine(DiscoveredDevices=[{"ID": "nvidia.com/gpu=all"}])._options(request)["device_requests"]
    assert [(one["Driver"], one["DeviceIDs"]) for one in cdi] == [("cdi", ["nvidia.com/gpu=all"])]
    runtime = engine(Runtimes={"nvidia": {}})._options(request)["device_requests"]
    assert [(one["Count"], one["Capabilities"]) for one in runtime] == [(-1, [["gpu"]])]
    with pytest.raises(UsageError, match="a GPU was asked for"):
        engine()._options(request)


# ---- running ---------------------------------------------------------------------------------------


def test_a_run_to_the_end() -> None:
    container = Container(status=3, oom=True)
    client = Client(container)
    ran = engine(client).run(RunRequest("i", ("a", "b")))
    assert (ran.exit_code, ran.out_of_memory, ran.timed_out) == (3, True, False)
    assert ran.output.endswith("\ufffdend")
    assert len(ran.output) == door.LOG_BYTES
    assert client.created[0][:2] == ("i", ["a", "b"])
    assert container.calls[-1] == "remove"


# The SDK raises one or the other, depending on where the time runs out.
TIMEOUTS = [
    requests.exceptions.ReadTimeout("Read timed out."),
    requests.exceptions.Timeout(),
    requests.exceptions.ConnectionError("UnixHTTPConnectionPool(...): Read timed out. (read timeout=2)"),
]


@pytest.mark.parametrize("error", TIMEOUTS)
def test_a_run_that_does_not_end_is_ended(error: Exception) -> None:
    container = Container(status=error)
    ran = engine(Client(container)).run(RunRequest("i", ()))
    assert (ran.exit_code, ran.timed_out) == (124, True)
    assert container.calls == ["start", "wait", "kill", "wait", "reload", "remove"]


def test_a_run_that_ends_just_when_it_is_to_be_ended() -> None:
    container = Container(status=TIMEOUTS[0])
    container.kill_error = docker.errors.APIError("409 Conflict", explanation="container is not running")
    assert _wait(container, 1) == (124, True)  # type: ignore[arg-type]


def test_an_engine_that_dies_under_a_run() -> None:
    container = Container(status=requests.exceptions.ConnectionError("Connection aborted."))
    with pytest.raises(EngineMissing, match="went away while i ran"):
        engine(Client(container)).run(RunRequest("i", ()))
    assert "kill" not in container.calls
    assert container.calls[-1] == "remove"


@pytest.mark.parametrize(
    ("error", "device", "kind", "words"),
    [
        (docker.errors.ImageNotFound("no"), "cpu", UsageError, "i is not built"),
        (docker.errors.APIError("no", explanation="bad mount"), "cpu", EngineMissing, "i cannot be run: bad mount"),
        (
            docker.errors.APIError("no", explanation="no device"),
            "gpu",
            UsageError,
            "cannot be given a GPU: no device",
        ),
        (requests.ConnectionError("refused"), "cpu", EngineMissing, "the engine went away while i ran"),
    ],
)
@pytest.mark.parametrize("early", [True, False])
def test_a_run_that_cannot_begin(
    early: bool, error: Exception, device: str, kind: type[AssayError], words: str
) -> None:
    container = Container()
    container.start_error = error
    client = Client(error if early else container)
    with pytest.raises(kind) as caught:
        engine(client, Runtimes={"nvidia": {}}).run(RunRequest("i", (), device=device))
    assert words in two_lines(caught.value)
    assert early or container.calls == ["start", "remove"]


def test_an_image_that_is_not_there() -> None:
    client = Client(docker.errors.ImageNotFound("no"))
    assert engine(client).digest("x") is None
    assert engine(client).image("x") is None


@pytest.mark.parametrize("error", [requests.ConnectionError("refused"), docker.errors.APIError("500"), OSError("x")])
def test_an_engine_that_went_away(error: Exception) -> None:
    gone = engine(Client(error))
    for call in (lambda: gone.digest("x"), lambda: gone.image("x"), lambda: gone.tag("x", "y:z")):
        with pytest.raises(EngineMissing) as caught:
            call()
        two_lines(caught.value)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # the SDK's own, when nobody answers
def test_no_engine_at_an_address(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match="no container engine answers"):
        Engine("system", {}, f"unix://{tmp_path}/none.sock")
    gc.collect()


@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(1, 20), min_size=1))
def test_chunks_read_as_a_file(chunks: list[bytes], sizes: list[int]) -> None:
    def given_out() -> Iterator[bytes]:
        yield from (chunk for chunk in chunks if chunk)

    reader, whole = _Reader(given_out()), b"".join(chunks)
    for size in sizes:
        assert reader.read(size) == whole[:size]
        whole = whole[size:]
