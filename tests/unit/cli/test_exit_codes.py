"""How a command ends: each kind of error has its exit code, and two lines."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import build, engine, errors
from assay.catalog import Images
from assay.engine import apt
from assay.errors import (
    AssayError,
    BuildFailed,
    CertificateFailed,
    EngineMissing,
    RegistryFailed,
    UsageError,
    VerificationFailed,
)
from tests.unit.cli.ran import Ran, raising

FIND = engine.find


def test_each_error_has_its_own_exit_code() -> None:
    kinds = AssayError.__subclasses__()
    codes = {kind.__name__: kind.exit_code for kind in kinds}
    assert codes == {
        "CertificateFailed": 1,
        "UsageError": 2,
        "EngineMissing": 3,
        "BuildFailed": 4,
        "VerificationFailed": 5,
        "RegistryFailed": 6,
    }
    assert (
        len(kinds)
        == len([each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, AssayError)])
        - 1
    )


@given(st.text(), st.text())
def test_whatever_an_error_says_it_is_two_lines_at_most(what: str, todo: str) -> None:
    assert len(str(UsageError(f"a{what}", f"b{todo}")).splitlines()) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CertificateFailed("what", "todo"), 1),
        (UsageError("what", "todo"), 2),
        (EngineMissing("what", "todo"), 3),
        (BuildFailed("what", "todo"), 4),
        (VerificationFailed("what", "todo"), 5),
        (RegistryFailed("what", "todo"), 6),
    ],
)
def test_the_exit_code_is_the_errors(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, error: AssayError, code: int
) -> None:
    monkeypatch.setattr(build, "build", raising(error))
    ran = assay_("build")
    ran.refused(code)
    assert ran.err == "error: what\n  todo\n"


def test_success_is_0(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build", lambda *a: Images())
    ran = assay_("build", "torchy")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_an_interrupt_is_130(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build", raising(KeyboardInterrupt()))
    ran = assay_("build")
    assert ran.code == 130
    assert "what is finished is kept" in ran.err
    assert "Traceback" not in ran.err


def test_an_end_by_signal_is_130(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build", lambda *a: os.kill(os.getpid(), signal.SIGTERM))
    assert assay_("build").code == 130


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 4, "the disk is full: /x/y"),
        (OSError(errno.EDQUOT, "Quota exceeded"), 4, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 2, "/x/y: Permission denied"),
        (OSError("odd"), 2, "odd"),
    ],
)
def test_what_the_system_refuses_is_two_lines_too(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, error: OSError, code: int, words: str
) -> None:
    monkeypatch.setattr(build, "build", raising(error))
    assay_("build").refused(code, words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bild"], "No such command 'bild'"),
        (["build", "--no-cahce"], "No such option"),
        (["build", "torchi"], "Did you mean torchy?"),
        (["build", "plain", "zzzzzz"], "There are base/trixie, cuda/1.0"),
        (["smoke", "torchi"], "Did you mean torchy?"),
        (["smoke", "--device", "tpu"], "'tpu' is not one of"),
        (["smoke", "--memory", "lots"], "'lots' is no size"),
        (["smoke", "--junit", "no/such/folder.xml"], "no/such is no folder"),
        (["smoke"], "no image is built"),
        (["reproduce", "torchi"], "Did you mean torchy?"),
        (["lock", "torchi"], "Did you mean torchy?"),
        (["plan"], "Missing argument"),
        (["plan", "torchi"], "Did you mean torchy?"),
        (["plan", "cuda/1.0"], "has no framework"),
        (["engine", "restart"], "No such command 'restart'"),
        (["doctor", "--driver", "550"], "describe another machine together"),
        (["doctor", "--compute-capability", "9.0"], "describe another machine together"),
        (["doctor", "--driver", "new", "--compute-capability", "9.0"], "'new' is no driver version"),
        (["doctor", "--driver", "550", "--compute-capability", "sm_90"], "'sm_90' is no compute capability"),
        (["doctor"], "there are no certificates here"),
        (["doctor", "registry.example/x"], "Name the publisher's key with --key"),
    ],
)
def test_a_wrong_command_line_is_2(assay_: Callable[..., Ran], arguments: list[str], words: str) -> None:
    assay_(*arguments).refused(2, words)


@pytest.mark.parametrize("arguments", [["build"], ["smoke"], ["images"], ["lock"], ["plan", "torchy"]])
def test_a_malformed_image_toml_is_2(assay_: Callable[..., Ran], arguments: list[str]) -> None:
    Path("images/torchy/image.toml").write_text("[image]\nsumary = 1\n")
    assay_(*arguments).refused(2, "images/torchy/image.toml", "image.sumary", "Did you mean summary?")


@pytest.mark.parametrize("arguments", [["build"], ["smoke"], ["images"], ["plan", "x"], ["lock"], ["reproduce"]])
def test_outside_a_checkout_is_2(
    assay_: Callable[..., Ran], arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assay_(*arguments).refused(2, "is in no checkout of Assay")


def test_a_damaged_list_of_images_is_2(assay_: Callable[..., Ran]) -> None:
    Path("build/images.json").write_text("{")
    assay_("images").refused(2, "images.json cannot be read", "Delete it")


def test_no_engine_is_3(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    def find(tell: object = None) -> None:
        raise EngineMissing("no container engine answers", engine.install_hint())

    monkeypatch.setattr(engine, "find", find)
    for arguments in (["build"], ["smoke"], ["reproduce"], ["engine", "up"], ["engine", "prune"]):
        assay_(*arguments).refused(3, "no container engine answers")


def test_commands_that_need_no_engine_ask_for_none(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "find", raising(AssertionError("asked for an engine")))
    for arguments in (["images"], ["plan", "torchy"], ["build", "nosuch"], ["--help"], ["--version"]):
        assert assay_(*arguments).code in {0, 2}


def test_the_embedded_engine_without_root_is_3(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "available", lambda: False)
    monkeypatch.setattr(engine, "find", FIND)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such.sock")
    monkeypatch.delenv("ASSAY_ENGINE", raising=False)
    assay_("engine", "up").refused(3, "no container engine answers", engine.install_hint())
