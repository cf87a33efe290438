"""The maintainer's sessions. `nox -l` lists them; each is thin and calls the `assay` command."""

from __future__ import annotations

import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]
# One environment for both doors, make and nox: .venv, made from requirements-dev.lock.
nox.options.default_venv_backend = "none"

HERE = Path(__file__).parent
# Discovered, never listed: a framework image is a folder whose image.toml names a framework.
IMAGES = sorted(
    path.parent.relative_to(HERE / "images").as_posix()
    for path in (HERE / "images").rglob("image.toml")
    if "framework" in tomllib.loads(path.read_text(encoding="utf-8"))
)


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the environment, which is made first where it is not there yet."""
    session.run("make", "--quiet", "--no-print-directory", ".venv/.ready", external=True, silent=False)
    session.run(str(HERE / ".venv/bin" / program), *arguments, external=True)


@nox.session
def build(session: nox.Session) -> None:
    """Build images and what they stand on: nox -s build [-- IMAGE...]"""
    run(session, "assay", "build", *session.posargs)


@nox.session
def smoke(session: nox.Session) -> None:
    """Train in the images and certify them: nox -s smoke [-- IMAGE... --device cpu|gpu --ranks N]"""
    run(session, "assay", "smoke", "--pack", *session.posargs)


@nox.session
def compare(session: nox.Session) -> None:
    """Ask the frameworks the questions of compare/: nox -s compare [-- IMAGE... --question NAME | --check]"""
    run(session, "assay", "compare", "--pack", *session.posargs)


@nox.session
def publish(session: nox.Session) -> None:
    """Push certified images and their signed certificates: nox -s publish -- [IMAGE...] --registry R --key FILE"""
    run(session, "assay", "publish", *session.posargs)


def smoke_one(image: str) -> None:
    """Register the smoke session of one image."""

    def smoke_image(session: nox.Session) -> None:
        run(session, "assay", "smoke", "--pack", image, *session.posargs)

    smoke_image.__doc__ = f"Train in {image} and certify it"
    nox.session(name=f"smoke-{image.replace('/', '-')}")(smoke_image)


for name in IMAGES:
    smoke_one(name)


@nox.session
def tests(session: nox.Session) -> None:
    """Unit, integration and image tests: nox -s tests [-- PYTEST-OPTION...]"""
    if session.posargs:
        run(session, "pytest", *session.posargs)
        return
    run(session, "pytest", "tests/unit", "--numprocesses", "auto")
    run(session, "pytest", "tests/integration", "--numprocesses", "auto", "--dist", "loadfile")
    run(session, "pytest", "tests/images", "--pack")


@nox.session
def lint(session: nox.Session) -> None:
    """Style (ruff), types (mypy), import walls (import-linter), the Python floor of smoke/ and compare/ (vermin)"""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    run(session, "mypy")
    run(session, "lint-imports", "--no-cache")
    run(
        session,
        "vermin",
        "--quiet",
        "--target=3.9-",
        "--no-tips",
        "--violations",
        "smoke",
        "compare",
        "assay/scripts/inventory.py",
    )


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve the locks anew, or prove that they agree: nox -s lock [-- IMAGE... --upgrade | --check]"""
    run(session, "assay", "lock", *session.posargs)


@nox.session
def site(session: nox.Session) -> None:
    """Write a static site of images, certificates and the comparison: nox -s site [-- --out DIR]"""
    run(session, "assay", "site", *(session.posargs or ("--out", "build/site")))


@nox.session
def reproduce(session: nox.Session) -> None:
    """Build images twice and compare the digests: nox -s reproduce [-- IMAGE...]"""
    run(session, "assay", "reproduce", *session.posargs)


@nox.session(name="dev-lock")
def dev_lock(session: nox.Session) -> None:
    """Resolve requirements-dev.lock, the tools of this repository, anew"""
    run(session, "uv", *DEV_LOCK.split(), "--custom-compile-command", "nox -s dev-lock")


DEV_LOCK = """
pip compile pyproject.toml --group dev --no-config --universal --python-version 3.11 --generate-hashes
--no-annotate --no-emit-index-url --quiet -o requirements-dev.lock
"""
