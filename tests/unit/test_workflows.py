"""The workflows of a fork: well formed, safe, of no image by name; and each job's steps, run here in their order.

What takes an engine (`make`, `assay`) is a stand-in that writes down how it was called; git, the scripts beside the
workflows and what they speak to are real.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay import catalog
from assay.registry.login import Credentials, find
from tests.conftest import ROOT
from tests.web import WebServer

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCRIPTS = ROOT / ".github/scripts"
DIGEST = "sha256:" + "a" * 64
IMAGES = [
    {"name": "base/any", "framework": None, "digest": None},
    {"name": "some", "framework": "some", "digest": DIGEST},
    {"name": "some/cpu", "framework": "some", "digest": None},
]
OUTDATED = [
    {"base": "base/any", "security": [{"package": "a", "was": "1", "now": "2", "cves": ["CVE-1"], "note": ""}]}
]
# What stands in for a program: it writes down its arguments, and answers as the real one does.
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$*" in
  "images --json") cat "$ANSWERS/images.json";;
  "outdated --json") cat "$ANSWERS/outdated.json"; exit 1;;
  "lock --upgrade") echo "some: six 1.16 -> 1.17, pip 25 -> 26"; echo six==1.17 >images/locked;;
  "lock base/any") echo "base/any: a 1 -> 2";;
  table) echo "some  E2 (cpu)";;
  publish*) cp "$RUNNER_TEMP/assay.key" "$ANSWERS/key"; stat -c %a "$RUNNER_TEMP/assay.key" >"$ANSWERS/mode";;
esac
"""


def workflow(name: str) -> Any:
    return yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in FILES:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield f"{path.stem}/{name}", job


@pytest.mark.parametrize(
    "words",
    [
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, FILES)],
        ["zizmor", "--offline", "--no-progress", "--config", ".github/zizmor.yml", ".github/workflows"],
    ],
    ids=["schema", "zizmor"],
)
def test_they_are_well_formed_and_safe(words: list[str]) -> None:
    program = Path(sys.executable).with_name(words[0])
    done = subprocess.run([program, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_none_names_an_image_or_takes_what_is_not_ours() -> None:
    names = [image.name for image in catalog.load(ROOT).frameworks()]
    for path in [*FILES, *SCRIPTS.iterdir()]:
        text = path.read_text()
        assert not [name for name in names if re.search(rf"\b{re.escape(name)}\b", text)], path.name
        for used in re.findall(r"uses: (\S+)", text):
            assert used.startswith("./.github/"), f"{path.name}: {used} is somebody else's"


def test_each_job_has_an_end_and_no_right_that_it_does_not_name() -> None:
    for name, job in jobs():
        assert "permissions" in job, name
        assert "timeout-minutes" in job or "uses" in job, name
    for path in FILES:
        assert yaml.safe_load(path.read_text())["permissions"] == {}, path.name


def test_what_is_checked_out_is_everywhere_the_same() -> None:
    steps = [step for _, job in jobs() for step in job.get("steps", ()) if step.get("name") == "Check out"]
    assert len(steps) == len([job for _, job in jobs() if "steps" in job])
    assert len({json.dumps(step) for step in steps}) == 1


def test_every_secret_and_variable_is_told_of() -> None:
    docs = (ROOT / "docs/publish.md").read_text()
    for path in FILES:
        for name in re.findall(r"(?:secrets|vars)\.(\w+)", path.read_text()):
            assert f"`{name}`" in docs, name


class Forge(BaseHTTPRequestHandler):
    """The forge's API: its pull requests."""

    asked: list[tuple[str, str, Any]]
    there: list[dict[str, Any]]

    def _answer(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, json.loads(data) if data else None))
        body = json.dumps(self.there if self.command == "GET" else {"html_url": "http://forge/1"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def forge() -> Iterator[tuple[type[Forge], str]]:
    handler = type("Handler", (Forge,), {"asked": [], "there": []})
    server = WebServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Runner:
    """What a forge's runner does with a job: its steps one after the other, in one folder."""

    def __init__(self, folder: Path, api: str) -> None:
        self.folder, self.answers = folder / "work", folder / "answers"
        self.remote = folder / "remote/team/project"
        bin_ = folder / "bin"
        for each in (self.folder, self.answers, bin_, folder / "temp", folder / "home"):
            each.mkdir()
        for name in ("apt-get", "make"):
            (bin_ / name).write_text(STAND_IN)
            (bin_ / name).chmod(0o755)
        (self.answers / "images.json").write_text(json.dumps(IMAGES))
        (self.answers / "outdated.json").write_text(json.dumps(OUTDATED))
        self.sha = self._project()
        files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY", "CALLS")}
        for path in files.values():
            path.touch()
        self.env = {
            "PATH": f"{bin_}:{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "RUNNER_TEMP": str(folder / "temp"),
            "ANSWERS": str(self.answers),
            "GITHUB_SERVER_URL": f"file://{folder}/remote",
            "GITHUB_REPOSITORY": "team/project",
            "GITHUB_SHA": self.sha,
            "GITHUB_ACTOR": "someone",
            "GITHUB_API_URL": api,
            **{name: str(path) for name, path in files.items()},
        }
        self.values = {
            "github.token": "a-token",
            "github.actor": "someone",
            "inputs.image": "some",
            "inputs.digest": DIGEST,
            "inputs.publish": "true",
            "github.event.repository.default_branch": "main",
            "secrets.ASSAY_SIGNING_KEY": "-----BEGIN KEY-----\nMIGH\n-----END KEY-----",
            "secrets.ASSAY_PASSWORD": "a password",
            "vars.ASSAY_REGISTRY": "",
            "vars.ASSAY_KEYLESS": "",
            "github.event.repository.visibility": "public",
        }

    def _project(self) -> str:
        """A repository with the scripts, and with stand-ins for what takes an engine; returns its commit."""
        (self.remote / "images").mkdir(parents=True)
        (self.remote / "images/locked").write_text("six==1.16\n")
        program = self.remote / ".venv/bin/assay"
        program.parent.mkdir(parents=True)
        program.write_text(STAND_IN)
        program.chmod(0o755)
        subprocess.run(["cp", "-r", str(ROOT / ".github"), str(self.remote)], check=True)
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@tests.example", "-C", str(self.remote)]
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
            subprocess.run([*git, *words], check=True)
        subprocess.run([*git, "config", "uploadpack.allowAnySHA1InWant", "true"], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    def run(self, job: dict[str, Any], *, without: str = "") -> subprocess.CompletedProcess[str]:
        """Run a job up to the first step that fails, but for its step ``without``."""
        env = {**self.env, **self._told(job.get("env", {}))}
        for step in job["steps"]:
            if step["name"] == without:
                continue
            lines = Path(env["GITHUB_ENV"]).read_text().splitlines()
            env |= dict(line.split("=", 1) for line in lines)
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.folder,
                env={**env, **self._told(step.get("env", {}))},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            if done.returncode != 0:
                return done
        return done

    def _told(self, env: dict[str, str]) -> dict[str, str]:
        """The values of expressions; of `a || b` the first that is set."""

        def value(found: re.Match[str]) -> str:
            return next((self.values[name] for name in re.split(r" \|\| ", found[1]) if self.values.get(name)), "")

        return {name: re.sub(r"\$\{\{ (.*?) \}\}", value, text) for name, text in env.items()}

    @property
    def calls(self) -> list[str]:
        return Path(self.env["CALLS"]).read_text().splitlines()


@pytest.fixture
def runner(tmp_path: Path, forge: tuple[type[Forge], str]) -> Runner:
    return Runner(tmp_path, forge[1])


def test_the_matrix_is_what_the_catalog_has(runner: Runner) -> None:
    assert runner.run(workflow("images")["jobs"]["list"]).returncode == 0
    assert Path(runner.env["GITHUB_OUTPUT"]).read_text() == 'images=["some", "some/cpu"]\n'


def test_an_image_is_built_certified_and_published(runner: Runner) -> None:
    done = runner.run(workflow("image")["jobs"]["image"])
    assert done.returncode == 0, done.stderr
    built, smoked, published = [call for call in runner.calls if not call.startswith("apt-get")]
    assert (built, smoked) == ("make build-all IMAGES=some", "make smoke IMAGES=some")
    key = f"{runner.env['RUNNER_TEMP']}/assay.key"
    assert published == f"assay publish --dated --registry ghcr.io/team/project --key {key} --keyless some"
    assert (runner.answers / "key").read_text() == runner.values["secrets.ASSAY_SIGNING_KEY"] + "\n"
    assert (runner.answers / "mode").read_text() == "600\n"
    assert not Path(key).exists()
    assert not Path(runner.env["RUNNER_TEMP"], "docker").exists()


@pytest.mark.parametrize(("name", "job"), [("image", "image"), ("gpu", "certify")])
@pytest.mark.parametrize(
    ("visibility", "asked", "signed"),
    [
        ("public", "", True),
        ("private", "", False),
        ("internal", "", False),
        ("private", "yes", True),
        ("public", "no", False),
    ],
)
def test_a_public_log_is_told_of_what_is_public_or_where_it_is_asked_for(
    runner: Runner, name: str, job: str, visibility: str, asked: str, signed: bool
) -> None:
    runner.values |= {"github.event.repository.visibility": visibility, "vars.ASSAY_KEYLESS": asked}
    (step,) = [step for step in workflow(name)["jobs"][job]["steps"] if step["name"] == "Publish"]
    Path(runner.env["GITHUB_ENV"]).write_text("REGISTRY=registry.example/team\nIMAGE=some\n")
    (runner.folder / ".venv/bin").mkdir(parents=True)
    (runner.folder / ".venv/bin/assay").symlink_to(runner.remote / ".venv/bin/assay")
    assert runner.run({"steps": [step]}).returncode == 0
    assert ("--keyless" in runner.calls[-1].split()) == signed


def test_who_publishes_may_ask_for_an_identity_and_nobody_else() -> None:
    for name, job in jobs():
        publishes = any("assay publish" in step.get("run", "") for step in job.get("steps", ()))
        calls_it = job.get("uses") == "./.github/workflows/image.yml"
        assert ("id-token" in job["permissions"]) == (publishes or calls_it), name


@pytest.mark.parametrize("name", ["secrets.ASSAY_SIGNING_KEY", "secrets.ASSAY_PASSWORD"])
def test_without_a_secret_nothing_is_built(runner: Runner, name: str) -> None:
    del runner.values[name]
    done = runner.run(workflow("image")["jobs"]["image"])
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        f"error: the secret {name.partition('.')[2]} is not set, and nothing is published unsigned"
    )
    assert len(done.stderr.splitlines()) == 2
    assert not [call for call in runner.calls if call.startswith("make")]


def test_the_login_is_one_that_assay_reads(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    runner.values["vars.ASSAY_REGISTRY"] = "registry.example/team"
    assert runner.run(workflow("image")["jobs"]["image"], without="Forget the keys").returncode == 0
    monkeypatch.setenv("DOCKER_CONFIG", f"{runner.env['RUNNER_TEMP']}/docker")
    found = find("registry.example")
    assert found == Credentials("someone", "a-token")


def test_a_gpu_certifies_the_digest_that_is_published_and_no_other(runner: Runner) -> None:
    job = workflow("gpu")["jobs"]["certify"]
    assert runner.run(job).returncode == 0
    assert "assay smoke --device gpu some" in runner.calls
    runner.values["inputs.digest"] = DIGEST.replace("a", "b")
    Path(runner.env["CALLS"]).write_text("")
    subprocess.run(["rm", "-rf", str(runner.folder)], check=True)
    runner.folder.mkdir()
    done = runner.run(job)
    assert done.returncode == 5
    assert "is published" in done.stderr
    assert not [call for call in runner.calls if "smoke" in call or "publish" in call]


def test_an_upgrade_is_a_pull_request_that_says_what_changed(runner: Runner, forge: tuple[type[Forge], str]) -> None:
    handler, _ = forge
    job = workflow("upgrade")["jobs"]["upgrade"]
    done = runner.run(job)
    assert done.returncode == 0, done.stderr
    assert "assay lock base/any" in runner.calls
    (_, query, _), (method, path, made) = handler.asked
    assert (method, path) == ("POST", "/repos/team/project/pulls")
    assert "head=team%3Aupgrade" in query
    assert (made["head"], made["base"]) == ("upgrade", "main")
    for row in ("| some | six | 1.16 | 1.17 |", "| base/any | a | 1 | 2 | CVE-1 |", "some  E2 (cpu)"):
        assert row in made["body"]
    pushed = subprocess.run(
        ["git", "-C", str(runner.remote), "show", "upgrade:images/locked"], capture_output=True, text=True, check=True
    )
    assert pushed.stdout == "six==1.17\n"


def test_one_that_is_open_is_told_anew(runner: Runner, forge: tuple[type[Forge], str]) -> None:
    handler, _ = forge
    handler.there = [{"number": 7}]
    assert runner.run(workflow("upgrade")["jobs"]["upgrade"]).returncode == 0
    assert handler.asked[-1][:2] == ("PATCH", "/repos/team/project/pulls/7")
