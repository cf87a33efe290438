"""The embedded engine, treated badly."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assay import engine
from assay.engine import RunRequest
from assay.engine.docker import chain_id
from assay.engine.embedded import EmbeddedEngine
from assay.errors import UsageError
from tests.integration.conftest import ASSAY, assay

pytestmark = pytest.mark.engine


def test_it_starts_stops_and_starts_again(own_cache: EmbeddedEngine) -> None:
    assert own_cache.pid() is None
    with engine.find() as first:
        assert first.kind == "embedded"
        assert int(first.version.split(".")[0]) >= 23
        assert not first.shortcomings()
    assert own_cache.pid() is not None
    assert own_cache.down()
    assert own_cache.pid() is None
    assert not own_cache.down()
    with engine.find() as again:
        assert again.answers()


def test_a_killed_daemon_is_recovered_from(own_cache: EmbeddedEngine) -> None:
    engine.find().close()
    pid = own_cache.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while own_cache.pid() is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert own_cache.socket.exists(), "a killed daemon leaves its socket behind, which is what this is about"
    with engine.find() as again:
        assert again.answers()
    assert own_cache.pid() not in {None, pid}


def test_a_stale_pid_file_and_socket_are_recovered_from(own_cache: EmbeddedEngine) -> None:
    own_cache.run.mkdir(parents=True, exist_ok=True)
    # The number of a process that lives and is not the daemon, as happens when numbers come round again.
    (own_cache.run / "docker.pid").write_text(str(os.getpid()))
    own_cache.socket.touch()
    assert own_cache.pid() is None
    with engine.find() as again:
        assert again.answers()


def test_four_commands_and_four_threads_at_once_share_one_daemon(own_cache: EmbeddedEngine, root: Path) -> None:
    commands = [
        subprocess.Popen(
            [ASSAY, "engine", "up"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(4)
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: own_cache.up(), range(4)))
    said = [command.communicate(timeout=120)[0] for command in commands]
    assert [command.returncode for command in commands] == [0] * 4, said
    assert own_cache.pid() is not None
    started = own_cache.log.read_text(errors="replace").count("Starting up")
    assert started == 1, own_cache.log.read_text(errors="replace")


def test_status_says_what_would_be_used_and_starts_nothing(own_cache: EmbeddedEngine, root: Path) -> None:
    said = assay(root, "engine", "status")
    assert said.returncode == 0
    assert "used             embedded" in said.stdout
    assert own_cache.pid() is None


def test_no_engine_and_no_root_exits_3_in_two_lines(root: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    done = assay(root, "build", PATH=str(programs), DOCKER_HOST=f"unix://{tmp_path}/none.sock", ASSAY_ENGINE="system")
    assert done.returncode == 3, done.stderr
    assert len(done.stderr.strip().splitlines()) == 2


def test_a_running_docker_engine_is_used(
    own_cache: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A daemon that answers on DOCKER_HOST is the user's own; nothing is started beside it."""
    own_cache.up()
    socket = tmp_path / "docker.sock"  # by another name: by its own, the engine is known to be the embedded one
    socket.symlink_to(own_cache.address.removeprefix("unix://"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    monkeypatch.setenv("DOCKER_CONFIG", str(own_cache.home / "client"))
    monkeypatch.setenv("PATH", f"{own_cache.programs}/usr/bin:{os.environ['PATH']}")
    monkeypatch.setenv("ASSAY_ENGINE", "auto")
    with engine.find() as found:
        assert found.kind == "system"
    assert engine.status().used == "system"


def test_a_container_has_no_network_no_root_and_no_write_access(running: engine.Engine, newcomer: object) -> None:
    script = (
        "import os, socket\n"
        "assert os.getuid() == 12345\n"
        "assert os.statvfs('/dev/shm').f_blocks * os.statvfs('/dev/shm').f_frsize == 64 * 2**20\n"
        "assert sorted(os.listdir('/sys/class/net')) == ['lo'], os.listdir('/sys/class/net')\n"
        "try:\n    open('/opt/env/x', 'w')\nexcept OSError as error:\n    assert error.errno == 30, error\n"
        "else:\n    raise SystemExit('the root is writable')\n"
        "open(os.path.join(os.environ['HOME'], 'x'), 'w').close()\n"
    )
    ran = running.run(RunRequest("assay/newcomer:latest", ("python", "-c", script)))
    assert ran.exit_code == 0, ran.output


def test_a_container_runs_on_the_processors_that_it_is_given(running: engine.Engine, newcomer: object) -> None:
    last = max(os.sched_getaffinity(0))
    script = "import os; print(sorted(os.sched_getaffinity(0)))"
    ran = running.run(RunRequest("assay/newcomer:latest", ("python", "-c", script), cpus=str(last)))
    assert ran.output.strip() == f"[{last}]"


def test_a_container_for_want_of_memory_is_told_apart(running: engine.Engine, newcomer: object) -> None:
    hungry = RunRequest("assay/newcomer:latest", ("python", "-c", "b = bytearray(2**29)"), memory_bytes=64 * 2**20)
    ran = running.run(hungry)
    assert ran.exit_code == 137
    assert ran.out_of_memory
    assert not ran.timed_out


def test_a_container_that_hangs_is_ended(running: engine.Engine, newcomer: object) -> None:
    ran = running.run(RunRequest("assay/newcomer:latest", ("sleep", "600"), seconds=2))
    assert ran.timed_out
    assert ran.exit_code == 124


def test_a_packed_image_is_unpacked_again_when_it_is_run(running: engine.Engine, newcomer: object) -> None:
    if running.kind != "embedded":
        pytest.skip("only the embedded engine packs")
    request = RunRequest("assay/newcomer:latest", ("python", "-c", "print('here')"))
    assert running.run(request).exit_code == 0
    unpacked = snapshots(running)
    running.tidy()
    running.pack(running.tags("assay/newcomer"))
    packed = snapshots(running)
    assert packed < unpacked
    facts = running.image("assay/newcomer:latest")
    assert facts is not None
    assert facts.uncompressed_bytes > 0
    running.pack(running.tags("assay/newcomer"))
    assert snapshots(running) == packed
    assert running.run(request).exit_code == 0
    assert snapshots(running) > packed


def test_what_is_held_outlives_what_stands_on_it(running: engine.Engine, newcomer: object) -> None:
    if running.kind != "embedded":
        pytest.skip("only the embedded engine packs")
    upper, lower = "assay/newcomer:latest", "assay/base/trixie:latest"
    layers = {name: found.diff_ids for name in (upper, lower) if (found := running.image(name))}
    running.tidy()
    running.pack([*running.tags("assay/newcomer"), *running.tags("assay/base/trixie")])
    assert running.run(RunRequest(upper, ("python", "-c", "print('here')"))).exit_code == 0
    running.hold(lower)
    running.pack(running.tags("assay/newcomer"))
    assert not unpacked(running, layers[upper])
    assert unpacked(running, layers[lower])


def unpacked(running: engine.Engine, layers: tuple[str, ...]) -> bool:
    """Whether the uppermost of these layers is unpacked."""
    return running.ctr("snapshots", "info", chain_id(layers)).returncode == 0


def snapshots(running: engine.Engine) -> int:
    """How many layers are unpacked."""
    asked = running.ctr("snapshots", "ls")
    assert asked.returncode == 0, asked.stderr
    return asked.stdout.count("Committed")


def test_an_image_that_is_not_there_is_a_usage_error(running: engine.Engine) -> None:
    with pytest.raises(UsageError, match="not built"):
        running.run(RunRequest("assay/no-such-image:latest", ("true",)))


def test_without_programs_and_archive_the_reason_is_named(own_cache: EmbeddedEngine, root: Path) -> None:
    shutil.rmtree(own_cache.programs)
    sources = own_cache.home / "empty"
    sources.mkdir()
    config = own_cache.home / "apt.conf"
    config.write_text(f'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "{sources}";')
    done = assay(root, "engine", "up", APT_CONFIG=str(config))
    assert done.returncode == 3, done.stderr
    assert "apt on this host lists no source" in done.stderr
    assert not own_cache.programs.exists()
