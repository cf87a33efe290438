from __future__ import annotations

from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import requests

from assay.engine import RunRequest
from assay.engine.containers import LOG_BYTES
from assay.errors import AssayError, EngineMissing, UsageError
from tests.unit.engine.sdk import Client, Container, engine, two_lines


def created(request: RunRequest, **info: Any) -> dict[str, Any]:
    """The options that the SDK gets for a container."""
    client = Client(Container())
    engine(client, **info).run(request)
    return client.created[0][2]


def test_a_container_has_no_network_and_no_rights() -> None:
    options = created(RunRequest("i", ("smoke",)), Runtimes={"nvidia": {}})
    assert (options["network_mode"], options["read_only"], options["user"]) == ("none", True, "12345:12345")
    assert (options["security_opt"], options["cap_drop"]) == (["no-new-privileges"], ["ALL"])
    assert not {"device_requests", "mem_limit", "entrypoint", "privileged", "cpuset_cpus"} & options.keys()


@pytest.mark.parametrize("memory", [None, 2**30])
def test_what_a_container_may_take_of_the_machine(memory: int | None) -> None:
    """The engine's own words for it: every container has a limit of each, whether its memory is bounded or not."""
    asked = created(RunRequest("i", (), memory_bytes=memory))
    host = docker.types.HostConfig(
        version="1.44",
        **{name: asked[name] for name in ("pids_limit", "ulimits", "log_config", "tmpfs", "shm_size")},
    )
    assert 0 < host["PidsLimit"] <= 2**14
    assert host["Tmpfs"].keys() == {"/tmp"}
    assert {"size=4g", "nr_inodes=256k"} <= set(host["Tmpfs"]["/tmp"].split(","))
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "8m", "max-file": "2"}}
    assert host["Ulimits"] == [{"Name": "fsize", "Soft": 2**30, "Hard": 2**30}]
    assert host["ShmSize"] == 64 * 2**20


def test_the_options_that_are_asked_for() -> None:
    options = created(
        RunRequest(
            "i",
            (),
            given={Path("/g"): "/in"},
            mounts={Path("/t"): "/out"},
            environment={"A": "1"},
            memory_bytes=2**30,
            entrypoint=(),
            cpus="0-1",
        )
    )
    assert options["cpuset_cpus"] == "0-1"
    assert (options["mem_limit"], options["memswap_limit"], options["entrypoint"]) == (2**30, 2**30, [])
    assert options["environment"] == {"A": "1"}
    assert options["volumes"] == {"/g": {"bind": "/in", "mode": "ro"}, "/t": {"bind": "/out", "mode": "rw"}}


def test_the_options_of_a_gpu_run() -> None:
    request = RunRequest("i", (), device="gpu")
    cdi = created(request, DiscoveredDevices=[{"ID": "nvidia.com/gpu=all"}])["device_requests"]
    assert [(asked["Driver"], asked["DeviceIDs"]) for asked in cdi] == [("cdi", ["nvidia.com/gpu=all"])]
    runtime = created(request, Runtimes={"nvidia": {}})["device_requests"]
    assert [(asked["Count"], asked["Capabilities"]) for asked in runtime] == [(-1, [["gpu"]])]
    with pytest.raises(UsageError, match="a GPU was asked for"):
        created(request)


def test_a_run_to_the_end() -> None:
    container = Container(status=3, oom=True)
    client = Client(container)
    ran = engine(client).run(RunRequest("i", ("a", "b")))
    assert (ran.exit_code, ran.out_of_memory, ran.timed_out) == (3, True, False)
    assert ran.output.endswith("\ufffdend")
    assert len(ran.output) == LOG_BYTES
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
    ran = engine(Client(container)).run(RunRequest("i", (), seconds=1))
    assert (ran.exit_code, ran.timed_out) == (124, True)


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
