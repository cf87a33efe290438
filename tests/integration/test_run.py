"""`assay run` with a real engine: a person's folder, files, signals and exit codes."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from assay import engine
from tests.integration.conftest import ASSAY, Newcomer, assay

pytestmark = pytest.mark.engine


@pytest.fixture
def project(certified: Newcomer) -> Path:
    """A folder of a person's in a checkout in which the newcomer is certified."""
    folder = certified.checkout / "a project, mine"
    folder.mkdir(exist_ok=True)
    return folder


def ended(running: engine.Engine) -> bool:
    """Whether nothing of a session is left."""
    return not [name for name in running.running() if name.startswith("assay-run-")]


def test_the_image_of_the_import_runs_in_the_folder(project: Path) -> None:
    (project / "train.py").write_text(
        "import sys, os, autograd\nopen('out.txt', 'w').write(os.getcwd())\n"
        "print('trained', sys.argv[1:])\nsys.exit(7)\n"
    )
    done = assay(project, "run", "python", "train.py", "--epochs", "3")
    assert done.returncode == 7, done.stderr
    assert done.stdout == "trained ['--epochs', '3']\n"
    assert done.stderr.splitlines() == [
        "newcomer (train.py imports autograd), on the CPU: it has no CUDA",
    ]
    written = project / "out.txt"
    assert written.read_text() == "/work"
    assert (written.stat().st_uid, written.stat().st_gid) == (os.geteuid(), os.getegid())


def test_an_image_by_its_name_and_what_it_is_given(project: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("of mine")
    program = (
        "import os; print(os.environ['ONE'], os.environ['TWO'], open('/data').read(), os.path.expanduser('~'));"
        "import shutil; print(shutil.disk_usage('/dev/shm').total)"
    )
    options = ("-e", "ONE=1", "-e", "TWO", "-v", f"{tmp_path}/data:/data:ro")
    done = assay(project, "run", *options, "newcomer", "python", "-c", program, TWO="2")
    assert done.returncode == 0, done.stderr
    first, shm = done.stdout.splitlines()
    assert first == "1 2 of mine /home/assay"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert abs(int(shm) - min(memory // 2, 8 * 2**30)) < 2**20


def test_an_image_by_a_tag_of_the_user_s(project: Path, running: engine.Engine) -> None:
    running.tag("assay/newcomer:latest", "assay-tests-mine:latest")
    try:
        done = assay(project, "run", "assay-tests-mine", "python", "-c", "print(5)")
    finally:
        running.remove("assay-tests-mine:latest")
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr


def test_that_an_image_is_unpacked_first_is_said(project: Path, running: engine.Engine) -> None:
    if running.kind != "embedded":
        pytest.skip("only the embedded engine packs")
    running.pack(running.tags("assay/newcomer"))
    said = [assay(project, "run", "newcomer", "true").stderr for _ in range(2)]
    assert ["unpacking newcomer first" in each for each in said] == [True, False]


def test_a_shell_s_docker_reaches_the_engine(project: Path, running: engine.Engine) -> None:
    look = "docker image inspect --format {{.Id}} assay/newcomer"
    line = f'eval "$({ASSAY} engine env)"; {look}; {ASSAY} engine status'
    done = subprocess.run(["sh", "-ec", line], cwd=project, capture_output=True, text=True, check=True)
    digest, *status = done.stdout.splitlines()
    assert digest == running.digest("assay/newcomer")
    assert status[-1].split() == ["used", running.kind]


def test_what_is_kept_in_the_home_is_there_the_next_time(project: Path) -> None:
    assert (
        assay(project, "run", "newcomer", "sh", "-c", "mkdir -p ~/.cache; echo kept > ~/.cache/hub").returncode == 0
    )
    assert assay(project, "run", "newcomer", "cat", "/home/assay/.cache/hub").stdout == "kept\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["python", "-c", "import numpy"], 2, "imports no framework that is certified here"),
        (["newcomer", "no-such-program"], 127, "no-such-program, or what it calls, is not in newcomer"),
        (["newcomr", "python"], 2, "no image is called newcomr"),
        (["python", "absent.py"], 2, "absent.py is not in "),
        (["--device", "gpu", "newcomer", "python"], 2, "newcomer does not run on a GPU here: it has no CUDA"),
        (["registry.example/team/x:1", "python"], 2, "registry.example/team/x:1 is not here"),
    ],
)
def test_what_cannot_be_run_is_said_in_two_lines(project: Path, words: list[str], code: int, said: str) -> None:
    done = assay(project, "run", *words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert done.stderr.splitlines()[-2].startswith("error: ")


def test_an_image_that_is_described_and_was_never_built(project: Path) -> None:
    """Not one of ours: an engine that is there already may have it."""
    described = project.parent / "images/assay-tests-never/image.toml"
    described.parent.mkdir()
    try:
        described.write_text((project.parent / "images/newcomer/image.toml").read_text())
        done = assay(project, "run", "assay-tests-never", "python")
    finally:
        described.unlink()
        described.parent.rmdir()
    assert done.returncode == 2
    assert "assay-tests-never is not built here" in done.stderr


def test_a_container_that_is_asked_to_stop_stops_at_once(project: Path, running: engine.Engine) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        command = subprocess.Popen(
            [ASSAY, "run", "newcomer", "python", "-uc", "import time; print('up'); time.sleep(60)"],
            cwd=project, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with command:
            assert command.stdout is not None
            assert command.stdout.readline() == "up\n"
            started = time.monotonic()
            command.send_signal(number)
            command.wait(30)
        assert time.monotonic() - started < 5
        assert command.returncode in {128 + signal.SIGTERM, 128 + signal.SIGINT, 1}
        assert ended(running)


@pytest.mark.parametrize("moment", [0.3, 0.8, 1.3, 2.0])
def test_ctrl_c_at_any_moment_leaves_nothing(project: Path, running: engine.Engine, moment: float) -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(project)
        os.execv(ASSAY, [ASSAY, "run", "newcomer", "python", "-c", "import time; time.sleep(60)"])
    time.sleep(moment)
    os.write(terminal, b"\x03")
    deadline = time.monotonic() + 20
    status: int | None = None
    while status is None and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                os.read(terminal, 4096)
            except OSError:  # the other side is closed
                status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    assert status is not None, "it did not end"
    assert os.waitstatus_to_exitcode(status) in {1, 130}
    assert ended(running)


def test_the_line_that_is_printed_does_the_same(project: Path) -> None:
    line = assay(project, "run", "--print", "docker", "newcomer", "sh", "-c", "pwd; exit 5").stdout
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(project)
        os.execv("/bin/sh", ["sh", "-c", line])
    assert ended_with(pid, terminal) == (5, b"/work\r\n")
    done = assay(project, "run", "--print", "podman", "newcomer", "python")
    assert (done.returncode, done.stdout) == (2, "")
    assert "podman takes an image from a registry" in done.stderr


def ended_with(pid: int, terminal: int) -> tuple[int, bytes]:
    """How a program on a terminal of its own ends, and what it printed."""
    said = b""
    while True:
        try:
            said += os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def test_a_terminal_is_one_in_the_container_too(project: Path) -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(project)
        os.execv(ASSAY, [ASSAY, "shell", "newcomer"])
    os.write(terminal, b"tty && exit 5\n")
    code, said = ended_with(pid, terminal)
    assert code == 5, said
    assert b"/dev/pts/0" in said
