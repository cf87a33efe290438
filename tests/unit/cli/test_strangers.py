"""What strangers say is shown, and not obeyed: in each field of a report, a certificate, a manifest and a header, and
in each file's name, by the commands that print it.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from assay import engine, publish, reproduce
from assay.certificate import Suites
from assay.engine import RunResult
from assay.host.tars import differences, entries
from assay.registry import OCI_MANIFEST, Repository, connection, digest_of
from assay.reproduce.differences import LayerDifference
from tests import published
from tests.fake_registry import Answer, FakeRegistry
from tests.unit.certify.made import Place
from tests.unit.cli.ran import Found, Ran

FORGED = "  holds: forged, E4"
# What a terminal obeys (C0, C1, DEL), what turns letters around or hides them, line ends, and rich's markup.
IN_NAMES = (
    f"\x1bc\x1b[2J\x1b]0;t\x07\x9b31m\x85\r\n{FORGED}\n\t\u202e\u2066\u2028\u200b\x7f[/x][red][link=http:;evil]y"
)
HOSTILE = f"\0{IN_NAMES}[link=http://evil.test]"
IN_HEADERS = "\x1bc\x1b[2J\x07\x9b31m\x7f\xad[/x][red][link=http://evil.test]y"

Run = Callable[..., Ran]


def harmless(text: str) -> None:
    """Every character of it is seen, and no line is one that a stranger wrote."""
    lines = text.split("\n")
    assert all(line.isprintable() for line in lines), text
    assert not any(line.startswith(FORGED) for line in lines), text


def tame(ran: Ran) -> Ran:
    harmless(ran.out)
    harmless(ran.err)
    assert ran.code in range(7)
    return ran


def fields(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each text and number; of a list the first, and of a table of names the first two."""
    if isinstance(data, dict):
        table = len(data) > 24
        for name in list(data)[: 2 if table else None]:
            yield from fields(data[name], (*path, name))
    elif isinstance(data, list):
        for number in range(min(len(data), 1)):
            yield from fields(data[number], (*path, number))
    else:
        yield path


def edits(data: Any) -> Iterator[Any]:
    """The data with a stranger's text in place of one value, of one name in each table, and in all texts at once."""
    renamed = set()
    for way in fields(data):
        changed = copy.deepcopy(data)
        inner = changed
        for step in way[:-1]:
            inner = inner[step]
        inner[way[-1]] = HOSTILE
        yield changed
        if isinstance(inner, dict) and way[:-1] not in renamed:
            renamed.add(way[:-1])
            changed = copy.deepcopy(changed)
            inner = changed
            for step in way[:-1]:
                inner = inner[step]
            del inner[way[-1]]
            inner[HOSTILE] = "x"
            yield changed
    yield everywhere(data)


def everywhere(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: everywhere(value) for name, value in data.items()}
    if isinstance(data, list):
        return [everywhere(value) for value in data]
    return data + HOSTILE if isinstance(data, str) else data


# ---- a registry


class Asked:
    """An image in a registry, and the commands that read it from there."""

    def __init__(self, run: Run, fake: FakeRegistry, key: Path) -> None:
        self.run, self.fake, self.key = run, fake, key
        self.made = published.fresh()
        published.put(fake.host, self.made)
        self.blobs, self.manifests = dict(fake.blobs), dict(fake.manifests)
        self.place = f"team/{published.name()}"

    def reset(self) -> None:
        """Nothing is there but the image."""
        self.fake.hook = lambda method, path: None
        self.fake.blobs = dict(self.blobs)
        self.fake.manifests = {name: value for name, value in self.manifests.items() if b'"subject"' not in value[1]}

    def answers(self, *commands: str) -> None:
        for command in commands:
            tame(self.run(command, str(published.reference(self.fake.host)), "--key", str(self.key)))

    def attach(self, statement: dict[str, Any]) -> None:
        with Repository(published.reference(self.fake.host), pause=0.001) as there:
            publish.attach(there, self.made.manifest, statement, published.key())

    def point(self, manifest: Any, media_type: str = OCI_MANIFEST) -> None:
        """Let the tag point to any manifest."""
        self.fake.manifests[self.place, published.TAG] = (media_type, json.dumps(manifest).encode())


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is asked for again at once, and the suites of each folder are read once."""
    monkeypatch.setattr(Suites, "read", functools.cache(Suites.read))
    session = connection._session
    monkeypatch.setattr(connection, "_session", lambda pause: session(0.001))


@pytest.fixture
def asked(assay_: Run, fake: FakeRegistry, tmp_path: Path) -> Asked:
    (tmp_path / "key.pub").write_bytes(published.key().public.pem())
    return Asked(assay_, fake, tmp_path / "key.pub")


PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_of_a_certificate(asked: Asked, part: int) -> None:
    """Whoever has the key signs it."""
    several = list(edits(asked.made.certificate))[part::PARTS]
    assert len(several) > 10
    for statement in several:
        asked.reset()
        asked.attach(statement)
        asked.answers("verify")
    asked.answers("doctor")


@pytest.mark.parametrize("which", [1, 2, 3], ids=["result", "provenance", "sbom"])
def test_of_other_statements(asked: Asked, which: int) -> None:
    for changed in edits(asked.made.statements()[which]):
        asked.reset()
        asked.attach(changed)
        asked.answers("verify")


def test_of_a_manifest_and_a_configuration(asked: Asked) -> None:
    manifest = {**json.loads(asked.made.manifest.data), "annotations": {"a": "b"}, "artifactType": "a"}
    for changed in edits(manifest):
        asked.reset()
        asked.point(changed)
        asked.answers("verify")
    config = json.loads(asked.made.blobs[manifest["config"]["digest"]])
    for changed in edits(config):
        asked.reset()
        data = json.dumps(changed).encode()
        asked.fake.blobs[asked.place, digest_of(data)] = data
        asked.point({**manifest, "config": {**manifest["config"], "digest": digest_of(data), "size": len(data)}})
        asked.answers("verify")


def test_of_what_is_attached(asked: Asked) -> None:
    ((_, listed),) = [
        value for (_, name), value in asked.manifests.items() if b"certificate:v1" in value[1] and ":" in name
    ]
    for changed in edits(json.loads(listed)):
        asked.reset()
        data = json.dumps({**changed, "subject": json.loads(listed)["subject"]}).encode()
        asked.fake.manifests[asked.place, digest_of(data)] = (OCI_MANIFEST, data)
        asked.answers("verify")
    index = {"schemaVersion": 2, "manifests": [{"mediaType": OCI_MANIFEST, "digest": asked.made.digest, "size": 1}]}
    for changed in edits(index):
        asked.reset()
        asked.fake.always("GET", "/referrers/", Answer(200, body=json.dumps(changed).encode()))
        asked.answers("verify")


@dataclass(frozen=True)
class Header:
    """A header that a registry sends with a status, by what it answers: {} is what a stranger says."""

    path: str
    status: int
    name: str
    value: str

    def hook(self, fake: FakeRegistry) -> Callable[[str, str], Answer | None]:
        value = self.value.replace("HOST", fake.host).replace("{}", IN_HEADERS)
        headers = {self.name.replace("{}", IN_HEADERS): value, "Connection": "close"}
        said = Answer(self.status, headers, b'{"manifests": []}')
        challenge = Answer(401, {"WWW-Authenticate": f'Bearer realm="http://{fake.host}/token"'})

        def answer(method: str, path: str) -> Answer | None:
            if self.path in path:
                return said
            return challenge if self.path == "/token" else None

        return answer


HEADERS = [
    *(
        Header("/manifests/", 401, "WWW-Authenticate", value)
        for value in ("{}", "{} realm=x", 'Basic realm="{}"', 'Bearer realm="{}"', 'Bearer realm="https://{}/"')
    ),
    Header("/manifests/", 401, "WWW-Authenticate", 'Bearer realm="http://HOST/token",service="{}",scope="{}"'),
    *(Header("/blobs/", 307, "Location", value) for value in ("{}", "https://{}/x", "//{}", "/{}")),
    Header("/manifests/", 307, "Location", "https://{}/x"),
    Header("/token", 307, "Location", "https://{}/x"),
    *(Header("/referrers/", 200, "Link", value) for value in ('<{}>; rel="next"', "<https://{}>; rel=next", "{}")),
    Header("/manifests/", 200, "Content-Type", "{}"),
    Header("/manifests/", 503, "Retry-After", "{}"),
    *(
        Header(path, 200, name, "{}")
        for path in ("/manifests/", "/token")
        for name in ("Content-Encoding", "Transfer-Encoding", "Docker-Content-Digest", "{}")
    ),
]


def test_of_a_header(asked: Asked) -> None:
    for header in HEADERS:
        asked.fake.hook = header.hook(asked.fake)
        asked.answers("verify")


BODIES = [
    {"errors": [{"message": HOSTILE}]},
    {"errors": [{"code": HOSTILE}]},
    {"errors": [{"message": {HOSTILE: HOSTILE}}]},
    {"token": HOSTILE},
    {HOSTILE: HOSTILE},
    HOSTILE,
]


@pytest.mark.parametrize("status", [200, 400])
def test_of_a_body_and_a_status_line(asked: Asked, status: int) -> None:
    for body in [*(json.dumps(one).encode() for one in BODIES), HOSTILE.encode()]:
        asked.fake.always("GET", ".", Answer(status, body=body, reason=IN_HEADERS))
        asked.answers("verify")


# ---- an image


def test_of_a_report(assay_: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    monkeypatch.chdir(place.root)
    monkeypatch.setattr(engine, "find", lambda tell=None: contextlib.nullcontext(place.engine))
    asked = ("smoke", "plain", "--again", "--junit", "junit.xml")
    place.engine.on_run["plain"] = lambda folder: (
        (tmp_path / "known").write_bytes((folder / "report.json").read_bytes()) and None
    )  # type: ignore[func-returns-value]
    assert tame(assay_(*asked)).code == 0
    for report in edits(json.loads((tmp_path / "known").read_text())):
        data = json.dumps(report).encode()
        place.engine.on_run["plain"] = lambda folder, data=data: (  # type: ignore[misc]
            (folder / "report.json").write_bytes(data) and None
        )
        tame(assay_(*asked))
        for element in ElementTree.parse("junit.xml").iter():
            for text in element.attrib.values():
                harmless(text)


@pytest.mark.parametrize("how", [{}, {"timed_out": True}, {"out_of_memory": True}])
def test_of_a_containers_output(
    assay_: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: dict[str, bool]
) -> None:
    place = Place(tmp_path / "place")
    monkeypatch.chdir(place.root)
    monkeypatch.setattr(engine, "find", lambda tell=None: contextlib.nullcontext(place.engine))
    known = {"out_of_memory": False, "timed_out": False, **how}
    place.engine.on_run["plain"] = lambda folder: RunResult(1, output=f"one\n\r{HOSTILE}", seconds=1.0, **known)
    assert tame(assay_("smoke", "plain")).code == 1
    log = (place.root / "build/reports/plain/cpu.log").read_text()
    assert log.startswith("one\n\\r")
    assert all(line.isprintable() for line in log.split("\n")), "whoever prints it sees what it says"


# ---- names of files


def tar(*names: str) -> Iterator[bytes]:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.linkname, member.type, member.uname = HOSTILE[1:], tarfile.SYMTYPE, IN_NAMES
            archive.addfile(member)
    yield data.getvalue()


def test_of_the_files_in_a_layer(assay_: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_bytes(published.key().public.pem())
    found = differences(entries(tar(IN_NAMES, f"a/{IN_NAMES}", "b")), entries(tar("b", f"c{IN_NAMES}")))
    assert len(found) == 3
    layer = LayerDifference(1, "sha256:1", "sha256:2", len(found), tuple(found))
    told = reproduce.Rebuilt("r.example/x", "x", "0" * 40, "sha256:1", "sha256:2", (layer,), (HOSTILE,))
    monkeypatch.setattr(reproduce, "rebuild", lambda *a, **k: told)
    monkeypatch.setattr(engine, "find", lambda tell=None: Found())
    ran = tame(assay_("rebuild", "r.example/x", "--key", str(tmp_path / "key.pub")))
    assert r"\x1bc\x1b[2J" in ran.out


def named(folder: str) -> Path:
    path = Path(folder) / IN_NAMES[:100].replace("/", "")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def a_certificate(folder: str) -> Callable[[], None]:
    return lambda: named(folder).with_name(f"{named(folder).name}.json").write_text("{}") and None  # type: ignore


def an_image() -> None:
    named("images").mkdir()
    (named("images") / "image.toml").write_text("[image]\nsummary = 1\n")


def a_file_in_an_image() -> None:
    toml = Path("images/torchy/image.toml")
    toml.write_text(toml.read_text() + f"\n[{json.dumps(IN_NAMES)}]\n{json.dumps(IN_NAMES)} = 1\n")


NAME = IN_NAMES[:100].replace("/", "")


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (["verify", "r.example/x", "--key", NAME], None),
        (["verify", NAME, "--key", "k"], None),
        (["doctor", NAME, "--key", NAME], None),
        (["doctor", "--driver", NAME, "--compute-capability", NAME], None),
        (["publish", "--registry", NAME, "--key", NAME], None),
        (["publish", "--registry", "r.example", "--key", "k"], a_certificate("build/certificates/torchy")),
        (["keygen", "--out", NAME], None),
        (["keygen", "--out", f"{NAME}/{NAME}"], None),
        (["smoke", "--junit", f"{NAME}/x"], None),
        (["smoke", "--memory", NAME], None),
        (["smoke", NAME], None),
        ([NAME], None),
        (["build", NAME], None),
        (["build", f"--{NAME}"], None),
        (["plan", NAME], None),
        (["table"], a_certificate("certificates/torchy")),
        (["doctor"], a_certificate("certificates/torchy")),
        (["images"], an_image),
        (["build"], an_image),
        (["images"], a_file_in_an_image),
        (["lock"], a_file_in_an_image),
    ],
)
def test_of_a_files_name_and_an_argument(
    assay_: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], made: Callable[[], None] | None
) -> None:
    monkeypatch.setenv("ASSAY_PASSWORD", "a password")
    if made:
        made()
    tame(assay_(*arguments))


def test_of_what_docker_knows(assay_: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_bytes(published.key().public.pem())
    folder = tmp_path / NAME
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    for config in ("{", json.dumps({"credsStore": HOSTILE})):
        (folder / "config.json").write_text(config)
        tame(assay_("verify", "127.0.0.1:1/x", "--key", str(tmp_path / "key.pub")))
