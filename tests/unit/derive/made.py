"""A certified base, images that stand on it, and an engine that only pretends."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from assay import certificate, derive
from assay.catalog import plan
from assay.catalog.load import load
from assay.certificate import Certificate, Suite, Suites, suite_files
from assay.certify import Options
from assay.derive import Certified
from assay.derive.image import PATH
from assay.engine import RunRequest, RunResult
from tests.unit.certificate import reports
from tests.unit.repository import repository

SITE = "opt/env/lib/python3.13/site-packages"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ENVIRONMENT = [f"PATH={PATH}", "HOME=/home/assay"]
# A file's content; a link begins with "-> ", None is a folder.
Files = Mapping[str, str | None]
NAME = "plain"


def layer(files: Files) -> bytes:
    """A layer's tar."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            data = (text or "").encode()
            if text is None:
                member.type, data = tarfile.DIRTYPE, b""
            elif text.startswith("-> "):
                member.type, member.linkname, data = tarfile.SYMTYPE, text.removeprefix("-> "), b""
            elif text.startswith("=> "):
                member.type, member.linkname, data = tarfile.LNKTYPE, text.removeprefix("=> "), b""
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def package(name: str, version: str, files: Files) -> dict[str, str | None]:
    """The files of a package that pip installed."""
    about = f"{SITE}/{name}-{version}.dist-info"
    listed = [path.removeprefix(f"{SITE}/") for path, text in files.items() if text is not None]
    record = "".join(f"{path},,\n" for path in [*listed, f"{name}-{version}.dist-info/METADATA"])
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nWhat it does.\n"
    return {**files, f"{about}/METADATA": metadata, f"{about}/RECORD": record}


EINOPS = package("Ein_ops", "0.8.1", {f"{SITE}/einops": None, f"{SITE}/einops/__init__.py": "x = 1\n"})


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Engine:
    """Does what `assay.engine.Engine` does for a derived image, without one."""

    description = "docker 28 (fake)"

    def __init__(self, known: Suite) -> None:
        self.known = known
        self.blobs: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        self.requests: list[RunRequest] = []
        self.seen: dict[str, str] = {}
        self.change: Callable[[dict[str, Any]], None] = lambda report: None
        self.added: dict[str, str] = {}

    def put(self, data: bytes) -> str:
        self.blobs[digest_of(data)] = data
        return digest_of(data)

    def put_json(self, data: object) -> str:
        return self.put(json.dumps(data).encode())

    def digest(self, name: str) -> str | None:
        return self.names.get(name)

    def manifest(self, digest: str, _reference: str) -> Any:
        return json.loads(self.blobs[digest])

    def content(self, _reference: str, digests: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        for digest in sorted(digests):  # docker save has an order of its own
            yield digest, io.BytesIO(self.blobs[digest])

    def gpu_access(self) -> str | None:
        return None

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        (suite,) = [path for path, place in request.given.items() if place == "/opt/assay"]
        self.seen = {
            path.relative_to(suite).as_posix(): path.read_text() for path in suite.rglob("*") if path.is_file()
        }
        (report,) = request.mounts
        given = json.loads((report.parent / "plan.json").read_text())
        data = reports.written(given, self.known)
        data["stack"]["added"] = self.added
        reports.metric(data, "static.packages", "added")["value"] = str(len(self.added))
        self.change(data)
        report.write_text(json.dumps(data))
        return RunResult(0, False, False, "last words\n", 1.0)


class Derivations:
    """A checkout whose image is certified, and what is derived from it."""

    def __init__(self, root: Path) -> None:
        self.root = repository(root)
        self.known = Suite.read(root)
        self.engine = Engine(self.known)
        self.suite = {
            f"opt/assay/smoke/{path.relative_to(root / 'smoke').as_posix()}": path.read_text()
            for path in suite_files.carried(root / "smoke", NAME)
        }
        self.base: list[Files] = [
            {
                "bin": "-> usr/bin",
                "usr/bin/python3": "python",
                "usr/bin/gcc": "gcc",
                "etc/passwd": "root",
                "var/log": "l",
            },
            {f"{SITE}/plain.py": "plain", f"{SITE}/deep/__init__.py": "", f"{SITE}/deep/er.py": "er"},
            {**self.suite, "opt/assay/bin/entrypoint": "#!/bin/sh", "opt/assay/plan.json": "{}"},
        ]
        self.certify_base()

    @property
    def suites(self) -> Suites:
        return Suites(self.known)

    @property
    def certificates(self) -> list[Certificate]:
        return derive.of_checkout(self.root, self.suites)

    def certify_base(self, **image: Any) -> None:
        """Write the certificate of the base."""
        self.plan = plan(load(self.root).get(NAME))
        tars = [layer(each) for each in self.base]
        facts = {"diffIDs": [digest_of(each) for each in tars], "digest": digest_of(b"the base"), **image}
        statement = reports.stated(reports.written(self.plan, self.known), self.known, **facts)
        certificate.write(self.root / f"build/certificates/{NAME}/cpu.json", statement)

    def labels(self) -> dict[str, str]:
        """What the labels of the base promise."""
        told = {f"assay.{name}": text for name, text in self.plan["labels"].items()}  # type: ignore[attr-defined]
        promised = {
            "framework": NAME,
            "workloads": "digits",
            "plan": certificate.plan_digest(self.plan),
            "suite": self.known.digest_of(NAME),
        }
        return {**told, **{f"assay.{name}": text for name, text in promised.items()}, "mine": "too"}

    def derived(self, *above: Files, name: str = "mine", base: int | None = None, **settings: Any) -> str:
        """Make an image of the base's layers and others; returns its name."""
        tars = [layer(each) for each in [*self.base[: len(self.base) if base is None else base], *above]]
        config = {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [digest_of(each) for each in tars]},
            "config": {
                "Entrypoint": ["/opt/assay/bin/entrypoint"],
                "Env": ENVIRONMENT,
                "User": "1000:1000",
                "Labels": self.labels(),
                **settings,
            },
        }
        layers = [{"mediaType": LAYER, "digest": self.engine.put(each), "size": len(each)} for each in tars]
        manifest = {"schemaVersion": 2, "config": {"digest": self.engine.put_json(config)}, "layers": layers}
        self.engine.names[name] = self.engine.put_json(manifest)
        return name

    def certify(self, name: str = "mine", device: str = "cpu") -> Certified:
        """Certify it."""
        engine: Any = self.engine
        how = (self.suites, Options(device=device))
        return derive.certify(self.root, engine, name, self.certificates, how, lambda _: None)
