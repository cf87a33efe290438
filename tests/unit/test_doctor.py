"""The doctor's ends: what this machine has, what certificates say, the commands, the JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from assay import certificate, compatibility, doctor, paths, view
from assay.compatibility import Code, Gpu, ImageFacts, Machine, Verdict
from assay.doctor import Surroundings, Tools
from assay.engine import Status
from assay.errors import RegistryFailed, UsageError, VerificationFailed
from assay.host.gpus import Listed, Nvidia
from assay.host.machine import Room
from assay.images import Built, write_images
from tests import published
from tests.conftest import ROOT
from tests.fake_registry import FakeRegistry, serving
from tests.unit.certificate import reports

GIB = 2**30
H100 = Listed("NVIDIA H100 80GB HBM3", (9, 0), 80 * GIB)
STACK = {
    "framework": "torch 2.15.0",
    "cudart": "13.2",
    "least_driver": "580",
    "details": {"cuda": "13.0.1"},
    "coverage": {"libtorch_cuda.so": {"cubin": ["8.0", "9.0a"], "ptx": ["9.0"]}},
    "served": {"wholly": ["8.0", "9.0"], "partly": ["7.5"]},
}


def statement(image: str = "one", device: str = "cpu", digest: str = "d", **stack: Any) -> dict[str, Any]:
    data = reports.written(reports.a_plan(device=device, image=image))
    data["stack"] = {**STACK, **stack}
    return reports.stated(data, digest="sha256:" + digest * 64)


def keep(folder: Path, data: Any, name: str = "one/cpu") -> Path:
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def gathered(root: Path) -> tuple[list[ImageFacts], list[tuple[str, str]]]:
    return doctor.gather(root, reports.SUITES)


# ---- certificates ---------------------------------------------------------------------------------------


def test_the_facts_of_a_certificate(tmp_path: Path) -> None:
    keep(tmp_path / "certificates", statement())
    (facts,), unusable = gathered(tmp_path)
    assert not unusable
    assert facts == ImageFacts(
        image="one",
        digest="sha256:" + "d" * 64,
        reference="REGISTRY/one@sha256:" + "d" * 64,
        framework="torch 2.15.0",
        python="3.13",
        architecture="amd64",
        cuda=(13, 2),
        toolkit=(13, 0),
        least_driver=(580,),
        libraries=(
            compatibility.Library(
                "libtorch_cuda.so",
                frozenset({Code((8, 0)), Code((9, 0), "a")}),
                frozenset({Code((9, 0))}),
            ),
        ),
        wholly=frozenset({(8, 0), (9, 0)}),
        partly=frozenset({(7, 5)}),
        levels={"cpu": "E2"},
        created=facts.created,
    )


def test_a_level_is_computed_and_never_read(tmp_path: Path) -> None:
    data = statement()
    data["predicate"]["achieved"] = "E4"
    next(one for one in data["predicate"]["results"] if one["id"].startswith("P3"))["state"] = "fail"
    keep(tmp_path / "certificates", data)
    (facts,), _ = gathered(tmp_path)
    assert facts.levels == {"cpu": "E1"}
    assert facts.shortcoming.startswith("P3.")
    assert compatibility.judge(Machine(), facts).why.startswith("its certificate amounts to E1 only: P3.")


def test_what_was_certified_here_comes_before_what_came_with_the_repository(tmp_path: Path) -> None:
    keep(tmp_path / "certificates", statement(digest="a"))
    new = statement(digest="b", framework="torch 3")
    new["predicate"]["timeCreated"] = "2999-01-01T00:00:00Z"
    keep(tmp_path / "build/certificates", new)
    (facts,), _ = gathered(tmp_path)
    assert (facts.framework, facts.digest) == ("torch 3", "sha256:" + "b" * 64)


def test_certificates_of_one_digest_are_read_together_and_others_are_left(tmp_path: Path) -> None:
    keep(tmp_path / "certificates", statement())
    keep(tmp_path / "certificates", statement(device="gpu"), "one/gpu")
    (facts,), _ = gathered(tmp_path)
    assert facts.levels == {"cpu": "E2", "gpu": "E3"}
    assert facts.certified_on == ("NVIDIA H100 80GB HBM3",)
    old = statement(digest="a")
    old["predicate"]["timeCreated"] = "2000-01-01T00:00:00Z"
    keep(tmp_path / "certificates", old)
    (facts,), _ = gathered(tmp_path)
    assert facts.levels == {"gpu": "E3"}


def test_the_newest_is_so_by_its_time_and_not_by_its_letters(tmp_path: Path) -> None:
    for digest, device, created in (("a", "cpu", "2026-01-02T00:30:00+01:00"), ("b", "gpu", "2026-01-02T00:00:00Z")):
        data = statement(device=device, digest=digest)
        data["predicate"]["timeCreated"] = created
        keep(tmp_path / "certificates", data, f"one/{device}")
    (facts,), _ = gathered(tmp_path)
    assert (facts.digest[-1], facts.created) == ("b", "2026-01-02T00:00:00Z")


def test_the_image_that_is_built_here_goes_by_its_local_name(tmp_path: Path) -> None:
    keep(tmp_path / "certificates", statement())
    (tmp_path / "build").mkdir()
    for digest, reference in (("d", "assay/one"), ("e", "REGISTRY/one@sha256:" + "d" * 64)):
        made = Built("k", None, f"sha256:{digest * 64}", "sha256:c", (), (), 1, 1, 1.0, "now")
        write_images(tmp_path, {"one": made})
        (facts,), _ = gathered(tmp_path)
        assert facts.reference == reference


@pytest.mark.parametrize(
    ("stack", "problem"),
    [
        ({"served": {"wholly": ["9.0; rm -rf"]}}, "served.wholly"),
        ({"served": {"wholly": ["9.0"] * 65}}, "served.wholly"),
        ({"served": []}, "served"),
        ({"least_driver": "1" * 6}, "least_driver"),
        ({"coverage": {"x" * 257: {}}}, "coverage"),
        ({"coverage": {str(number): {} for number in range(4097)}}, "coverage"),
        ({"coverage": {"x": {"ptx": [9]}}}, "coverage"),
        ({"framework": "x" * 257}, "framework"),
        ({"framework": None}, "framework"),
        ({"cudart": 13.2}, "cudart"),
    ],
)
def test_a_stack_that_is_no_stack_is_said(tmp_path: Path, stack: dict[str, Any], problem: str) -> None:
    keep(tmp_path / "certificates", statement(**stack))
    images, ((name, said),) = gathered(tmp_path)
    assert not images
    assert name == "one"
    assert problem in said


@pytest.mark.parametrize(
    "data",
    [
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"predicate": ' * 100_000,
        json.dumps({"predicate": {}}),
        "\x00",
        '{"a": 1e999}',
    ],
)
def test_what_is_no_certificate_is_said_and_the_others_are_read(tmp_path: Path, data: str) -> None:
    keep(tmp_path / "certificates", statement())
    keep(tmp_path / "certificates", data, "two/cpu")
    (facts,), ((name, _),) = gathered(tmp_path)
    assert (facts.image, name) == ("one", "certificates/two/cpu.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(subject=[]),
        lambda data: data.update(subject=[{"digest": {"sha256": "d"}}]),
        lambda data: data["predicate"].update(timeCreated=1),
        lambda data: data["predicate"]["image"].update(platform="x" * 1000),
        lambda data: data["predicate"].pop("image"),
    ],
)
def test_what_a_statement_lacks_is_said(change: Any) -> None:
    data = statement()
    change(data)
    with pytest.raises(VerificationFailed, match="malformed"):
        certificate.read(data, certificate.Policy(reports.SUITES))


def test_a_certificate_that_is_too_large_or_no_file_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep(tmp_path, statement())
    monkeypatch.setattr(doctor, "LARGEST_CERTIFICATE", 100)
    for each in (path, tmp_path):
        with pytest.raises(VerificationFailed, match="no plain file below"):
            doctor.read(each)
    with pytest.raises(VerificationFailed, match="cannot be read"):
        doctor.read(tmp_path / "none")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = ["subject", "predicate", "image", "plan", "stack", "host", "served", "coverage", "details", "labels", "gpu"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), JSON)
def test_whatever_stands_in_a_certificate_is_facts_or_a_problem(place: str, value: Any) -> None:
    """Any JSON at any place: facts that the decision can work with, or a `VerificationFailed`."""
    data = statement(device="gpu")
    predicate = data["predicate"]
    for holder in (data, predicate, predicate["stack"], predicate["plan"], predicate["host"]):
        if place in holder:
            holder[place] = value
            break
    try:
        facts = doctor.facts([certificate.read(data, certificate.Policy(reports.SUITES))], "r")
    except VerificationFailed:
        return
    verdict = compatibility.judge(Machine(driver=(580, 65, 6), gpus=(Gpu("GPU", (9, 0)),)), facts)
    assert verdict.why
    assert compatibility.order(facts, verdict)
    json.dumps(doctor._row(doctor.Row(facts, verdict, None)))


def test_the_certificates_of_this_repository_are_of_use() -> None:
    images, unusable = doctor.gather(ROOT, certificate.Suites.read(ROOT))
    assert images
    assert not unusable
    for image in images:
        assert compatibility.judge(Machine(), image).runs == "cpu", image


# ---- images in a registry -------------------------------------------------------------------------------


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving(FakeRegistry()) as running:
        yield running


def asked(fake: FakeRegistry, *, which: int = 1, **names: Any) -> doctor.Gathered:
    there = published.reference(fake.host, **names)
    return doctor.published([there], published.key(which).public, published.suites())


def test_the_facts_of_an_image_in_a_registry(fake: FakeRegistry) -> None:
    made = published.fresh()
    published.put(fake.host, made)
    (facts,), unusable = asked(fake)
    assert not unusable
    assert (facts.image, facts.digest, facts.levels) == (published.name(), made.digest, {"cpu": "E2"})
    assert facts.reference == f"{fake.host}/team/{published.name()}@{made.digest}"


def test_what_is_signed_with_another_key_says_nothing(fake: FakeRegistry) -> None:
    published.put(fake.host, published.fresh())
    images, ((name, problem),) = asked(fake, which=2)
    assert not images
    assert name == f"{fake.host}/team/{published.name()}:{published.TAG}"
    assert "signed with another key" in problem


def test_another_images_certificate_says_nothing(fake: FakeRegistry) -> None:
    published.put(fake.host, published.fresh(), *published.fresh((b"other",)).statements())
    images, ((_, problem),) = asked(fake)
    assert not images
    assert "about another image" in problem


def test_a_signed_certificate_is_typed_all_the_same(fake: FakeRegistry) -> None:
    made = published.fresh()
    made.certificate["predicate"]["stack"]["served"] = {"wholly": ["nine"]}
    published.put(fake.host, made)
    images, ((_, problem),) = asked(fake)
    assert not images
    assert "served.wholly" in problem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda one: one["predicate"]["suite"]["digest"].update(sha256="0" * 64),
            "its suite (000000000000) is unknown",
        ),
        (
            lambda one: one["predicate"]["suite"]["gates"].update(sha256="0" * 64),
            "its gates (000000000000) is unknown",
        ),
        (lambda one: one["predicate"].update(timeCreated="2001-01-01T00:00:00Z"), "days old, and at most 365"),
        (lambda one: one["predicate"].update(timeCreated="2999-01-01T00:00:00Z"), "it was made in the future"),
        (lambda one: one["predicate"]["image"].update(configDigest="x"), "another image configuration"),
        (lambda one: one["predicate"]["image"].update(diffIDs=[]), "other layers"),
        (lambda one: one["predicate"]["plan"]["labels"].pop("cuda"), "promises cuda nothing"),
        (lambda one: one["subject"][0].update(name="another"), "it is about 'another'"),
        (
            lambda one: one["subject"][0].update(name="another") or one["predicate"]["plan"].update(image="another"),
            "the certificate is of another",
        ),
    ],
)
def test_it_is_as_strict_as_verification(fake: FakeRegistry, change: Any, said: str) -> None:
    made = published.fresh()
    change(made.certificate)
    published.put(fake.host, made, made.certificate)
    images, ((_, problem),) = asked(fake)
    assert not images
    assert said in problem


def test_a_registry_that_fails_or_has_no_such_image_is_exit_6(fake: FakeRegistry) -> None:
    with pytest.raises(RegistryFailed):
        asked(fake)


# ---- this machine ---------------------------------------------------------------------------------------


def around(**changes: Any) -> Surroundings:
    plain = Surroundings(
        nvidia=Nvidia(),
        engine=Status("28.5.2", (), False, True, "system"),
        architecture="x86_64",
        cdi=False,
        shm=Room(Path("/dev/shm"), 8 * GIB, 8 * GIB),
        disk=Room(Path("/var/lib"), 100 * GIB, 50 * GIB),
        podman="",
        apptainer="",
    )
    return dataclasses.replace(plain, **changes)


WITH_GPU = Nvidia("580.65.06", "580.65.06", (H100,), "", 1)
NO_ENGINE = Status(None, (), False, False, None)


@pytest.mark.parametrize(
    ("changes", "identity", "state", "words"),
    [
        ({}, "driver", "ok", "no NVIDIA driver, and no NVIDIA GPU on the bus"),
        ({"nvidia": WITH_GPU}, "driver", "ok", "580.65.06 serves CUDA up to 13.x, came with CUDA 13.0"),
        ({"nvidia": Nvidia(driver="390.157")}, "driver", "ok", "390.157 serves no CUDA that is known here"),
        ({"nvidia": Nvidia(on_bus=2)}, "driver", "fail", "2 NVIDIA device(s) on the bus, and no driver"),
        ({"nvidia": Nvidia("570.1", problem="mismatch")}, "driver", "fail", "does not answer: mismatch"),
        ({"nvidia": WITH_GPU}, "gpu", "ok", "NVIDIA H100 80GB HBM3, compute capability 9.0, 80 GiB"),
        ({"nvidia": Nvidia("570.1", gpus=(Listed("X", None, 0),))}, "gpu", "warn", "X: the driver does not say"),
        ({}, "engine", "ok", "Docker 28.5.2"),
        ({"engine": Status("20.1", ("it is old",), True, True, "embedded")}, "engine", "ok", "(Docker 20.1 will not"),
        ({"engine": NO_ENGINE}, "engine", "fail", "no container engine answers"),
        ({"engine": NO_ENGINE, "apptainer": "apptainer 1.4.1"}, "engine", "warn", "images run with apptainer 1.4.1"),
        ({"nvidia": WITH_GPU}, "gpu-access", "fail", "no CDI specification and no NVIDIA runtime"),
        (
            {"nvidia": WITH_GPU, "engine": Status("28", (), False, False, "system", "cdi")},
            "gpu-access",
            "ok",
            "by its CDI specification",
        ),
        (
            {"nvidia": WITH_GPU, "engine": Status("28", (), False, False, "system", "nvidia-runtime")},
            "gpu-access",
            "ok",
            "by the NVIDIA runtime",
        ),
        ({"nvidia": WITH_GPU, "engine": NO_ENGINE, "apptainer": "apptainer 1.4.1"}, "gpu-access", "ok", "with --nv"),
        (
            {"nvidia": WITH_GPU, "engine": NO_ENGINE, "podman": "podman 5", "cdi": True},
            "gpu-access",
            "ok",
            "by its CDI",
        ),
        ({}, "shm", "ok", "/dev/shm has 8.0 GiB; a container gets 64 MiB"),
        ({"shm": Room(Path("/dev/shm"), 64 << 20, 0)}, "shm", "warn", "0.1 GiB"),
        ({"shm": None}, "shm", "warn", "there is no /dev/shm"),
        ({}, "disk", "ok", "/var/lib has 50 GiB free"),
        ({"disk": Room(Path("/var/lib"), 100 * GIB, 5 * GIB)}, "disk", "warn", "5.0 GiB free"),
        ({"disk": None}, "disk", "warn", "not known"),
        ({"podman": "podman 5.4.2"}, "podman", "ok", "podman 5.4.2"),
        ({}, "apptainer", "ok", "not installed"),
    ],
)
def test_a_finding(changes: dict[str, Any], identity: str, state: str, words: str) -> None:
    found = [one for one in doctor.findings(around(**changes)) if one.id == identity]
    assert len(found) == 1
    assert found[0].state == state
    assert words in found[0].message


def test_what_is_wrong_has_a_remedy_and_what_is_right_has_none() -> None:
    worst = around(nvidia=Nvidia(problem="x"), engine=NO_ENGINE, shm=None, disk=None)
    for surroundings in (worst, around(), around(nvidia=WITH_GPU)):
        for one in doctor.findings(surroundings):
            assert bool(one.remedy) == (one.state != "ok"), one


def test_the_machine_that_images_meet() -> None:
    assert around().machine() == Machine(seen=True)
    machine = around(nvidia=WITH_GPU, architecture="aarch64").machine()
    assert machine == Machine((580, 65, 6), (Gpu("NVIDIA H100 80GB HBM3", (9, 0), 80 * GIB),), True, "arm64")
    broken = dataclasses.replace(WITH_GPU, problem="Driver/library version mismatch")
    assert around(nvidia=broken).machine().gpus == ()
    assert around(architecture="riscv64").machine().architecture == "riscv64"


# ---- another machine ------------------------------------------------------------------------------------


def test_another_machine() -> None:
    assert doctor.another("550.54.14", ["9.0", "12.0"]) == Machine(
        driver=(550, 54, 14), gpus=(Gpu("GPU", (9, 0)), Gpu("GPU", (12, 0)))
    )
    assert doctor.another("550", ["8.6"]).driver == (550,)


@pytest.mark.parametrize("driver", ["", "none", "0", "550.", "550.54.14.1.1", "-550", "R550", "\u0661", "9" * 99])
def test_what_is_no_driver(driver: str) -> None:
    with pytest.raises(UsageError, match="is no driver version"):
        doctor.another(driver, ["9.0"])


@pytest.mark.parametrize("capability", ["", "9", "9.0a", "sm_90", "ninety", "9.0.0"])
def test_what_is_no_capability(capability: str) -> None:
    with pytest.raises(UsageError, match="is no compute capability"):
        doctor.another("550", ["9.0", capability])


@given(st.text(), st.text())
def test_any_words_are_a_machine_or_a_usage_error(driver: str, capability: str) -> None:
    with contextlib.suppress(UsageError):
        assert doctor.another(driver, [capability]).gpus


# ---- the commands ---------------------------------------------------------------------------------------

LOCAL = ImageFacts(image="one", digest="sha256:d", reference="assay/one")
REMOTE = ImageFacts(image="one", digest="sha256:d", reference="ghcr.io/x/one@sha256:d")
ON_GPU, ON_CPU = Verdict("gpu", "why"), Verdict("cpu", "why")
EMBEDDED = ("DOCKER_HOST=unix:///run/x", "/cache/docker")


@pytest.mark.parametrize(
    ("image", "verdict", "tools", "command"),
    [
        (LOCAL, Verdict("no", "why"), Tools(("docker",)), None),
        (LOCAL, ON_CPU, Tools(("docker",), "cdi"), "docker run -it --rm --shm-size=1g assay/one python"),
        (
            LOCAL,
            ON_GPU,
            Tools(("docker",), "nvidia-runtime"),
            "docker run -it --rm --gpus all --shm-size=1g assay/one python",
        ),
        (
            REMOTE,
            ON_GPU,
            Tools(("docker",), "cdi", apptainer="apptainer 1"),
            "docker run -it --rm --device nvidia.com/gpu=all --shm-size=1g ghcr.io/x/one@sha256:d python",
        ),
        (
            LOCAL,
            ON_CPU,
            Tools(EMBEDDED),
            "DOCKER_HOST=unix:///run/x /cache/docker run -it --rm --network none --shm-size=1g assay/one python",
        ),
        (
            REMOTE,
            ON_GPU,
            Tools(podman="podman 5"),
            "podman run -it --rm --device nvidia.com/gpu=all --shm-size=1g ghcr.io/x/one@sha256:d python",
        ),
        (
            REMOTE,
            ON_GPU,
            Tools(podman="podman 5", apptainer="apptainer 1.4.1"),
            "apptainer exec --nv docker://ghcr.io/x/one@sha256:d python",
        ),
        (
            REMOTE,
            ON_CPU,
            Tools(apptainer="singularity 3.8"),
            "singularity exec docker://ghcr.io/x/one@sha256:d python",
        ),
        (REMOTE, ON_GPU, Tools(), "docker run -it --rm --gpus all --shm-size=1g ghcr.io/x/one@sha256:d python"),
    ],
)
def test_the_command(image: ImageFacts, verdict: Verdict, tools: Tools, command: str | None) -> None:
    assert doctor.command(image, verdict, tools) == command


def test_the_tools_are_those_of_the_engine_that_is_used() -> None:
    assert around().tools() == Tools(("docker",))
    embedded = around(engine=Status(None, (), True, True, "embedded", "cdi"), podman="podman 5").tools()
    assert embedded.docker is not None
    assert embedded.docker[0].startswith("DOCKER_HOST=unix:///run/assay-")
    assert (embedded.gpu_access, embedded.podman) == ("cdi", "podman 5")
    assert around(engine=NO_ENGINE).tools().docker is None


# ---- the answer -----------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two certificates, on a machine with an H100 and an older driver."""
    keep(tmp_path / "certificates", statement("new"), "new/cpu")
    keep(tmp_path / "certificates", statement("old", cudart="12.9"), "old/cpu")
    data = json.loads((tmp_path / "certificates/old/cpu.json").read_text())
    data["predicate"]["plan"]["labels"]["cuda"] = "12.9"
    keep(tmp_path / "certificates", data, "old/cpu")
    driver = dataclasses.replace(WITH_GPU, driver="550.54.14")
    monkeypatch.setattr(Surroundings, "here", classmethod(lambda cls: around(nvidia=driver)))
    return tmp_path


def test_the_answer_for_this_machine(place: Path) -> None:
    answer = doctor.diagnose(gathered(place))
    assert [(row.image.image, row.verdict.runs) for row in answer.rows] == [("old", "gpu"), ("new", "cpu")]
    assert answer.here
    assert {one.id for one in answer.findings} >= {"driver", "gpu", "engine", "gpu-access", "shm", "disk"}
    doctor.require_usable(answer)


def test_the_answer_for_another_machine_looks_at_nothing_here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Surroundings, "here")
    answer = doctor.diagnose(gathered(place), doctor.another("580.65.06", ["9.0"]))
    assert [(row.image.image, row.verdict.runs) for row in answer.rows] == [("new", "gpu"), ("old", "gpu")]
    assert not answer.findings
    assert not answer.here
    assert "--gpus all" in str(answer.rows[0].command)


def test_the_json(place: Path) -> None:
    data = json.loads(json.dumps(doctor.as_json(doctor.diagnose(gathered(place)))))
    assert data["schema"] == 1
    assert data["machine"] == {
        "here": True,
        "architecture": "amd64",
        "driver": "550.54.14",
        "serves": "CUDA up to 12.x",
        "gpus": [{"name": H100.name, "compute_capability": "9.0", "memory_bytes": 80 * GIB}],
    }
    assert data["unusable"] == []
    assert set(data["findings"][0]) == {"id", "state", "message", "remedy"}
    first = data["images"][0]
    assert first["image"] == "old"
    assert first["runs"] == "gpu"
    assert first["cuda"] == "12.9"
    assert first["served"] == {"wholly": ["8.0", "9.0"], "partly": ["7.5"]}
    assert first["levels"] == {"cpu": "E2"}
    assert first["command"].startswith("docker run ")
    assert any("minor-version compatibility" in note for note in first["notes"])


def test_a_certificate_of_no_use_is_exit_5_after_the_answer(place: Path) -> None:
    keep(place / "certificates", "{", "bad/cpu")
    answer = doctor.diagnose(gathered(place))
    assert len(answer.rows) == 2
    assert doctor.as_json(answer)["unusable"][0]["certificate"] == "certificates/bad/cpu.json"
    with pytest.raises(VerificationFailed, match=r"certificates/bad/cpu\.json says nothing"):
        doctor.require_usable(answer)


def test_no_certificates_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no certificates"):
        gathered(tmp_path)


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_person_sees(place: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    target = io.StringIO()
    monkeypatch.setattr(view, "out", Console(file=target, force_terminal=terminal, width=200, soft_wrap=True))
    keep(place / "certificates", statement("evil", framework="x\x1b[2Jy"), "evil/cpu")
    view.show_diagnosis(doctor.diagnose(gathered(place)))
    text = target.getvalue()
    assert ("\x1b[" in text) == terminal
    assert "\x1b[2J" not in text
    for words in ("550.54.14 serves CUDA up to 12.x", "nvidia-ctk cdi generate", "on the GPU", "on the CPU"):
        assert words in text
    assert "needs driver 580 or later" in text
    assert "docker run -it --rm --gpus all --shm-size=1g REGISTRY/old@sha256:" in text


def test_what_this_assay_came_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout that it is installed from, or the folder in the wheel."""
    assert paths.release() == ROOT
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "assay/paths.py"))
    (tmp_path / "assay/release").mkdir(parents=True)
    assert paths.release() == tmp_path / "assay/release"
