"""The README's Dockerfile, as it stands there, on the newcomer's image: it builds, and the package is there."""

from __future__ import annotations

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
from tests.integration.conftest import Newcomer
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
