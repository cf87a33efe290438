"""What publishing and verifying cost, on a registry on loopback. In a checkout whose images are built and certified:
.venv/bin/python bench/publish.py

Prints per image: seconds to publish and bytes sent, the same again with nothing changed, seconds to verify (also with
every layer read), and what pulling it costs, alone and where another image on its CUDA stack is already there.
The registry and its content are in a temporary folder, which takes as much room as all images compressed.
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

from assay import catalog
from assay.catalog import read_images
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


def measure(root: Path, registry: Registry, key: Path) -> None:
    """Publish twice, verify twice, and print."""
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


def main() -> None:
    """A registry and a key of its own, for as long as it takes."""
    root = Path.cwd()
    with tempfile.TemporaryDirectory(dir=root / "build") as folder:
        key = Path(folder, "bench.key")
        argv = [ASSAY, "keygen", "--out", str(key.with_suffix(""))]
        subprocess.run(argv, env={**os.environ, **PASSWORD}, check=True, stdout=subprocess.DEVNULL)
        with Registry(registries.programs() / "docker-registry", Path(folder)) as registry:
            measure(root, registry, key)


if __name__ == "__main__":
    main()
