"""The folders that a build reads: an image's own, a base's root file system, and the uv program."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import uv

from assay import rootfs
from assay.build.foreign import is_foreign
from assay.catalog import Image
from assay.catalog.platforms import AMD64, PLATFORMS
from assay.errors import BuildFailed
from assay.host import cache, files, machine, network, paths, process

SECONDS = 600  # for uv to fetch another


def base_context(tar: Path, first: Sequence[str], folder: Path) -> Path:
    """A folder with a base's root file system in two tars: these folders of it, and the rest."""
    folder.mkdir()
    rootfs.split(tar, first, folder / "first.tar", folder / "rootfs.tar")
    return folder


def context_of(image: Image, folder: Path) -> Path:
    """The folder that an image's Dockerfile reads, in which the lock of any platform is called requirements.lock."""
    if image.lock is None or image.lock.name == AMD64.lock("requirements"):
        return image.folder
    locks = {platform.lock("requirements") for platform in PLATFORMS.values()}

    def not_its_own(at: str, names: list[str]) -> set[str]:
        return {name for name in names if name in locks or Path(at, name, "image.toml").exists()}

    shutil.copytree(image.folder, folder, ignore=not_its_own)
    shutil.copyfile(image.lock, folder / AMD64.lock("requirements"))
    return folder


def uv_for(image: Image, tell: files.Tell) -> Path:
    """The uv that an image's build runs: this one, or a static one beside another processor's libraries."""
    return _static_uv_folder(tell) if is_foreign(image.built_for) else uv_folder(tell)


def uv_folder(tell: files.Tell = files.silent) -> Path:
    """A folder that holds the uv program and nothing else, for the builds to mount."""

    def make(partial: Path) -> None:
        partial.mkdir()
        shutil.copy(uv.find_uv_bin(), partial / "uv")

    cache.use()
    return files.once(paths.cache() / "tools" / f"uv-{version('uv')}", make, "uv to be copied", tell)


def _static_uv_folder(tell: files.Tell) -> Path:
    """A folder with a uv that is linked statically: it runs beside another processor's libraries, at full speed."""

    def make(partial: Path) -> None:
        unpacked = partial.with_name(f"{partial.name}.unpacked")
        target = f"{machine.architecture()}-unknown-linux-musl"
        argv = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
        argv += ["--target", str(unpacked), "--python-platform", target, f"uv=={version('uv')}"]
        done = process.run(argv, env=network.uv_environment(), timeout=SECONDS)
        if done.returncode != 0:
            files.remove(unpacked)
            raise BuildFailed(
                f"uv for another processor's images cannot be had: {done.last_line()}",
                "See to the network, the proxy and the index that the configuration of uv or pip names.",
            )
        partial.mkdir()
        shutil.move(unpacked / "bin/uv", partial / "uv")
        files.remove(unpacked)

    cache.use()
    return files.once(paths.cache() / "tools" / f"uv-{version('uv')}-static", make, "uv to be unpacked", tell)
