from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.engine import apt, daemon, embedded
from assay.engine.embedded import EmbeddedEngine
from assay.errors import EngineMissing, UsageError
from assay.host import process
from assay.host.process import Completed


class Private(EmbeddedEngine):
    """An engine whose socket folder is below the test's own folder, too."""

    @property
    def run(self) -> Path:
        return self.home.parent / "run"


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Private:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    monkeypatch.setattr(apt, "host_codename", lambda: "bookworm")
    made = Private(tmp_path / "engine")
    made.run.mkdir()
    made.home.mkdir()
    return made


@pytest.fixture
def dockerd(private: Private) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like this engine's daemon."""
    program = private.home / "dockerd"
    shutil.copy("/bin/sleep", program)
    yield from sleeping(str(program))


def sleeping(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(words if words[1:] else [*words, "600"])
    while not Path(f"/proc/{running.pid}/cmdline").read_bytes():
        time.sleep(0.01)  # the kernel fills it in a moment after the start
    yield running
    running.kill()
    running.wait()


def test_the_cache_folder_decides_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "a"))
    first = EmbeddedEngine.here()
    assert first.home == tmp_path / "a/engine"
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "b"))
    assert EmbeddedEngine.here().run != first.run
    assert len(os.fsencode(first.socket)) < 108  # the longest path that a socket may have


def test_a_shell_s_docker_reaches_it(private: Private, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineMissing, match="no engine has been unpacked"):
        private.exports()
    folder = private.programs / "usr/bin"
    folder.mkdir(parents=True)
    (folder / "docker").write_text('#!/bin/sh\necho "$DOCKER_HOST"; cat "$DOCKER_CONFIG/config.json"')
    (folder / "docker").chmod(0o755)
    line = f'{private.exports()}\ndocker; echo "$PATH"'
    host, rest = subprocess.check_output(["sh", "-ec", line], text=True).split("\n", 1)
    assert host == private.address
    assert "usr/libexec/docker/cli-plugins" in rest
    assert rest.endswith(f":{os.environ['PATH']}\n")
    assert not private.run.joinpath("docker.pid").exists()


def test_a_login_in_that_shell_is_kept_and_reaches_no_build(private: Private) -> None:
    private.programs.mkdir(parents=True)
    private.exports()
    settings = private.home / "shell/config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "auths": {"registry.example": {}}}))
    private.exports()
    assert "auths" in json.loads(settings.read_text())
    config = Path(private.environment()["DOCKER_CONFIG"], "config.json")
    config.write_text(settings.read_text())
    private.environment()
    assert "auths" not in json.loads(config.read_text())


def test_no_pid_file_no_daemon(private: Private) -> None:
    assert private.pid() is None


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "4194305", "99999999999999999999", "1 2", "\0"])
def test_a_pid_file_that_says_nothing(private: Private, text: str) -> None:
    (private.run / "docker.pid").write_text(text)
    assert private.pid() is None


def test_a_pid_file_with_the_daemon(private: Private, dockerd: subprocess.Popen[bytes]) -> None:
    (private.run / "docker.pid").write_text(f"{dockerd.pid}\n")
    assert private.pid() == dockerd.pid


def test_a_stale_pid_file(private: Private, dockerd: subprocess.Popen[bytes]) -> None:
    (private.run / "docker.pid").write_text(str(dockerd.pid))
    dockerd.kill()
    dockerd.wait()
    assert private.pid() is None


def test_a_pid_file_with_another_program(private: Private) -> None:
    (private.run / "docker.pid").write_text(str(os.getpid()))
    assert private.pid() is None


def test_a_pid_file_with_another_program_that_names_the_engine(private: Private) -> None:
    words = [sys.executable, "-c", "import time; time.sleep(600)", str(private.run)]
    for running in sleeping(*words):
        (private.run / "docker.pid").write_text(str(running.pid))
        assert private.pid() is None


def test_a_pid_file_with_another_engines_daemon(private: Private, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy("/bin/sleep", tmp_path / "other/dockerd")
    for running in sleeping(str(tmp_path / "other/dockerd")):
        (private.run / "docker.pid").write_text(str(running.pid))
        assert private.pid() is None


def test_down_ends_the_daemon_and_takes_its_files_away(private: Private, dockerd: subprocess.Popen[bytes]) -> None:
    (private.run / "docker.pid").write_text(str(dockerd.pid))
    private.socket.touch()
    assert private.down()
    assert not process.alive(dockerd.pid)
    assert not private.socket.exists()
    assert not (private.run / "docker.pid").exists()
    assert not private.down()


def test_down_leaves_the_process_of_another_alone(private: Private) -> None:
    for running in sleeping("/bin/sleep"):
        (private.run / "docker.pid").write_text(str(running.pid))
        assert not private.down()
        assert running.poll() is None


def test_down_ends_a_containerd_that_outlived_its_daemon(private: Private) -> None:
    (private.run / "exec/containerd").mkdir(parents=True)
    program = private.run / "exec/containerd/containerd"
    shutil.copy("/bin/sleep", program)
    for running in sleeping(str(program)):
        (private.run / "exec/containerd/containerd.pid").write_text(str(running.pid))
        private.down()
        assert not process.alive(running.pid)


def test_down_where_there_never_was_one(tmp_path: Path) -> None:
    assert not Private(tmp_path / "none").down()
    assert not list(tmp_path.iterdir())


def test_without_root_there_is_none(private: Private, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt.os, "geteuid", lambda: 1000)
    with pytest.raises(EngineMissing) as caught:
        private.up()
    assert caught.value.exit_code == 3
    assert len(str(caught.value).splitlines()) == 2


def started(monkeypatch: pytest.MonkeyPatch, private: Private, script: str) -> None:
    """Let ``up`` start a script in the daemon's place, which nobody is going to answer for."""
    monkeypatch.setattr(apt, "available", lambda: True)
    monkeypatch.setattr(apt, "unpack", lambda wanted, folder, tell: None)
    real = process.daemon
    monkeypatch.setattr(process, "daemon", lambda argv, **k: real(["/bin/sh", "-c", script], **k))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo one; echo failed to start daemon: no cgroups; echo; exit 1", "failed to start daemon: no cgroups"),
        ("exit 1", "its log is empty"),
    ],
)
def test_a_daemon_that_does_not_start(
    private: Private, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    started(monkeypatch, private, script)
    with pytest.raises(EngineMissing) as caught:
        private.up()
    assert words in caught.value.what
    assert str(private.log) in caught.value.todo


def test_a_daemon_that_starts_and_never_answers(private: Private, monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, private, "echo waiting; exec sleep 600")
    monkeypatch.setattr(embedded, "START_SECONDS", 0.3)
    pids: list[int] = []
    real = process.daemon
    monkeypatch.setattr(process, "daemon", lambda argv, **k: pids.append(real(argv, **k)) or pids[-1])
    with pytest.raises(EngineMissing, match="did not start"):
        private.up()
    process.end(pids[0])


@pytest.mark.parametrize("which", ["", "engine", "engine/programs"])
def test_from_a_folder_that_others_write_no_daemon_is_started(
    private: Private, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    private.programs.mkdir()
    started(monkeypatch, private, "exit 1")
    monkeypatch.setattr(apt, "unpack", lambda *a: pytest.fail("unpacked there"))
    monkeypatch.setattr(process, "daemon", lambda *a, **k: pytest.fail("started it"))
    folder = private.programs if which == "engine/programs" else private.home.parent / which
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="can be written by others") as caught:
        private.up()
    assert "ASSAY_CACHE" in caught.value.todo
    assert not (private.home / "lock").exists(), "nothing there is touched"


def test_a_running_daemon_is_not_started_again(
    private: Private, dockerd: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(monkeypatch, private, "exit 1")
    monkeypatch.setattr(process, "daemon", lambda *a, **k: pytest.fail("started a second one"))
    (private.run / "docker.pid").write_text(str(dockerd.pid))
    private.socket.touch()
    monkeypatch.setattr(process, "run", lambda *a, **k: Completed(0, "28.5.2\n", ""))
    private.up()
    assert dockerd.poll() is None


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "of another PID namespace"])
def test_a_daemon_that_lives_and_is_silent_is_left_alone(
    private: Private, dockerd: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    started(monkeypatch, private, "exit 1")
    monkeypatch.setattr(process, "daemon", lambda *a, **k: pytest.fail("started a second one"))
    monkeypatch.setattr(embedded, "START_SECONDS", 0.3)
    monkeypatch.setattr(daemon, "PROCESSES", Path("/proc") if seen else private.home / "of another")
    database = private.data / "volumes/metadata.db"
    database.parent.mkdir(parents=True)
    database.touch()
    private.socket.touch()
    with database.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(EngineMissing, match="runs, and has not answered"):
            private.up()
    assert private.socket.exists()
    assert dockerd.poll() is None


def test_a_daemon_that_cannot_be_ended_from_here_keeps_its_files(
    private: Private, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "PROCESSES", private.home / "of another")
    database = private.data / "volumes/metadata.db"
    database.parent.mkdir(parents=True)
    database.touch()
    private.socket.touch()
    with database.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(EngineMissing, match="in another PID namespace"):
            private.down()
    assert private.socket.exists()
    private.down()
    assert not private.socket.exists()


def test_a_daemon_that_answers_late(
    private: Private, dockerd: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(monkeypatch, private, "exit 1")
    monkeypatch.setattr(process, "daemon", lambda *a, **k: pytest.fail("started a second one"))
    (private.run / "docker.pid").write_text(str(dockerd.pid))
    private.socket.touch()
    answers = iter([Completed(1, "", ""), Completed(1, "", ""), Completed(0, "28.5.2", "")])
    monkeypatch.setattr(process, "run", lambda *a, **k: next(answers))
    told: list[str] = []
    private.up(told.append)
    assert told[-1] == "waiting for the engine that runs to answer"
    assert dockerd.poll() is None


def test_a_daemon_whose_pid_file_was_lost(private: Private, dockerd: subprocess.Popen[bytes]) -> None:
    """Its program lies in the engine's folder, and so is named by its first word."""
    assert private.pid() == dockerd.pid
    (private.run / "docker.pid").write_text("1")
    assert private.pid() == dockerd.pid
    assert private.down()
    assert dockerd.wait(5) is not None


def test_one_command_at_a_time(private: Private, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_held(*_: object) -> None:
        with (private.home / "lock").open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    started(monkeypatch, private, "exit 1")
    monkeypatch.setattr(apt, "unpack", is_held)
    with pytest.raises(EngineMissing, match="did not start"):
        private.up()
    with (private.home / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_daemon_touches_no_network_of_the_host(private: Private) -> None:
    settings = private.settings()
    assert (settings["bridge"], settings["iptables"], settings["ip6tables"]) == ("none", False, False)
    assert settings["features"] == {"containerd-snapshotter": True, "cdi": True}
    assert settings["hosts"] == [f"unix://{private.socket}"]
    assert str(settings["data-root"]).startswith(str(private.home))


def test_the_users_own_docker_settings_are_not_read(private: Private, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere.example")
    monkeypatch.setenv("DOCKER_CONFIG", "/users/own")
    environment = private.environment()
    assert environment["DOCKER_HOST"] == private.address
    assert environment["DOCKER_CONFIG"] == str(private.home / "client")
    assert environment["PATH"].startswith(f"{private.programs}/usr/bin:")


@pytest.mark.parametrize("program", ["apt-get", "dnf", "brew", None])
def test_how_one_would_be_installed(monkeypatch: pytest.MonkeyPatch, program: str | None) -> None:
    monkeypatch.setattr(embedded.shutil, "which", lambda name: name if name == program else None)
    hint = embedded.install_hint()
    assert (program or "Install Docker Engine 23") in hint
    assert len(hint.splitlines()) == 1
