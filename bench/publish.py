"""What publishing and verifying cost, on a registry on loopback. In a checkout whose images are built and certified:
.venv/bin/python bench/publish.py

Prints per image: seconds to publish and bytes sent, the same again with nothing changed, seconds to verify (also with
every layer read), and what pulling it costs, alone and where another image on its CUDA stack is already there. Then
`docker push` sends the same images to a registry of its own, and the seconds of both are compared. (bench/push.py
does that without images, for so many connections.) Each registry and its content are in a temporary folder, which
takes as much room as all images compressed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from assay import catalog, engine
from assay.catalog import read_images
from assay.catalog.built import PREFIX
from tests import registries
from tests.registries import Registry

ASSAY = str(Path(sys.executable).parent / "assay")
PASSWORD = {"ASSAY_PASSWORD": "of the benchmark"}


def assay(root: Path, *arguments: str) -> tuple[Any, float]:
    """What the command says with ``--json``, and its seconds."""
    started = time.monotonic()
    argv = [ASSAY, *arguments, "--json"]
    done = subprocess.run(argv, cwd=root, env={**os.environ, **PASSWORD}, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout), time.monotonic() - started


def pulls(root: Path) -> dict[str, str]:
    """What pulling each image costs, alone and where the first other one on its parent is there already."""
    built, rows = read_images(root).images, {}
    known = [image for image in catalog.load(root).frameworks() if image.name in built]
    for image in known:
        layers = dict(built[image.name].layers)
        rows[image.name] = f"{sum(layers.values()) / 1e6:.0f} MB"
        for other in [one.name for one in known if one.parent == image.parent and one != image][:1]:
            left = sum(size for digest, size in layers.items() if digest not in dict(built[other].layers))
            rows[image.name] += f", after {other} {left / 1e6:.0f} MB"
    return rows


def docker_pushes(names: list[str], registry: Registry) -> float:
    """The seconds of a ``docker push`` of each image, one after the other."""
    seconds = 0.0
    with engine.find() as local:
        for name in names:
            target = f"{registry.host}/team/{name}:latest"
            local.tag(f"{PREFIX}/{name}:latest", target)
            started = time.monotonic()
            argv = ["docker", "push", "--quiet", target]
            subprocess.run(argv, env=local.environment, check=True, stdout=subprocess.DEVNULL)
            seconds += time.monotonic() - started
            local.remove(target)
    return seconds


def measure(root: Path, registry: Registry, key: Path) -> list[dict[str, Any]]:
    """Publish twice, verify twice, and print; returns what was published."""
    publish = ("publish", "--registry", registry.host, "--key", str(key))
    first, seconds = assay(root, *publish)
    again, seconds_again = assay(root, *publish)
    costs = pulls(root)
    for one, two in zip(first, again, strict=True):
        verify = ("verify", one["reference"], "--key", str(key.with_suffix(".pub")))
        quick, whole = assay(root, *verify)[1], assay(root, *verify, "--layers")[1]
        print(
            f"{one['image']}: published in {one['seconds']:.1f} s, {one['bytes_sent'] / 1e6:.0f} MB sent; again in "
            f"{two['seconds']:.1f} s, {two['bytes_sent']} bytes; verified in {quick:.1f} s, with every layer in "
            f"{whole:.1f} s; to pull: {costs[one['image']]}"
        )
    sent = sum(one["bytes_sent"] for one in first)
    print(f"all: published in {seconds:.0f} s, {sent / 1e9:.2f} GB sent; again in {seconds_again:.0f} s")
    return list(first)


def main() -> None:
    """A registry and a key of its own, for as long as it takes."""
    root = Path.cwd()
    with tempfile.TemporaryDirectory(dir=root / "build") as folder:
        key = Path(folder, "bench.key")
        argv = [ASSAY, "keygen", "--out", str(key.with_suffix(""))]
        subprocess.run(argv, env={**os.environ, **PASSWORD}, check=True, stdout=subprocess.DEVNULL)
        program = registries.programs() / "docker-registry"
        with Registry(program, Path(folder)) as registry:
            done = measure(root, registry, key)
    with tempfile.TemporaryDirectory(dir=root / "build") as folder, Registry(program, Path(folder)) as registry:
        ours, theirs = sum(one["seconds"] for one in done), docker_pushes([one["image"] for one in done], registry)
        print(f"docker push of the same: {theirs:.1f} s; ours, with what is attached, is {ours / theirs:.2f} of that")


if __name__ == "__main__":
    main()
