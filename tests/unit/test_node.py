"""What the tests take from npm: what is locked, and what is said where it cannot be had."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests import node


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that is no CI, with an empty cache: its programs are those that a test puts into the folder."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    (folder / name).chmod(0o755)


def locked() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((node.LOCK / "package-lock.json").read_text())
    return found


def test_each_package_is_locked_by_its_hash_and_by_no_address() -> None:
    assert locked()["lockfileVersion"] == 3
    packages = {name: package for name, package in locked()["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"]), name
        assert "resolved" not in package, name


def test_the_lock_is_that_of_what_is_asked_for() -> None:
    asked = json.loads((node.LOCK / "package.json").read_text())["dependencies"]
    assert locked()["packages"][""]["dependencies"] == asked
    assert {name: locked()["packages"][f"node_modules/{name}"]["version"] for name in asked} == asked


def test_npm_is_told_to_record_no_address() -> None:
    assert "omit-lockfile-registry-resolved=true" in (node.LOCK / ".npmrc").read_text().splitlines()


def test_it_is_installed_once_by_its_hashes_and_runs_no_script(machine: Path) -> None:
    program(machine, "node", "echo v20.0.0")
    program(
        machine, "npm", f'echo "$@" >> {machine}/calls; cat .npmrc package-lock.json && mkdir -p node_modules/.bin'
    )
    found = [node.programs() for _ in range(2)]
    assert found[0] == found[1]
    assert found[0].is_dir()
    (call,) = (machine / "calls").read_text().splitlines()
    assert call.startswith("ci --ignore-scripts ")


@pytest.mark.parametrize(
    ("version", "said"),
    [(None, "node and npm cannot be found"), ("v18.20.4", r"node is v18\.20\.4, and 20 or later is needed")],
)
def test_without_node_a_test_is_not_run_and_ci_fails(
    machine: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, said: str
) -> None:
    for name in ("node", "npm") if version else ():
        program(machine, name, f"echo {version}")
    with pytest.raises(pytest.skip.Exception, match=said):
        node.programs()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=f"cannot be had from this machine: node\n  {said}"):
        node.programs()


def test_npm_that_does_not_answer_fails_by_its_own_name(machine: Path) -> None:
    program(machine, "node", "echo v20.0.0")
    program(machine, "npm", "echo npm error network >&2; exit 1")
    with pytest.raises(pytest.fail.Exception, match=r"from npm: @devcontainers/cli.*\n  npm error network"):
        node.programs()
    assert not list((machine / "cache/tools").glob("npm-*"))
