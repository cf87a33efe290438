"""What people do with every image beyond training in it: stop it, read its log, add packages, start it otherwise."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker.models.containers import Container

from assay.catalog.built import tag
from tests.images.conftest import Subject

pytestmark = pytest.mark.engine
PROGRAM = "import time; print('ready'); time.sleep(60)"
ORPHAN = "import os, subprocess, time; subprocess.Popen(['sh', '-c', 'sleep 0.1 & exit']).wait(); time.sleep(1)"


@contextmanager
def started(subject: Subject, *command: str, **options: object) -> Iterator[Container]:
    """A container that goes on in the background, with no network."""
    container = subject.running.client.containers.run(
        tag(subject.image.name, "latest"), list(command), detach=True, network_mode="none", **options
    )
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def wait_for(container: Container, word: bytes) -> None:
    """Wait until it has printed a word; at most ten seconds."""
    end = time.monotonic() + 10
    while word not in container.logs():
        assert time.monotonic() < end, "it has printed nothing"
        time.sleep(0.1)


@pytest.mark.parametrize("entrypoint", [None, "python"], ids=["ours", "python"])
def test_what_is_printed_is_in_the_log_and_stopping_takes_no_time(subject: Subject, entrypoint: str | None) -> None:
    command = ("-c", PROGRAM) if entrypoint else ("python", "-c", PROGRAM)
    with started(subject, *command, entrypoint=entrypoint) as container:
        wait_for(container, b"ready")
        start = time.monotonic()
        container.stop(timeout=10)
        assert time.monotonic() - start < 2
        assert container.wait()["StatusCode"] == 143


def test_orphans_are_reaped(subject: Subject) -> None:
    with started(subject, "python", "-c", f"{ORPHAN}; print('ready'); time.sleep(60)") as container:
        wait_for(container, b"ready")
        left = container.exec_run(["ps", "-eo", "stat=,comm="]).output.decode()
        assert not [line for line in left.splitlines() if line.startswith("Z")], left


def test_the_exit_code_is_that_of_the_command(subject: Subject) -> None:
    assert subject.run("sh", "-c", "exit 7").exit_code == 7
    assert subject.run("no-such-command").exit_code == 127


FOUND = """
import json, os, pathlib
home = pathlib.Path.home()
(home / "written").touch()
print(json.dumps({"home": str(home), "base": os.environ["PYTHONUSERBASE"]}))
"""


def test_a_home_is_there_however_python_starts(subject: Subject) -> None:
    """By our entrypoint and by another one; as somebody without a name, on a read-only root."""
    ours = subject.run("python", "-c", FOUND)
    other = subject.run("-c", FOUND, entrypoint=("/opt/env/bin/python",))
    assert (ours.exit_code, other.exit_code) == (0, 0), ours.output + other.output
    assert json.loads(ours.output) == json.loads(other.output)


def test_threads_follow_the_quota_where_nobody_set_them(subject: Subject) -> None:
    script = "import os; print(os.environ.get('OMP_NUM_THREADS'))"
    with started(subject, "sleep", "60", nano_cpus=500_000_000) as container:
        by_exec = container.exec_run(["python", "-c", script]).output.decode().strip()
        set_before = container.exec_run(["python", "-c", script], environment={"OMP_NUM_THREADS": "3"})
        assert (by_exec, set_before.output.decode().strip()) == ("1", "3")
    with started(subject, "sh", "-c", "echo threads:$OMP_NUM_THREADS:", nano_cpus=500_000_000) as container:
        wait_for(container, b"threads:1:")
    with started(subject, "sh", "-c", "echo threads:$OMP_NUM_THREADS:") as container:
        wait_for(container, b"threads::")


def test_the_containers_own_name_resolves_without_a_network(subject: Subject) -> None:
    script = "import socket, time; t = time.time(); socket.gethostbyname(socket.gethostname())"
    ran = subject.run("python", "-c", script + "; print(time.time() - t)")
    assert ran.exit_code == 0, ran.output
    assert float(ran.output) < 1


def test_tools_that_people_call_are_there(subject: Subject) -> None:
    for command in ("git --version", "ps", "c++ --version"):
        ran = subject.run("sh", "-c", command)
        assert ran.exit_code == 0, ran.output


# Packages


def wheel(folder: Path, name: str, version: str, *requires: str) -> None:
    """Write a wheel with one module and one program."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        f"{name}.py": f"__version__ = {version!r}\ndef main(): print('{name} runs')\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-program = {name}:main\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder of wheels: one to be added, and others that are, or want, another version of what is certified."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    folder.chmod(0o755)
    wheel(folder, "addedhere", "1.0")
    wheel(folder, "numpy", "0.1")
    wheel(folder, "wantsother", "1.0", "numpy==0.1")
    (folder / "requirements.txt").write_text("numpy==0.1\n")
    return folder


INSTALL = "pip install --no-index --find-links /wheels --disable-pip-version-check"


@pytest.mark.parametrize("user", ["1000:1000", "54321:54321"])
def test_a_package_is_added_by_whoever_it_is_and_found_here_only(subject: Subject, index: Path, user: str) -> None:
    """On a read-only root too. What is in ~/.local is not found, and what was added hides nothing certified."""
    script = (
        f"{INSTALL} addedhere && python -c 'import addedhere; print(addedhere.__file__)' && addedhere-program"
        " && python -c 'import sys; print(sys.path)' && pip list 2>/dev/null | grep addedhere"
    )
    ran = subject.run("sh", "-c", f"umask 077; {script}", user=user, given={index: "/wheels"})
    assert ran.exit_code == 0, ran.output
    place, said, path, _ = ran.output.strip().splitlines()[-4:]
    assert said == "addedhere runs"
    assert "/.assay/" in place
    assert "/.local" not in path
    added, certified = place.rpartition("/")[0], "/opt/env/lib"
    folders = [one.strip("' []") for one in path.split(",")]
    assert folders.index(added) > min(at for at, one in enumerate(folders) if one.startswith(certified))


def test_where_packages_are_added_is_the_environments_own(subject: Subject) -> None:
    ran = subject.run("cat", "/opt/assay/environment")
    assert len(ran.output.strip()) == 16
    base = json.loads(subject.run("python", "-c", FOUND).output)["base"]
    assert base.endswith("/.assay/" + ran.output.strip())


def test_what_is_certified_is_not_replaced_in_silence(subject: Subject, index: Path) -> None:
    """By its name, from a file, or as what another package wants; by root, as in a Dockerfile, and by the user."""
    with started(subject, "sleep", "300", volumes={str(index): {"bind": "/wheels", "mode": "ro"}}) as container:
        before = container.exec_run(["pip", "list"]).output
        for user in ("0:0", "1000:1000"):
            for wanted in ("numpy==0.1", "-r /wheels/requirements.txt", "wantsother"):
                code, output = container.exec_run(["sh", "-c", f"{INSTALL} {wanted}"], user=user)
                told = output.decode()
                assert code != 0, told
                assert f"numpy=={subject_numpy(subject)}" in told.replace(" ", ""), told
                assert "PIP_CONSTRAINT=/dev/null" in told
        assert container.exec_run(["pip", "list"]).output == before


def subject_numpy(subject: Subject) -> str:
    """The version of NumPy that is certified here."""
    assert subject.image.pins is not None
    return subject.image.pins["numpy"].version


def test_an_edited_source_takes_effect(subject: Subject) -> None:
    script = (
        "python -c 'import pip' && f=$(python -c 'import pip; print(pip.__file__)')"
        " && echo '__version__ = \"edited\"' >> $f && python -c 'import pip; print(pip.__version__)'"
    )
    with started(subject, "sleep", "60", user="0:0") as container:
        code, output = container.exec_run(["sh", "-c", script])
        assert (code, output.decode().strip().splitlines()[-1]) == (0, "edited")
