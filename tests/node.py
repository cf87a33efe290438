"""Programs from npm, as tests/npm locks them: the hash of each package, and no address."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from assay.host import files, paths
from tests.registries import tool_missing

LOCK = Path(__file__).with_name("npm")
OLDEST = 20  # what @devcontainers/cli runs on


def programs() -> Path:
    """The folder with `devcontainer`, installed once for each lock; axe-core lies beside it. No script is run for it.

    Where node is not there, a test that needs it is not run and says so; in CI it fails.
    """
    _require()
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(LOCK.iterdir()))).hexdigest()[:12]
    place = paths.cache() / "tools" / f"npm-{key}"
    return files.once(place, _install, "packages of npm", files.silent) / "node_modules/.bin"


def evaluated(script: Path, expression: str, **given: object) -> Any:
    """What an expression of JavaScript gives where ``script`` is required as ``found``, and ``given`` is at hand."""
    _require("node")
    program = (
        "const { given } = JSON.parse(require('fs').readFileSync(0)); const found = require(process.argv[1]);"
        f"process.stdout.write(JSON.stringify({expression}))"
    )
    argv = ["node", "--eval", program, str(script)]
    done = subprocess.run(argv, input=json.dumps({"given": given}), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _require(*programs: str) -> None:
    """Skip where the programs are not there; in CI, fail."""
    lacking = _lacking(programs or ("node", "npm"))
    if lacking and os.environ.get("CI"):
        tool_missing(["node"], lacking, "this machine")
    if lacking:
        pytest.skip(lacking)


def _lacking(programs: Iterable[str]) -> str:
    """What of these is not on this machine, or too old; empty where all is."""
    absent = [name for name in programs if shutil.which(name) is None]
    if absent:
        return f"{' and '.join(absent)} cannot be found; Node.js {OLDEST} or later is needed"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = version.removeprefix("v").partition(".")[0]
    return "" if major.isdigit() and int(major) >= OLDEST else f"node is {version}, and {OLDEST} or later is needed"


def _install(folder: Path) -> None:
    shutil.copytree(LOCK, folder)
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(folder / "cache"))
    done = subprocess.run(["npm", "ci", *options], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        named = json.loads((LOCK / "package.json").read_text())["dependencies"]
        tool_missing(list(named), done.stderr.strip()[-300:], "npm")
