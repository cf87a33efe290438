"""The real devcontainer command: with the file that Assay prints, and with an image and nothing else."""

from __future__ import annotations

import json
import os
import shlex
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
from tests.integration.conftest import Newcomer

pytestmark = pytest.mark.engine

OTHER = 12345
IMAGE = "assay/newcomer:latest"
# Becomes a user of that number, and gives him a name, in a mount namespace. He may read all, since the socket and the
# programs of the engine are in root's folders.
BECOME = f"""
echo "somebody:x:{OTHER}:{OTHER}::/:/bin/sh" | cat /etc/passwd - > "$HOME/passwd"
mount --bind "$HOME/passwd" /etc/passwd
rights=+dac_override
exec setpriv --reuid {OTHER} --regid {OTHER} --clear-groups --inh-caps $rights --ambient-caps $rights "$0" "$@"
"""
# The command builds an image in which the user has another number. The embedded engine has no network for builds.
DOCKER = """#!/bin/sh
program={docker}
[ "$1" = build ] || exec $program "$@"
shift
exec $program build --network none "$@"
"""
# Says who runs it and where, and leaves a file.
PROGRAM = """import autograd, os
print(os.getuid(), os.getcwd())
open("out.txt", "w").write(os.environ.get("ONE", ""))
"""


@dataclass(frozen=True)
class Person:
    """Somebody with a project, who calls the command."""

    uid: int
    gid: int
    project: Path
    environment: dict[str, str]

    def devcontainer(self, verb: str, *words: str) -> str:
        """What the command prints."""
        argv = [str(node.programs() / "devcontainer"), verb, "--workspace-folder", str(self.project), *words]
        become = [] if self.uid == os.geteuid() else ["unshare", "--mount", "sh", "-ec", BECOME]
        done = subprocess.run(
            [*become, *argv], env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self, text: str, *options: str) -> str:
        """Bring a container up with this devcontainer.json, and return as whom one works in it."""
        (self.project / ".devcontainer.json").write_text(text)
        found: dict[str, Any] = json.loads(self.devcontainer("up", *options).splitlines()[-1])
        assert found["outcome"] == "success"
        return str(found["remoteUser"])

    def runs_in(self, folder: str) -> str:
        """Run the program, which leaves a file of this person's; return what is in it."""
        said = self.devcontainer("exec", "python", "-c", PROGRAM)
        assert said == f"{self.uid} {folder}\n"
        written = self.project / "out.txt"
        assert (written.stat().st_uid, written.stat().st_gid) == (self.uid, self.gid)
        return written.read_text()


@pytest.fixture(params=["oneself", "another"])
def person(request: pytest.FixtureRequest, newcomer: Newcomer, running: engine.Engine) -> Iterator[Person]:
    """Whoever calls the tests; where that is root, an ordinary user too. What the command makes is removed."""
    own = request.param == "oneself"
    if not own and os.geteuid():
        pytest.skip("only root can become somebody else")
    uid, gid = (os.geteuid(), os.getegid()) if own else (OTHER, OTHER)
    with tempfile.TemporaryDirectory(prefix="assay-tests-") as name:
        home = Path(name)
        made = Person(uid, gid, home / "assay-tests, mine", environment(running, home))
        made.project.mkdir()
        if not own:
            docker = shutil.which("docker", path=made.environment["PATH"]) or "docker"
            (home / "bin/docker").write_text(DOCKER.format(docker=shlex.quote(docker)))
            (home / "bin/docker").chmod(0o755)
        for path_ in (home, *home.rglob("*")):
            os.chown(path_, uid, gid)
        yield made
        remove(running, made.project)


def environment(running: engine.Engine, home: Path) -> dict[str, str]:
    """That of a shell in which docker reaches the engine. What programs keep and leave there goes with the home."""
    for name in ("bin", "docker", "tmp"):
        (home / name).mkdir()
    settings = Path(running.environment.get("DOCKER_CONFIG", Path.home() / ".docker")) / "config.json"
    if settings.is_file():
        shutil.copy(settings, home / "docker")
    own = {"HOME": home, "TMPDIR": home / "tmp", "DOCKER_CONFIG": home / "docker"}
    path = f"{home}/bin:{running.environment.get('PATH', os.environ['PATH'])}"
    return {**running.environment, **{name: str(value) for name, value in own.items()}, "PATH": path}


def remove(running: engine.Engine, project: Path) -> None:
    """Remove the containers of a project, and the images that were built for them."""
    of_project = {"label": f"devcontainer.local_folder={project}"}
    for container in running.client.containers.list(all=True, filters=of_project):
        container.remove(force=True)
    names = [name for image in running.client.images.list() for name in image.tags]
    for name in names:
        if name.startswith("vsc-assay-tests"):
            running.remove(name)


def test_the_file_that_is_printed(person: Person, running: engine.Engine) -> None:
    network = "host" if running.kind == "embedded" else None
    recipe = engine.Recipe(IMAGE, (), network=network, environment=("ONE=1 2",), user=f"{person.uid}:{person.gid}")
    assert person.up(engine.printed("devcontainer", recipe)) == ("assay" if person.uid else "root")
    assert person.runs_in("/work") == "1 2"


def test_an_image_and_nothing_else(person: Person) -> None:
    """Its label devcontainer.metadata says who works in it, and tells VS Code where its Python is."""
    # Nobody can get root's number, so root does without the build, as docs/run.md says.
    options = () if person.uid else ("--update-remote-user-uid-default", "off")
    assert person.up(json.dumps({"image": IMAGE}), *options) == "assay"
    if person.uid:  # root's folder is root's alone
        person.runs_in("/workspaces/assay-tests, mine")
    said = person.devcontainer("exec", "sh", "-c", "id -un; python -c 'import autograd; print(autograd.__file__)'")
    user, place = said.split()
    assert user == "assay"
    assert place.startswith("/opt/env/")
    read = json.loads(person.devcontainer("read-configuration", "--include-merged-configuration"))
    (vscode,) = read["mergedConfiguration"]["customizations"]["vscode"]
    assert vscode["settings"] == {"python.defaultInterpreterPath": "/opt/env/bin/python"}
    assert vscode["extensions"] == ["ms-python.python"]
