"""The one list of the files that decide an image. Its key is a hash over them, and its certificate names each.

The two differ in one file: image.toml. A certificate names it; the key leaves it out, since what of it goes into an
image stands in its labels and plan. The smoke suite is not in the list: the key and the certificate add it to theirs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from assay.catalog.files import IMAGES, relative
from assay.catalog.image import Catalog, Image
from assay.catalog.platforms import PLATFORMS, without_platforms
from assay.catalog.support import without_support
from assay.errors import UsageError
from assay.host import files

# The stage of a framework's Dockerfile that holds what is installed, without the suite.
ENVIRONMENT = "environment"
# The layers that the last stage puts on it: the suite, and the working folder.
SUITE_LAYERS = 2
# The files of images/common/install that make an environment; suite.sh there makes the last stage.
INSTALLERS = ("env.sh", "lock.sh", "byte_compile.py", "split_lock.py")
WHEEL_INSTALLER = "wheels.sh"
SOURCE_INSTALLER = "sources.sh"
# What a lock was resolved from decides nothing, as the lock does; nor does what is for people.
_NO_INPUTS = ("image.toml", "requirements.in", "README.md")


def inputs(catalog: Catalog, image: Image) -> dict[str, str]:
    """Return the inputs of a certificate: SHA-256 by path in the repository.

    These are the files of a framework's image and of all that it stands on, and the image.toml of each, without what
    that says of upstream's support.
    """
    members = (image, *catalog.ancestors(image))
    tools = [member.build_tools for member in members if member.build_tools]
    paths = [path for member in members for path in image_files(catalog, member)]
    return dict(sorted({**hashes(catalog.root, paths), **described(catalog, (*members, *tools))}.items()))


def described(catalog: Catalog, images: Iterable[Image]) -> dict[str, str]:
    """Return the SHA-256 of each image.toml."""
    return hashes(catalog.root, (image.folder / "image.toml" for image in images))


def image_files(catalog: Catalog, image: Image) -> list[Path]:
    """Return the files that decide what an image will be on top of its parent."""
    paths = environment_files(catalog, image)
    if image.framework:
        paths += [last_dockerfile(catalog, image), *_tree(catalog.root / IMAGES / "common")]
    return paths


def environment_files(catalog: Catalog, image: Image) -> list[Path]:
    """Return the files that decide what is installed; of the common ones only those that install."""
    tools = image.build_tools.packages_lock if image.build_tools else None
    paths = [path for path in (image.dockerfile, image.lock, image.packages_lock, tools) if path]
    if image.suite is None:
        others = {platform.lock("requirements") for platform in PLATFORMS.values()} - {image.lock_path.name}
        paths += [path for path in _tree(image.folder) if path.relative_to(image.folder).as_posix() not in others]
        installers = [*INSTALLERS, *((WHEEL_INSTALLER,) if image.built else ())]
        installers += [SOURCE_INSTALLER] if image.sources else []
        paths += [catalog.root / IMAGES / "common/install" / name for name in installers]
    return paths


def hashes(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file by its path below ``root``, sorted."""
    return {relative(path, root): sha256(path) for path in sorted(set(paths))}


def sha256(path: Path) -> str:
    """Return the SHA-256 of an input: of the file, of an image.toml without what decides none of the image's bits.

    That is what it says of other platforms and of upstream's support.
    """
    if path.name == "image.toml":
        data = without_support(path.read_bytes(), path.parent.name)
        return hashlib.sha256(without_platforms(data)).hexdigest()
    return files.sha256(path)


def has_environment(image: Image) -> bool:
    """Return whether the image's Dockerfile has a stage of that name to keep."""
    return image.framework is not None and ENVIRONMENT in _stages(image.dockerfile)


def last_dockerfile(catalog: Catalog, image: Image) -> Path:
    """Return the Dockerfile of an image's last stage: that of all frameworks for one with a stage `environment`.

    Raises `UsageError` for a Dockerfile that goes on after its environment: no one would build what follows.
    """
    shared = catalog.root / IMAGES / "Dockerfile"
    if image.dockerfile == shared or not has_environment(image):
        return image.dockerfile
    if _stages(image.dockerfile)[-1] != ENVIRONMENT:
        shown = relative(image.dockerfile, catalog.root)
        raise UsageError(
            f"{shown} goes on after its stage `{ENVIRONMENT}`, and the suite is put on that by images/Dockerfile",
            f"End {shown} with that stage.",
        )
    return shared


def _stages(dockerfile: Path) -> list[str]:
    """Return the names of a Dockerfile's stages in order, empty where a stage has none."""
    text = dockerfile.read_text(encoding="utf-8")
    return re.findall(r"(?im)^FROM[ \t]+(?:--\S+[ \t]+)*\S+(?:[ \t]+AS[ \t]+(\S+))?[ \t]*$", text)


def _tree(folder: Path) -> list[Path]:
    """The files of an image's folder, but for the images in it: these are variants, with files of their own."""
    variants = {path.parent.name for path in folder.glob("*/image.toml")}
    return [
        path
        for name, path in files.below(folder).items()
        if path.name not in _NO_INPUTS and name.partition("/")[0] not in variants
    ]
