"""A command in an image: which image that is, what the container is given, and how the two are said in one line."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assay import doctor
from assay.catalog.built import tag
from assay.certificate import Suites
from assay.doctor import Answer, Certified, Machine
from assay.engine import Engine, Recipe, Session
from assay.errors import UsageError
from assay.host import paths
from assay.run.choose import Choice, choose, named
from assay.run.imports import backend_of, imports

MOST_SHM = 8 * 2**30
Device = Literal["auto", "cpu", "gpu"]


@dataclass(frozen=True)
class Given:
    """What a session is given beyond the folder: docker's own words for it."""

    device: Device = "auto"
    network: str | None = None
    environment: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Images:
    """What can be run here: the images that are certified, and the engine that has some of them."""

    certified: tuple[Certified, ...]
    engine: Engine
    machine: Machine
    root: Path

    @classmethod
    def here(cls, root: Path, engine: Engine) -> Images:
        """Those that the certificates of a checkout, or of this Assay, speak of."""
        certified, _ = doctor.gather(root, Suites.read(root))
        return cls(tuple(certified), engine, doctor.this_machine(), root)

    def there(self) -> list[Certified]:
        """Those that the engine has."""
        return [image for image in self.certified if self.engine.digest(image.digest)]

    def split(self, words: Sequence[str], folder: Path) -> tuple[str | None, tuple[str, ...]]:
        """The image that a command line begins with, if it begins with one, and the command."""
        first, *rest = words or [""]
        is_name = first in {image.image for image in self.certified} or self._is_described(first)
        return (first, tuple(rest)) if is_name or is_reference(first, folder) else (None, tuple(words))

    def _is_described(self, name: str) -> bool:
        """Whether a checkout has an image of this name, certified or not."""
        return bool(name) and (self.root / "images" / name / "image.toml").is_file()

    def by_name(self, name: str) -> Choice:
        """An image by its name here. Raises `UsageError` where the engine does not have it, or it does not run."""
        known = {image.digest: image for image in self.certified}
        digest = self.engine.digest(name if "/" in name else tag(name, "latest"))
        if digest in known:
            return named(known[digest], self.machine)
        if digest:
            unknown = Certified(image=name, digest=digest, reference=name)
            return Choice(unknown, Answer("cpu", "it is not certified"), "as asked, and it is not certified")
        for image in known.values():
            if image.image == name and self.engine.digest(image.digest):
                return named(image, self.machine)
        if "/" in name:
            raise UsageError(f"{name} is not here", "It is verified and pulled with the publisher's key: --key FILE.")
        raise UsageError(f"{name} is not built here", f"Build it: assay build {name}.")

    def pulled(self, published: Certified) -> Choice:
        """An image of a registry that was verified: it is pulled by its digest, unless it is here."""
        choice = named(published, self.machine)
        if not self.engine.digest(published.digest):
            self.engine.pull(published.reference)
        return choice

    def for_command(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Choice:
        """The image for what a command imports. Raises `Undecided` where that says nothing."""
        wanted = imports(command, folder)
        outside = {module: backend for pair in environment.items() for module, backend in backend_of(*pair).items()}
        wanted = dataclasses.replace(wanted, backends={**wanted.defaults, **outside, **wanted.backends})
        there = self.there()
        if not there:
            raise UsageError("no certified image is here", "Make some: `assay build`, then `assay smoke`.")
        return choose(wanted, there, self.machine)


def is_reference(word: str, folder: Path) -> bool:
    """Whether a word names an image by its repository, and no program of the folder."""
    return "/" in word and word[0] not in "./" and not (folder / word).exists()


def environment_of(given: Given) -> dict[str, str]:
    """What -e says, and the backends that are chosen outside: they decide for an image, so they have to reach it."""
    pairs = {name: value for name, value in os.environ.items() if backend_of(name, value)}
    for word in given.environment:
        name, equals, value = word.partition("=")
        pairs[name] = value if equals else os.environ.get(name, "")
    return pairs


def session(choice: Choice, command: Sequence[str], given: Given, images: Images) -> Session:
    """What the engine is asked for. Raises `UsageError` where a GPU was asked for and the image runs on none here."""
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current folder is not there any more", "Change to one that is.") from None
    home = paths.cache() / "home"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Session(
        name=f"assay-run-{os.getpid()}",
        image=choice.image.digest,
        command=tuple(command),
        folder=folder,
        home=home,
        user=f"{os.geteuid()}:{os.getegid()}",
        shm_bytes=min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2, MOST_SHM),
        gpu=on_gpu(choice, given.device, images.engine.gpu_access()),
        terminal=sys.stdin.isatty() and sys.stdout.isatty(),
        network=given.network,
        environment=tuple(f"{name}={value}" for name, value in environment_of(given).items()),
        volumes=given.volumes,
        ports=given.ports,
    )


def recipe(image: str, command: Sequence[str], given: Given, *, gpu: bool) -> Recipe:
    """The same for other tools."""
    environment = tuple(f"{name}={value}" for name, value in environment_of(given).items())
    terminal = sys.stdin.isatty()
    return Recipe(image, tuple(command), gpu, given.network, environment, given.volumes, given.ports, terminal)


def on_gpu(choice: Choice, device: Device, access: str | None) -> bool:
    """Whether the container is given the GPUs. Raises `UsageError` where they are asked for and cannot be."""
    runs = choice.answer.runs == "gpu"
    if device == "gpu" and not runs:
        what = f"{choice.image.image} does not run on a GPU here: {choice.answer.why}"
        raise UsageError(what, "`assay doctor` says more.")
    if device == "gpu" and access is None:
        raise UsageError("the engine cannot hand over the GPUs", "`assay doctor` says what is missing.")
    return runs and device != "cpu" and access is not None


def told(choice: Choice, session: Session) -> str:
    """The line that says what was chosen and why."""
    image = choice.image
    if session.gpu:
        on = "on the GPU"
    elif choice.answer.runs == "gpu":
        on = "on the CPU, though there is a GPU"
    else:
        on = f"on the CPU: {choice.answer.why}"
    return f"{image.image} ({choice.why}), {on}"
