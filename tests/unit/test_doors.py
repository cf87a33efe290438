"""Rules that no linter holds: what the files at the top of the repository may and may not say."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assay import catalog
from assay.catalog import Catalog


@pytest.fixture(scope="module")
def images(root: Path) -> Catalog:
    return catalog.load(root)


def named(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text) is not None


@pytest.mark.parametrize("file", ["Makefile", "noxfile.py", ".ci/run"])
def test_images_are_discovered_and_never_listed(root: Path, images: Catalog, file: str) -> None:
    text = (root / file).read_text() if (root / file).is_file() else ""
    for name in images.images:
        assert not named(text, name), f"{file} names {name}"
        assert not named(text, f"images/{name}"), f"{file} names {name}"


def test_the_readme_has_no_table_of_images_but_the_one_that_is_made(root: Path, images: Catalog) -> None:
    text = (root / "README.md").read_text()
    assert len(re.findall(r"<!-- (?:end of )?certificates", text)) == 2
    text = re.sub(r"<!-- certificates.*<!-- end of certificates -->", "", text, flags=re.DOTALL)
    listed = [line for line in text.splitlines() if line.startswith(("|", "- ", "* "))]
    for name in images.images:
        assert not [line for line in listed if named(line, name)], f"README.md lists {name}"


def test_the_host_names_no_image(root: Path, images: Catalog) -> None:
    for path in (root / "assay").rglob("*.py"):
        text = path.read_text()
        found = [name for name in images.images if f'"{name}"' in text or f"'{name}'" in text]
        assert not found, f"{path.name} names {found}"


def test_each_image_has_a_framework_file_in_the_suite(root: Path, images: Catalog) -> None:
    for image in images.frameworks():
        assert image.framework is not None
        assert (root / "smoke/frameworks" / f"{image.framework.name}.py").is_file(), image.name


def test_every_target_of_make_is_documented(root: Path) -> None:
    text = (root / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    documented = re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE)
    assert sorted(phony[1].split()) == sorted(documented)


def test_every_session_of_nox_is_documented(root: Path) -> None:
    text = (root / "noxfile.py").read_text()
    sessions = re.findall(r"@nox\.session.*\ndef (\w+)\(.*\n    (.*)\n", text)
    assert {"build", "smoke", "tests", "lint", "lock"} <= {name for name, _ in sessions}
    for name, line in sessions:
        assert line.startswith('"""'), name


def test_dockerfiles_have_no_defaults_that_could_lie(root: Path) -> None:
    files = sorted((root / "images").rglob("Dockerfile"))
    assert files
    for path in files:
        for line in path.read_text().splitlines():
            if line.startswith("ARG "):
                assert "=" not in line, f"{path}: {line}"
    below = [path for path in files if path.parent.name != "base"]
    for path in below:
        assert re.search(r"^ARG PARENT$", path.read_text(), re.MULTILINE), path
        assert re.search(r"^FROM \$\{?PARENT\}?", path.read_text(), re.MULTILINE), path


LONGEST, LONGEST_FRAMEWORK = 300, 450


def limit(file: str) -> int:
    return LONGEST_FRAMEWORK if file.startswith(("smoke/frameworks/", "smoke/everyday/")) else LONGEST


def test_no_file_is_too_long_to_be_read_at_once(root: Path) -> None:
    lines = {
        path.relative_to(root).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("assay", "smoke")
        for path in (root / folder).rglob("*.py")
    }
    assert len(lines) > 100
    longer = {file: count for file, count in lines.items() if count > limit(file)}
    assert not longer, "split these: longer than a file may be"


def test_a_packages_face_has_no_logic(root: Path) -> None:
    """Only what it is for, what it imports from its rooms, and names; short enough to be read at a glance."""
    for path in (root / "assay").rglob("__init__.py"):
        shown, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        others = [
            type(each).__name__
            for each in ast.parse(text).body
            if not isinstance(each, (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign))
        ]
        assert not others, f"{shown}: {others}"
        assert len(text.splitlines()) <= 25, shown


def test_what_make_and_nox_end_with(root: Path, tmp_path: Path) -> None:
    """The README says it: whatever the code of the command was, make ends with 2 and nox with 1."""
    for name in ("Makefile", "noxfile.py", "pyproject.toml", "requirements-dev.lock"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / "images").mkdir()
    command = tmp_path / ".venv/bin/assay"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\nexit 5\n")
    command.chmod(0o755)
    (tmp_path / ".venv/.ready").touch()
    for argv, code in ((["make", "smoke"], 2), ([sys.executable, "-m", "nox", "-s", "smoke"], 1)):
        assert subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False).returncode == code, argv
