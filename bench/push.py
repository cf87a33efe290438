"""How fast an image goes to a registry: our client with so many connections, and ``docker push``, turn by turn.

.venv/bin/python bench/push.py [--layers 4] [--megabytes 250] [--turns 3] [--at-once 1 2 4 8]

The image is made for it, of layers that do not compress, and the registry is Debian's docker-registry on loopback,
empty each time. Prints the seconds of every turn, and for each number of connections the median of its ratios to the
docker push of the same turn. The engine is the one that `assay` uses; DOCKER_HOST with ASSAY_ENGINE=system makes it
hand over the image as a system's engine does.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from assay import engine
from assay.engine import Engine
from assay.publish.layers import send
from assay.registry import OCI_INDEX, OCI_MANIFEST, Descriptor, Reference, Repository, Told
from tests import registries
from tests.registries import Registry

NAME = "assay-bench/push:latest"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def add(archive: tarfile.TarFile, path: str, data: bytes) -> None:
    """Add a file to a tar."""
    member = tarfile.TarInfo(path)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def blob(archive: tarfile.TarFile, data: bytes, media_type: str) -> dict[str, Any]:
    """Add a blob to an OCI layout; returns its descriptor."""
    name = hashlib.sha256(data).hexdigest()
    add(archive, f"blobs/sha256/{name}", data)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}


def layer(number: int, megabytes: int) -> bytes:
    """A layer with one file of random bytes."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        add(archive, f"file{number}", os.urandom(megabytes * 10**6))
    return target.getvalue()


def make(local: Engine, layers: int, megabytes: int, folder: Path) -> list[Descriptor]:
    """Load an image into the engine; returns its blobs."""
    path = folder / "image.tar"
    with tarfile.open(path, "w") as layout:
        made = [blob(layout, layer(number, megabytes), LAYER) for number in range(layers)]
        rootfs = {"type": "layers", "diff_ids": [one["digest"] for one in made]}
        config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
        blobs = [*made, blob(layout, json.dumps(config).encode(), CONFIG)]
        content = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": blobs[-1], "layers": made}
        manifest = blob(layout, json.dumps(content).encode(), OCI_MANIFEST)
        manifest["annotations"] = {"io.containerd.image.name": f"docker.io/{NAME}"}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [manifest]}
        add(layout, "index.json", json.dumps(index).encode())
        add(layout, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    docker(local, "load", "--quiet", "--input", str(path))
    path.unlink()
    return [Descriptor(one["mediaType"], one["digest"], one["size"]) for one in blobs]


def docker(local: Engine, *arguments: str) -> None:
    """Run the docker command of the engine."""
    subprocess.run(["docker", *arguments], env=local.environment, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def empty(program: Path, folder: Path) -> Iterator[Registry]:
    """A registry that has nothing."""
    with tempfile.TemporaryDirectory(dir=folder) as name, Registry(program, Path(name)) as registry:
        yield registry


def docker_push(local: Engine, registry: Registry) -> float:
    """The seconds of a ``docker push``."""
    name = f"{registry.host}/bench/push:latest"
    docker(local, "tag", NAME, name)
    started = time.monotonic()
    docker(local, "push", "--quiet", name)
    seconds = time.monotonic() - started
    docker(local, "rmi", name)
    return seconds


def our_push(local: Engine, registry: Registry, blobs: list[Descriptor], at_once: int) -> float:
    """The seconds of our own."""
    told = Told(lambda _digest, _count: None, lambda _digest: None)
    started = time.monotonic()
    with Repository(Reference.parse(f"{registry.host}/bench/push")) as repository:
        send(local, NAME, blobs, repository, told, at_once)
    return time.monotonic() - started


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("--layers", 4), ("--megabytes", 250), ("--turns", 3)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 4, 8])
    chosen = parser.parse_args()
    program = registries.programs() / "docker-registry"
    with engine.find() as local, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blobs = make(local, chosen.layers, chosen.megabytes, folder)
        ways: dict[str, Callable[[Registry], float]] = {"docker push": lambda registry: docker_push(local, registry)}
        for count in chosen.at_once:
            ways[f"{count} at once"] = lambda registry, count=count: our_push(local, registry, blobs, count)
        ratios: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(chosen.turns):
            seconds = {}
            for way, run in ways.items():
                with empty(program, folder) as registry:
                    seconds[way] = run(registry)
                ratios[way].append(seconds[way] / seconds["docker push"])
            print("; ".join(f"{way} {took:.1f} s" for way, took in seconds.items()), flush=True)
        local.remove(NAME)
    total = sum(blob.size for blob in blobs) / 1e6
    print(
        f"{total:.0f} MB in {chosen.layers} layers, {local.description}: "
        + "; ".join(f"{way} {statistics.median(found):.2f}" for way, found in ratios.items())
    )


if __name__ == "__main__":
    main()
