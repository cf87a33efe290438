"""The real devcontainer command: with the file that Assay prints, and with an image and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assay import engine
from tests import node
from tests.integration.conftest import Newcomer, assay

pytestmark = pytest.mark.engine

OTHER = 12345
IMAGE = "assay/newcomer:latest"
# Who is called by what number, and that his program finds framework and folder.
PROGRAM = """import autograd, os
print(os.getuid(), os.getcwd())
open('out.txt', 'w').write(os.environ.get('ONE', ''))
"""


@dataclass(frozen=True)
class Person:
    """Somebody with a project, who calls the command."""

    uid: int
    project: Path
    program: Path
    environment: dict[str, str]

    def devcontainer(self, verb: str, *words: str) -> str:
        """What the command prints."""
        argv = [str(self.program), verb, "--workspace-folder", str(self.project), *words]
        # The number is another's, as the command looks at it; the engine's socket and programs are in root's folders.
        numbers = (f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups")
        rights = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
        become = [] if self.uid == os.geteuid() else ["setpriv", *numbers, *rights]
        done = subprocess.run(
            [*become, *argv], env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self) -> dict[str, Any]:
        """How the container came up, as the command says."""
        found: dict[str, Any] = json.loads(self.devcontainer("up").splitlines()[-1])
        assert found["outcome"] == "success"
        return found

    def ran(self) -> list[str]:
        """What the program printed, which wrote a file of this person's."""
        said = self.devcontainer("exec", "python", "-c", PROGRAM).strip().split(" ", 1)
        written = (self.project / "out.txt").stat()
        assert (written.st_uid, written.st_gid) == (self.uid, self.uid if self.uid == OTHER else os.getegid())
        return said


@pytest.fixture(params=["oneself", "another"])
def person(
    request: pytest.FixtureRequest, newcomer: Newcomer, running: engine.Engine, tmp_path: Path
) -> Iterator[Person]:
    """Whoever calls the tests, and an ordinary user where that is root. What the command makes is removed."""
    if request.param == "another" and os.geteuid():
        pytest.skip("only root can become somebody else")
    uid = OTHER if request.param == "another" else os.geteuid()
    program = node.programs() / "devcontainer"
    with tempfile.TemporaryDirectory(prefix="assay-tests-") as home:
        made = Person(uid, Path(home, "assay-tests, mine"), program, _environment(running, Path(home)))
        made.project.mkdir()
        for path in (Path(home), *Path(home).rglob("*")):
            os.chown(path, uid, OTHER if uid == OTHER else -1)
        yield made
        _remove(running, made.project)


def _environment(running: engine.Engine, home: Path) -> dict[str, str]:
    """Of a shell in which docker reaches the engine; what is kept or left there goes with the home."""
    settings = Path(running.environment.get("DOCKER_CONFIG", Path.home() / ".docker"))
    shutil.copytree(settings, home / "docker", dirs_exist_ok=True) if settings.is_dir() else None
    (home / "tmp").mkdir()
    own = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "DOCKER_CONFIG": str(home / "docker")}
    return {**running.environment, **own}


def _remove(running: engine.Engine, project: Path) -> None:
    mine = {"label": f"devcontainer.local_folder={project}"}
    for container in running.client.containers.list(all=True, filters=mine):
        container.remove(force=True)
    for image in running.client.images.list():
        for name in image.tags:
            if name.startswith("vsc-assay-tests"):
                running.remove(name)


def test_the_file_that_is_printed(person: Person, newcomer: Newcomer) -> None:
    """Its network is the host's where the engine is the embedded one, which has none of its own."""
    if person.uid == os.geteuid():
        done = assay(newcomer.checkout, "run", "-e", "ONE=1 2", "--print", "devcontainer", "newcomer")
        assert done.returncode == 0, done.stderr
        text = done.stdout
    else:
        recipe = engine.Recipe(IMAGE, (), network="host", environment=("ONE=1 2",), user=f"{OTHER}:{OTHER}")
        text = engine.printed("devcontainer", recipe)
    (person.project / ".devcontainer.json").write_text(text)
    up = person.up()
    assert up["remoteUser"] == ("root" if person.uid == 0 else "assay")
    assert person.ran() == [str(person.uid), "/work"]
    assert (person.project / "out.txt").read_text() == "1 2"


def test_an_image_and_nothing_else(person: Person) -> None:
    """By its label devcontainer.metadata, which also tells VS Code where the image's Python is."""
    (person.project / ".devcontainer.json").write_text(json.dumps({"image": IMAGE}))
    assert person.up()["remoteUser"] == "assay"
    if person.uid:  # root's folder is root's alone, and the label cannot know who comes
        assert person.ran() == [str(person.uid), "/workspaces/assay-tests, mine"]
    said = person.devcontainer("exec", "sh", "-c", "id -un; python -c 'import autograd; print(autograd.__file__)'")
    user, place = said.split()
    assert user == "assay"
    assert place.startswith("/opt/env/")
    read = json.loads(person.devcontainer("read-configuration", "--include-merged-configuration"))
    (vscode,) = read["mergedConfiguration"]["customizations"]["vscode"]
    assert vscode["settings"] == {"python.defaultInterpreterPath": "/opt/env/bin/python"}
    assert vscode["extensions"] == ["ms-python.python"]
