"""What building costs. In a checkout: .venv/bin/python bench/build.py [--cold] [--short] [--image NAME]

Prints one table: no-op build, build after one changed pin, a framework's image against a plain `docker build` of the
obvious Dockerfile (same base, `pip install` of the same lock, same engine), sizes, and what drifted. `--cold` empties
the engine's build cache and removes all images of this checkout first: the cold build of everything, as
`make build-all` does it, and the peak of the disk meanwhile, beside its estimate; with `--certified` that of
`make smoke` too. `--short` leaves out changed pin and plain build.
Nothing of the checkout is changed; the changed pin is made in a copy.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from assay import build, catalog, engine, rootfs
from assay.build.limits import peak_gb
from assay.catalog import Catalog, Image, drifts, read_images
from assay.catalog.built import repository, tag
from assay.cli.console import say_table, size
from assay.cli.progress import BuildView
from assay.engine import Engine
from assay.host import network

ASSAY = str(Path(sys.executable).parent / "assay")
# What most people would write, on the same base and lock; the mounts only hand over this host's index and CA.
PLAIN = """
ARG PARENT
FROM ${PARENT}
COPY requirements.lock /requirements.lock
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
RUN --mount=type=secret,id=network --mount=type=secret,id=ca \\
    if [ -s /run/secrets/network ]; then \\
      set -a; . /run/secrets/network; export PIP_INDEX_URL="$UV_DEFAULT_INDEX"; fi; \\
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \\
    python3 -m venv /opt/env && /opt/env/bin/pip install --no-cache-dir -r /requirements.lock
"""


class Peak:
    """The most that a disk was filled, above what it was at first, in bytes."""

    def __init__(self, folder: Path, first: int | None = None) -> None:
        self.folder, self.first, self.most = folder, shutil.disk_usage(folder).used if first is None else first, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(1):
            self.most = max(self.most, shutil.disk_usage(self.folder).used - self.first)


@contextlib.contextmanager
def timed(rows: list[tuple[str, str]], what: str) -> Iterator[None]:
    """Append the seconds that the body takes."""
    started = time.monotonic()
    yield
    rows.append((what, f"{time.monotonic() - started:.1f} s"))
    print(f"{rows[-1][0]}: {rows[-1][1]}", file=sys.stderr, flush=True)


def run(root: Path, *arguments: str) -> None:
    """Run the command as a person would."""
    subprocess.run([ASSAY, *arguments], cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def cold(root: Path, cat: Catalog, found: Engine, rows: list[tuple[str, str]], *, certified: bool) -> None:
    """Everything from nothing: no image, no build cache, no kept base."""
    for image in cat.images.values():
        for name in found.tags(repository(image.name)):
            found.remove(name)
    found.prune_build_cache()
    shutil.rmtree(rootfs.kept_copy("").parent, ignore_errors=True)
    (root / "build/images.json").unlink(missing_ok=True)
    estimate = peak_gb(cat.order([]), {}, pack=True)
    with Peak(found.data_root()) as peak, timed(rows, "cold build of every image"):
        run(root, "build", "--pack")
    rows.append(("disk at its peak, above what it was", f"{size(peak.most)} (estimated: {estimate:.1f} GB)"))
    if certified:
        with Peak(found.data_root(), peak.first) as later, timed(rows, "certification of every image"):
            run(root, "smoke", "--pack", "--again")
        rows.append(("disk at its peak while certified, above what it was before the build", size(later.most)))


def changed_pin(root: Path, image: Image, rows: list[tuple[str, str]]) -> None:
    """Build after a requirement was added that the lock did not have: the image's own layers, not its stack's."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for folder in ("images", "smoke", "build"):
            shutil.copytree(root / folder, copy / folder)
        (copy / "images" / image.name / "requirements.in").open("a").write("toolz\n")
        run(copy, "lock", image.name)
        with timed(rows, f"{image.name}, one pin changed"):
            run(copy, "build", image.name)
    run(root, "build", image.name)


def against_plain(cat: Catalog, found: Engine, image: Image, rows: list[tuple[str, str]]) -> None:
    """The image and its stack without any cache, then the obvious Dockerfile on the same base."""
    bottom = cat.ancestors(image)[-1]
    parent = tag(bottom.name, "latest")
    with BuildView() as watching, timed(rows, f"{image.name} and its stack, no cache"):
        options = build.Options(no_cache=True, suffix="-bench", keep_base=True)
        build.build(cat, found, [image.name], watching, options)
    for other in (image, *cat.ancestors(image)):
        for name in found.tags(repository(other.name, "-bench")):
            found.remove(name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Dockerfile").write_text(PLAIN)
        shutil.copy(image.folder / "requirements.lock", folder)
        argv = [
            "docker",
            "buildx",
            "build",
            "--builder",
            "default",
            "--network",
            "host",
            "--no-cache",
            "--load",
            "--provenance=false",
        ]
        argv += ["--tag", "assay-bench/plain:latest", "--build-arg", f"PARENT={parent}"]
        for key, path in network.secrets(folder).items():
            argv += ["--secret", f"id={key},src={path}"]
        with timed(rows, f"{image.name}, plain docker build with pip"):
            subprocess.run([*argv, str(folder)], env=found.environment, check=True, capture_output=True)
    facts = found.image("assay-bench/plain:latest")
    if facts:
        rows.append((f"{image.name}, plain: compressed", size(facts.compressed_bytes)))
    found.remove("assay-bench/plain:latest")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cold", action="store_true", help="build everything from nothing first")
    parser.add_argument("--certified", action="store_true", help="with --cold: certify everything too")
    parser.add_argument("--short", action="store_true", help="no changed pin, no plain build")
    parser.add_argument("--image", help="the image to hold against a plain build (default: the first)")
    options = parser.parse_args()
    root = Path.cwd()
    cat = catalog.load(root)
    image = cat.get(options.image) if options.image else cat.frameworks()[0]
    rows: list[tuple[str, str]] = []
    with engine.find() as found:
        if options.cold:
            cold(root, cat, found, rows, certified=options.certified)
        run(root, "build", "--pack")
        with timed(rows, "nothing changed"):
            run(root, "build", "--pack")
        if not options.short:
            against_plain(cat, found, image, rows)
            changed_pin(root, cat.frameworks()[-1], rows)
    for name, built in read_images(root).images.items():
        sizes = f"{size(built.compressed_bytes)} compressed, {size(built.uncompressed_bytes)} on disk"
        rows.append((name, f"{sizes}, {built.seconds:.0f} s"))
    drifted = drifts(read_images(root).images)
    rows += [(f"{name}, drifted", str(drift)) for name, drift in drifted.items()] or [("drifted", "nothing")]
    say_table(("what", "measured"), rows)


if __name__ == "__main__":
    main()
