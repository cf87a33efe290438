"""What is pulled after a bump. In a checkout with built images: .venv/bin/python bench/bumps.py [--build] [NAME]...

A bump of a package makes new one layer of the image whose own lock has it (that of `layers.first` in its image.toml,
or the one above that), and that of the suite in each image above, which names all packages. Whoever has the image of
before pulls these and no other. The table has for a package the images in which that is least and most, computed from
the sizes of the layers of today. With --build the least is measured too: the package is pinned to a version before in
a copy of the checkout, the image is built, and its layers are held against those of today; then the image of today is
built again. The name of a base stands for Debian: a security update makes one of its two layers new.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from assay import catalog
from assay.catalog import Built, Catalog, Image, read_images
from assay.catalog.inputs import SUITE_LAYERS
from assay.cli.console import say_table, size

ASSAY = str(Path(sys.executable).parent / "assay")
# Ten of the kind that come every week; each is looked for in the images that are built.
USUAL = (
    "torch",
    "torchvision",
    "jax",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "numpy",
    "setuptools",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
)


def own_layers(built: dict[str, Built], image: Image) -> tuple[tuple[str, int], ...]:
    """The layers of an image above those of its parent, with their compressed sizes."""
    below = {digest for digest, _ in built[image.parent].layers} if image.parent else set()
    return tuple(layer for layer in built[image.name].layers if layer[0] not in below)


def owner_of(cat: Catalog, image: Image, package: str) -> Image | None:
    """The lowest image of a chain whose lock has the package: it installs it, and the locks above contain that."""
    with_it = [member for member in (image, *cat.ancestors(image)) if package in (member.pins or {})]
    return with_it[-1] if with_it else None


def computed(built: dict[str, Built], image: Image, owner: Image, package: str) -> int:
    """The bytes that whoever has the image of today pulls, if a package that ``owner`` installs becomes another."""
    own = own_layers(built, owner)
    if package in owner.first:
        own = own[:1]
    elif owner.first:
        own = own[1:]
    of_suite = own_layers(built, image)[-SUITE_LAYERS:] if image.framework else ()
    return sum(dict((*own, *of_suite)).values())


def measured(root: Path, owner: Image, image: Image, package: str) -> int | None:
    """The same by building; None where no version before fits what else is asked for."""
    pins = owner.pins or {}
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for folder in ("images", "smoke", "build"):
            shutil.copytree(root / folder, copy / folder)
        asked = copy / "images" / owner.name / "requirements.in"
        exact = re.compile(rf"^({re.escape(package)}(?:\[[^\]]*\])?)==.*$", re.MULTILINE)
        text = exact.sub(rf"\1<{pins[package].version}", asked.read_text())
        asked.write_text(text if exact.search(asked.read_text()) else f"{text}{package}<{pins[package].version}\n")
        if not run(copy, "lock", owner.name):
            return None
        try:
            if not run(copy, "build", image.name):
                return None
            before = {digest for digest, _ in read_images(root).images[image.name].layers}
            after = read_images(copy).images[image.name].layers
        finally:
            run(root, "build", image.name)
    return sum({digest: count for digest, count in after if digest not in before}.values())


def run(root: Path, *arguments: str) -> bool:
    """Run the command as a person would; whether it ended well."""
    done = subprocess.run([ASSAY, *arguments], cwd=root, check=False, stdout=subprocess.DEVNULL)
    return done.returncode == 0


def main() -> None:
    """Compute or measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"(default: Debian and {', '.join(USUAL)})")
    parser.add_argument("--build", action="store_true", help="measure by building")
    options = parser.parse_args()
    root = Path.cwd()
    cat, built = catalog.load(root), read_images(root).images
    there = [image for image in cat.frameworks() if image.name in built]
    bases = sorted({cat.ancestors(image)[-1].name for image in there})
    rows = []
    for package in options.packages or (*bases, *USUAL):
        if package in bases:
            base = cat.get(package)
            costs = sorted(computed(built, base, base, of) for of in ("", *base.first[:1]))
            rows.append((f"Debian, {package}", *map(size, (costs[0], costs[-1])), ""))
            continue
        found = [(image, owner) for image in there if (owner := owner_of(cat, image, package))]
        found.sort(key=lambda pair: computed(built, *pair, package))
        if not found:
            rows.append((package, "no built image has it", "", ""))
            continue
        ends = [f"{size(computed(built, *pair, package))} ({pair[0].name})" for pair in (found[0], found[-1])]
        count = measured(root, found[0][1], found[0][0], package) if options.build else None
        told = (size(count) if count is not None else "no version before fits") if options.build else ""
        rows.append((package, *ends, told))
    say_table(("bump", "least", "most", "measured"), rows, right=("measured",))


if __name__ == "__main__":
    main()
