"""The README's Dockerfile, as it stands there, on the newcomer's image: it builds, and what it makes is certified."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest

from assay import engine
from assay.engine import RunRequest
from tests.conftest import ROOT
from tests.integration.conftest import Newcomer, assay
from tests.web import WebServer

pytestmark = pytest.mark.engine

DERIVED, INDEXED = "assay-tests/derived:latest", "assay-tests/indexed:latest"


def dockerfile() -> str:
    """The one Dockerfile of the README."""
    (found,) = re.findall(r"^```dockerfile\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def package_of(text: str) -> str:
    """What it installs."""
    (line,) = re.findall(r"^RUN pip install .* (\S+)$", text, re.MULTILINE)
    return str(line)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """An index on loopback that has a package of that name."""
    name = package_of(dockerfile())
    folder = tmp_path / "index" / name
    folder.mkdir(parents=True)
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "ADDED = True\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "index"), **options)  # type: ignore[arg-type]

    server = WebServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def built(running: engine.Engine, text: str, name: str, folder: Path) -> None:
    """Build a Dockerfile, as a person does."""
    (folder / "Dockerfile").write_text(text)
    argv = ["docker", "build", "--quiet", "--network", "host", "--tag", name, str(folder)]
    done = subprocess.run(argv, env=running.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_s_dockerfile_builds_and_what_it_adds_is_there(
    newcomer: Newcomer, running: engine.Engine, index: str, tmp_path: Path
) -> None:
    text, name = dockerfile(), package_of(dockerfile())
    try:
        built(running, f"FROM assay/newcomer\nENV PIP_INDEX_URL={index}\n", INDEXED, tmp_path)
        built(running, re.sub(r"^FROM \S+$", f"FROM {INDEXED}", text, flags=re.MULTILINE), DERIVED, tmp_path)
        made = running.client.images.get(DERIVED).attrs
        assert made["Config"]["User"] == "1000:1000", "who runs it may do no more than before"
        assert tuple(made["RootFS"]["Layers"][: len(newcomer.built.diff_ids)]) == newcomer.built.diff_ids
        done = running.run(RunRequest(DERIVED, ("python", "-c", f"import {name}, autograd; print({name}.ADDED)")))
        assert (done.exit_code, done.output) == (0, "True\n")
    finally:
        for each in (DERIVED, INDEXED):
            running.remove(each)


@pytest.fixture
def indexed(certified: Newcomer, running: engine.Engine, index: str, tmp_path: Path) -> Iterator[Newcomer]:
    """The newcomer, certified, with an index to install from."""
    built(running, f"FROM assay/newcomer\nENV PIP_INDEX_URL={index}\n", INDEXED, tmp_path)
    yield certified
    for each in (DERIVED, INDEXED):
        running.remove(each)


def test_a_derived_image_is_certified(indexed: Newcomer, running: engine.Engine, tmp_path: Path) -> None:
    """By its base's suite, whatever stands in the image in its place."""
    built(running, re.sub(r"^FROM \S+$", f"FROM {INDEXED}", dockerfile(), flags=re.MULTILINE), DERIVED, tmp_path)
    done = assay(indexed.checkout, "certify", DERIVED, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    added = {package_of(dockerfile()): "1.0"}
    below = {"name": "newcomer", "digest": indexed.built.digest, "level": "E2", "layers": len(indexed.built.diff_ids)}
    assert found["derived"] == {"base": below, "added": added}
    assert (found["level"], found["problems"]) == ("E2", [])
    predicate = json.loads(Path(found["certificate"]).read_text())["predicate"]
    assert predicate["derived"] == found["derived"]
    assert predicate["stack"]["added"] == added
    (packages,) = [one for one in predicate["results"] if one["id"] == "static.packages"]
    assert {one["name"]: one["value"] for one in packages["metrics"]}["added"] == "1"
    ran = running.run(RunRequest(DERIVED, ("smoke", "--only", "static.packages")))
    assert "it stands on newcomer, and adds 1 package: " in ran.output


SITE = "/opt/env/lib/python3.*/site-packages"
PRINTS = 'ENTRYPOINT ["/bin/sh", "-c", "echo hello; exec \\"$@\\""]'


@pytest.mark.parametrize(
    ("step", "code", "said"),
    [
        ("RUN rm /usr/bin/python3*", 1, "/usr/bin/python3"),
        ("RUN rm -r /opt/assay/smoke", 1, "/opt/assay/smoke/__init__.py of the base is gone"),
        ("RUN echo >> /opt/assay/smoke/gates.json", 1, "/opt/assay/smoke/gates.json of the base was changed"),
        ("RUN echo '{}' > /opt/assay/plan.json", 1, "/opt/assay/plan.json of the base was changed"),
        (f"RUN echo >> $(echo {SITE}/autograd/__init__.py)", 1, "autograd/__init__.py of the base was changed"),
        (
            f"RUN cd {SITE} && echo > sitecustomize.py",
            1,
            "sitecustomize.py was added, and runs whenever Python starts",
        ),
        (f"RUN cd {SITE} && echo > more.pth", 1, "more.pth was added, and runs whenever Python starts"),
        (f"RUN cd {SITE} && echo > more.py", 1, "more.py was added, and belongs to no package"),
        ("RUN echo > /etc/ld.so.preload", 1, "/etc/ld.so.preload was added, and belongs to no package"),
        (PRINTS, 1, "its ENTRYPOINT is /bin/sh -c echo hello"),
        ("ENV LD_PRELOAD=/x.so", 1, "it sets LD_PRELOAD, which decides what every program loads"),
        ("LABEL assay.workloads=digits", 5, "by the image's label it is 'digits'"),
    ],
)
def test_a_derived_image_that_is_not_its_base_with_packages(
    indexed: Newcomer, running: engine.Engine, tmp_path: Path, step: str, code: int, said: str
) -> None:
    built(running, f"FROM {INDEXED}\nUSER root\n{step}\nUSER 1000:1000\n", DERIVED, tmp_path)
    done = assay(indexed.checkout, "certify", DERIVED)
    assert done.returncode == code, done.stdout + done.stderr
    wrong, todo = done.stderr.splitlines()[-2:]
    assert wrong.startswith("error: ")
    assert said in wrong
    assert todo.startswith("  ")


def test_an_image_of_someone_else_stands_on_nothing_certified(
    indexed: Newcomer, running: engine.Engine, tmp_path: Path
) -> None:
    built(running, "FROM scratch\nCOPY Dockerfile /\n", DERIVED, tmp_path)
    done = assay(indexed.checkout, "certify", DERIVED)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "its layers begin with no certified image's" in done.stderr
