from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import assay
from assay import build, cli, doctor, engine, errors, reproduce, rootfs, smoke
from assay.catalog import Built, Change, Drift, Images, write_images
from assay.engine import apt
from assay.engine.embedded import EmbeddedEngine
from assay.errors import (
    AssayError,
    BuildFailed,
    CertificateFailed,
    EngineMissing,
    RegistryFailed,
    UsageError,
    VerificationFailed,
)
from tests import published
from tests.fake_registry import FakeRegistry, serving
from tests.unit.repository import repository

FIND = engine.find
BASE = SimpleNamespace(name="base/trixie")
BUILT = Built("k", None, "sha256:" + "d" * 64, "sha256:c", (), (), 1_500_000_000, 4 * 10**9, 3.0, "now")


class Found:
    """The engine that `engine.find` gives."""

    description = "docker 28 (fake)"

    def __enter__(self) -> Found:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def prune_build_cache(self) -> int:
        return 2_000_000


class Ran:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def refused(self, code: int, *words: str) -> None:
        lines = self.err.splitlines()
        assert self.code == code
        assert len(lines) == 2
        assert lines[0].startswith("error: ")
        assert lines[1].startswith("  ")
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err


@pytest.fixture
def assay_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """The command, in a repository whose images were never built, with an engine that does nothing."""
    root = repository(tmp_path / "repo")
    (root / "build").mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(engine, "find", lambda tell=None: Found())

    def run(*arguments: str) -> Ran:
        before = signal.getsignal(signal.SIGTERM)
        monkeypatch.setattr("sys.argv", ["assay", *arguments])
        try:
            cli.main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
        finally:
            signal.signal(signal.SIGTERM, before)
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


# ---- exit codes --------------------------------------------------------------------------------------


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


# ---- what commands print -----------------------------------------------------------------------------


def test_images(assay_: Callable[..., Ran]) -> None:
    write_images(Path.cwd(), {"torchy": BUILT})
    ran = assay_("images")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].split() == [
        "image",
        "on",
        "version",
        "compressed",
        "on",
        "disk",
        "digest",
        "Debian",
        "until",
        "what",
    ]
    torchy = next(line for line in lines if line.startswith("torchy"))
    assert torchy.split()[:8] == ["torchy", "cuda/1.0", "2.0", "1.50", "GB", "4.00", "GB", "d" * 12]
    assert "\x1b" not in ran.out
    rows = json.loads(assay_("images", "--json").out)
    assert [row["name"] for row in rows] == ["base/trixie", "cuda/1.0", "plain", "tensory", "torchy"]
    assert rows[4] == {
        "name": "torchy",
        "parent": "cuda/1.0",
        "summary": "A framework",
        "framework": "torch",
        "version": "2.0",
        "labels": {"python": "3.13", "cuda": "1.0"},
        "digest": BUILT.digest,
        "compressed_bytes": 1_500_000_000,
        "uncompressed_bytes": 4 * 10**9,
        "supported_until": None,
        "drift": {},
    }
    assert rows[0]["digest"] is None

    drift = {"base/trixie": Drift("b" * 64, (Change("libc6", "2.41-12", "2.41-13"), Change("bash", None, "5")))}
    write_images(Path.cwd(), {"torchy": msgspec.structs.replace(BUILT, drift=drift)})
    said = assay_("images").out
    assert f"{'d' * 12} drifted" in said
    assert "base/trixie has drifted: 2 packages have moved: libc6 2.41-12 -> 2.41-13, bash absent -> 5\n" in said
    (row,) = [row for row in json.loads(assay_("images", "--json").out) if row["drift"]]
    assert row["drift"]["base/trixie"]["changes"][0] == {"package": "libc6", "was": "2.41-12", "now": "2.41-13"}


def test_images_says_what_sharing_saves_in_a_registry(assay_: Callable[..., Ran]) -> None:
    stack = ("sha256:stack", 2_000_000_000)
    layers = {"torchy": (stack, ("sha256:t", 500_000_000)), "tensory": (stack, ("sha256:u", 250_000_000))}
    write_images(Path.cwd(), {name: msgspec.structs.replace(BUILT, layers=own) for name, own in layers.items()})
    said = " ".join(assay_("images").out.split())
    assert "The 2 framework images take 2.75 GB in a registry" in said
    assert said.endswith("each alone, 4.75 GB.")


def test_the_command_works_below_the_top_of_the_checkout(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("images/torchy")
    assert assay_("images").code == 0


def test_doctor(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the checkout; and, outside of one, of what this Assay came with."""
    asked = ("doctor", "--driver", "580.65.06", "--compute-capability", "9.0")
    monkeypatch.chdir(Path(assay.__file__).parent)
    ran = assay_(*asked)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].split() == ["image", "runs", "framework", "CUDA", "certified", "why"]
    monkeypatch.chdir("/")
    answer = json.loads(assay_(*asked, "--json").out)
    assert answer["schema"] == 1
    assert {row["runs"] for row in answer["images"]} <= {"gpu", "cpu"}
    monkeypatch.setattr(doctor, "require_usable", raising(VerificationFailed("what", "todo")))
    ran = assay_(*asked)
    assert ran.code == 5
    assert ran.out


def test_doctor_judges_what_a_registry_has_by_what_is_installed(
    assay_: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone may leave images/ and smoke/ in a folder above, such as /tmp: with gates that let all through."""
    trap = tmp_path / "trap"
    (trap / "images").mkdir(parents=True)
    (trap / "smoke").mkdir()
    (trap / "here").mkdir()
    monkeypatch.chdir(trap / "here")
    (tmp_path / "key.pub").write_bytes(published.key().public.pem())
    with serving(FakeRegistry()) as fake:
        published.put(fake.host, published.fresh())
        ran = assay_("doctor", str(published.reference(fake.host)), "--key", str(tmp_path / "key.pub"), "--json")
    assert ran.code == 0, ran.err
    assert [row["levels"] for row in json.loads(ran.out)["images"]] == [{"cpu": "E2"}]


def test_plan(assay_: Callable[..., Ran]) -> None:
    plan = json.loads(assay_("plan", "torchy", "--device", "gpu").out)
    assert (plan["schema"], plan["image"], plan["device"]) == (1, "torchy", "gpu")


@pytest.mark.parametrize("as_json", [False, True])
def test_smoke(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, as_json: bool) -> None:
    seen: list[smoke.Options] = []

    def run(cat: object, found: object, images: object, options: smoke.Options, start: Any, done: Any) -> Any:
        seen.append(options)
        start("torchy")
        outcome = smoke.Outcome("torchy", options.device, error=UsageError("torchy is not built", "Build it."))
        done(outcome)
        return [outcome]

    monkeypatch.setattr(smoke, "smoke", run)
    junit = tmp_path / "junit.xml"
    arguments = ["smoke", "torchy", "--device", "gpu", "--again", "--memory", "8g", "--junit", str(junit)]
    ran = assay_(*arguments, *(["--json"] if as_json else []))
    *progress, what, todo = ran.err.splitlines()
    assert progress == ([] if as_json else ["torchy: training", "torchy: training took 0 s"])
    Ran(ran.code, ran.out, f"{what}\n{todo}").refused(1, "torchy did not pass")
    assert seen == [smoke.Options(device="gpu", again=True, memory_bytes=8 * 2**30)]
    assert b"torchy is not built" in junit.read_bytes()
    if as_json:
        assert json.loads(ran.out)[0]["error"] == "torchy is not built"
    else:
        assert ran.out.splitlines() == ["torchy  gpu  error: torchy is not built", "  Build it."]


def test_reproduce(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    other = msgspec.structs.replace(BUILT, digest="sha256:2")
    rows = [
        reproduce.Reproduced("a", BUILT, BUILT),
        reproduce.Reproduced("b", BUILT, msgspec.structs.replace(other, diff_ids=("another",))),
        reproduce.Reproduced("c", BUILT, other),
    ]
    monkeypatch.setattr(reproduce, "reproduce", lambda *a: rows)
    ran = assay_("reproduce")
    ran.refused(4, "b: a second build gave other content")
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["image", "verdict"],
        ["a", "same"],
        ["b", "different"],
        ["c", "same;"],
    ]
    said = json.loads(assay_("reproduce", "--json").out)
    assert [(one["image"], one["same"], one["verdict"]) for one in said] == [
        ("a", True, "same"),
        ("b", False, "different"),
        ("c", True, "same; compressed differently"),
    ]
    rows.pop(1)
    assert assay_("reproduce").code == 0


def test_lock(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    def bootstrap(image: Any, on_step: Any) -> rootfs.PackagesLock:
        called.append(image.name)
        return rootfs.PackagesLock((rootfs.Package("python3", "3", "a" * 64),), "b" * 64)

    monkeypatch.setattr(rootfs, "lock", bootstrap)
    ran = assay_("lock", "base/trixie", "--upgrade")
    assert ran.code == 0
    assert called == ["base/trixie"]
    assert ran.out == "base/trixie: python3 3.13.5-1 -> 3\n"
    assert ran.err == "base/trixie: resolving\n"
    assert assay_("lock", "base/trixie").out == "base/trixie: unchanged\n"
    assert Path("images/base/trixie/packages.lock").read_text() == bootstrap(BASE, None).text("base/trixie")


def test_a_base_whose_lock_does_not_agree(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    assert assay_("lock", "--check", "base/trixie").out == "base/trixie: agrees\n"
    path = Path("images/base/trixie/packages.lock")
    path.write_text(path.read_text().replace("python3=", "python4="))
    before = path.read_bytes()
    assay_("lock", "--check", "base/trixie").refused(2, "python3 is to be included, and the lock lacks it")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (
            engine.Status("28.5.2", (), False, True, "system"),
            ["docker 28.5.2\n", "stopped", "used             system"],
        ),
        (engine.Status("20.1", ("it is old",), True, True, "embedded"), ["will not do: it is old", "running"]),
        (engine.Status(None, (), False, False, None), ["none answers", "not possible here", "used             none"]),
    ],
)
def test_engine_status(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, now: engine.Status, words: list[str]
) -> None:
    monkeypatch.setattr(engine, "status", lambda: now)
    ran = assay_("engine", "status")
    assert ran.code == 0
    for word in words:
        assert word in ran.out
    rows = json.loads(assay_("engine", "status", "--json").out)
    assert rows["used"] == now.used
    assert rows["system_lacks"] == list(now.system_lacks)


def test_the_other_engine_commands(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    assert assay_("engine", "up").out == "docker 28 (fake): up\n"
    assert assay_("engine", "prune").out == "2 MB freed\n"
    assert assay_("engine", "down").out == "it was not running\n"
    monkeypatch.setattr(EmbeddedEngine, "down", lambda self: True)
    assert assay_("engine", "down").out == "stopped\n"


def test_help_and_version(assay_: Callable[..., Ran]) -> None:
    assert assay_("--version").out == f"assay {assay.__version__}\n"
    ran = assay_("--help")
    assert ran.code == 0
    for name in cli.cli.commands:
        assert name in ran.out
        assert assay_(name, "-h").code == 0


@pytest.mark.parametrize("arguments", [[], ["engine"]])
def test_a_command_is_missing(assay_: Callable[..., Ran], arguments: list[str]) -> None:
    ran = assay_(*arguments)
    assert ran.code == 2
    assert "Usage: " in ran.out + ran.err
    assert len((ran.out + ran.err).splitlines()) > 5  # the help as it is, not squeezed into one line


def test_every_command_has_a_line_of_help() -> None:
    for command in (*cli.cli.commands.values(), *cli.engine_group.commands.values()):
        assert command.get_short_help_str()


@pytest.mark.parametrize(("text", "number"), [("512m", 2**29), ("8g", 2**33), ("8G", 2**33), ("1k", 1024), ("7", 7)])
def test_sizes(text: str, number: int) -> None:
    assert cli.parse_size(text) == number


@pytest.mark.parametrize("text", ["", "g", "0", "0g", "-1g", "1.5g", "8gb", "8 g", "²g", "x"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError):
        cli.parse_size(text)


def test_the_embedded_engine_without_root_is_3(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "available", lambda: False)
    monkeypatch.setattr(engine, "find", FIND)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such.sock")
    monkeypatch.delenv("ASSAY_ENGINE", raising=False)
    assay_("engine", "up").refused(3, "no container engine answers", engine.install_hint())
