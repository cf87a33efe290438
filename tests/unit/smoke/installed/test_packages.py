"""What is installed, as it is gathered: files against their RECORDs, and versions."""

from __future__ import annotations

import contextlib
import importlib.metadata
import py_compile
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging import utils

from smoke.installed import packages
from smoke.installed.facts import File
from smoke.installed.names import normal_name, normal_version
from smoke.installed.survey import record, survey
from tests.unit.smoke.environment import Environment


def test_every_change_after_installation_is_found(env: Environment) -> None:
    found = survey(env.site)
    assert packages.changed(found.distributions) == []
    assert packages.unlisted(found) == []
    path = env.site / "framework/lib.so"
    path.write_bytes(path.read_bytes().replace(b"libcudart.so.13", b"libcudart.so.12"))
    assert "is not as it was installed: its sha256 differs" in packages.changed(found.distributions)[0]
    path.write_bytes(b"")
    assert "has 0 bytes" in packages.changed(found.distributions)[0]
    path.unlink()
    assert "cannot be read: No such file" in packages.changed(found.distributions)[0]


def test_byte_code_from_a_wheel_may_be_made_anew_from_its_source_only(env: Environment) -> None:
    code = f"brings/__pycache__/it.{sys.implementation.cache_tag}.pyc"
    env.add("brings", "1", {"brings/it.py": b"x = 1\n", code: b"byte code of the wheel's own"})
    found, source = survey(env.site).distributions, env.site / "brings/it.py"
    assert packages.changed(found) == []
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    assert packages.changed(found) == []
    source.write_bytes(b"x = 2\n")
    assert [line.partition(" ")[0] for line in packages.changed(found)] == [str(source), str(env.site / code)][::-1]
    source.write_bytes(b"x = 1\n")
    (env.site / code).write_bytes(b"byte code of another make   ")
    assert "is not as it was installed" in packages.changed(found)[0]


def test_a_file_that_no_record_lists_is_found(env: Environment) -> None:
    (env.site / "sitecustomize.py").write_text("")
    (env.site / "_virtualenv.py").write_text("")
    assert packages.unlisted(survey(env.site)) == [str(env.site / "sitecustomize.py")]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_record_gives_lines_or_one_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("record")
    (folder / "RECORD").write_bytes(text.encode())
    with contextlib.suppress(ValueError):
        list(record(folder / "RECORD", folder))
    shutil.rmtree(folder)


def test_a_digest_of_an_unknown_kind_is_told(env: Environment) -> None:
    file = File(str(env.site / "framework/__init__.py"), "rot13=x", 0)
    assert "unknown kind" in packages.difference(file)


def test_what_is_really_installed_is_found() -> None:
    assert packages.installed()["numpy"] == {importlib.metadata.version("numpy")}


def test_what_lies_in_other_folders_is_found_with_its_folder(env: Environment, tmp_path: Path) -> None:
    here = packages.outside(tmp_path)["numpy"]
    assert (Path(here) / "numpy/__init__.py").is_file()
    assert "numpy" not in packages.outside(Path(here))


@pytest.mark.parametrize("name", ["the-thing.x", "The_Thing-X", "the__thing--x", "THE.-_thing.x"])
def test_names_are_compared_as_indexes_do(name: str) -> None:
    """By PEP 503; the script that lists what is in an image does the same."""
    assert normal_name(name) == "the-thing-x"


@given(st.text(alphabet="aB1-_.", max_size=20))
def test_a_normal_name_is_that_of_pip_s_own_library(name: str) -> None:
    assert normal_name(name) == utils.canonicalize_name(name)


def test_leading_zeros_of_a_version_do_not_count() -> None:
    assert normal_version("2026.07.04") == normal_version("2026.7.4") == "2026.7.4"
