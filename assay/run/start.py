"""A command in an image: which image that is, what the container is given, and how the two are said in one line."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assay import doctor
from assay.catalog.built import tag
from assay.catalog.files import described
from assay.certificate import Suites
from assay.doctor import Answer, Certified, Machine
from assay.engine import HOME, Engine, Recipe, Session
from assay.errors import UsageError
from assay.host import paths
from assay.run.choose import Choice, choose, named
from assay.run.given import Device, Given
from assay.run.imports import backend_of, imports

MOST_SHM = 8 * 2**30
# What every image has; a machine may lack some of it, and an engine may have an image of that name.
PROGRAMS = ("python", "python3", "pip", "bash", "sh", "smoke", "preflight")
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
# A host, a path, a tag, a digest, as Docker's distribution has them; the host and the last two may be absent.
_REFERENCE = re.compile(
    rf"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?",
    re.ASCII,
)
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._-]*")


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
        """The image that a command line begins with, if it begins with one, and the command.

        Raises `UsageError` where it begins with what can only be meant as an image, and none has that name.
        """
        first, *rest = words or [""]
        if self.is_ours(first) or is_reference(first, folder, self.root) or self._is_in_engine(first):
            return first, tuple(rest)
        if first and is_mistyped(first, rest, folder, self.names()):
            raise self.unknown(first)
        return None, tuple(words)

    def names(self) -> list[str]:
        """What the images of the checkout, or of this Assay, are called."""
        return sorted({*described(self.root), *(image.image for image in self.certified)})

    def unknown(self, name: str) -> UsageError:
        """Say that no image is called so, and which may have been meant."""
        close = close_to(name, self.names())
        meant = f"Did you mean {close[0]}? " if close else ""
        todo = f"{meant}There are {', '.join(self.names())}, and what the engine has by a tag of yours."
        return UsageError(f"no image is called {name}", todo)

    def is_ours(self, name: str) -> bool:
        """Whether an image is called so, built or not; one that others stand on (cuda/13.2), too."""
        return name in self.names() or bool(name and (self.root / "images" / name / "image.toml").is_file())

    def _is_in_engine(self, word: str) -> bool:
        """Whether the engine has an image that is called so. A program comes first: `python` may be both."""
        repository, colon, version = word.partition(":")
        if not _REPOSITORY.fullmatch(repository) or (not colon and is_program(word)):
            return False
        return f"{repository}:{version or 'latest'}" in self.engine.tags(repository)

    def by_name(self, name: str) -> Choice:
        """An image by its name here. Raises `UsageError` where the engine does not have it, or it does not run."""
        known = {image.digest: image for image in self.certified}
        digest = self.engine.digest(tag(name, "latest") if self.is_ours(name) else name)
        if digest in known:
            return named(known[digest], self.machine)
        if digest:
            return self._uncertified(name, digest)
        for image in known.values():
            if image.image == name and self.engine.digest(image.digest):
                return named(image, self.machine)
        if "/" in name and not self.is_ours(name):
            raise UsageError(f"{name} is not here", "It is verified and pulled with the publisher's key: --key FILE.")
        raise UsageError(f"{name} is not built here", f"Build it: assay build {name}.")

    def _uncertified(self, name: str, digest: str) -> Choice:
        """An image without a certificate. What it stands on, if that has one, says whether it runs on the GPU."""
        image = Certified(image=name, digest=digest, reference=name)
        layers = self.engine.layers(digest)
        for base in self.there():
            below = self.engine.layers(base.digest)
            if layers[: len(below)] == below:
                answer = named(base, self.machine).answer
                return Choice(image, answer, f"as asked; it is not certified, and stands on {base.image}")
        return Choice(image, Answer("cpu", "it is not certified"), "as asked, and it is not certified")

    def pulled(self, published: Certified) -> Choice:
        """An image of a registry that was verified: it is pulled by its digest, unless it is here."""
        choice = dataclasses.replace(named(published, self.machine), why="as asked, verified")
        if not self.engine.digest(published.digest):
            self.engine.pull(published.reference)
        return choice

    def for_command(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Choice:
        """The image for what a command imports. Raises `Undecided` where that says nothing."""
        wanted = imports(command, folder)
        outside = {module: backend for pair in environment.items() for module, backend in backend_of(*pair).items()}
        wanted = dataclasses.replace(wanted, backends={**wanted.defaults, **outside, **wanted.backends})
        absent = next((word for word in command if is_absent(word, folder)), None)
        if absent and not (wanted.always or wanted.perhaps):
            beside = difflib.get_close_matches(absent, sorted(path.name for path in folder.glob("*.py")), n=1)
            todo = (
                f"Did you mean {beside[0]}?" if beside else "Change to the folder that has it: the image gets that."
            )
            raise UsageError(f"{absent} is not in {folder}", todo)
        return choose(wanted, self.there(), self.certified, self.machine)


def close_to(name: str, names: Sequence[str]) -> list[str]:
    """The name that one which is mistyped is near to, if any; `python` is near to none."""
    return difflib.get_close_matches(name.partition(":")[0], names, n=1, cutoff=0.75)


def is_program(word: str) -> bool:
    """Whether a word names a program, of every image or of this machine."""
    return word in PROGRAMS or shutil.which(word) is not None


def is_mistyped(word: str, rest: Sequence[str], folder: Path, names: Sequence[str]) -> bool:
    """Whether what a command line begins with must be meant as the name of an image."""
    if "/" in word or is_program(word) or (folder / word).exists():
        return False
    return ":" in word or bool(close_to(word, names)) or bool(rest and rest[0] in PROGRAMS)


def is_absent(word: str, folder: Path) -> bool:
    """Whether a word of a command names a Python program of the folder that is not there."""
    return word.endswith(".py") and not word.startswith("/") and not (folder / word).exists()


def is_reference(word: str, folder: Path, root: Path) -> bool:
    """Whether a word names an image by its repository: no variant of the checkout, and no program of the folder."""
    if "/" not in word or word[0] in "./":
        return False
    return not (root / "images" / word / "image.toml").is_file() and not (folder / word).exists()


def require_reference(word: str) -> None:
    """Raise `UsageError` for what no tool takes as an image's name, and a shell may take for something else."""
    if not _REFERENCE.fullmatch(word):
        what = f"{word!r} is no name of an image in a registry"
        raise UsageError(what, "Write HOST/PATH:TAG or HOST/PATH@sha256:DIGEST, the path in small letters.")


def environment_of(given: Given) -> dict[str, str]:
    """What -e says, and the backends that are chosen outside: they decide for an image, so they have to reach it."""
    pairs = {name: value for name, value in os.environ.items() if backend_of(name, value)}
    for word in given.environment:
        name, equals, value = word.partition("=")
        if equals or name in os.environ:  # as docker does: one that is not set here is none there
            pairs[name] = value if equals else os.environ[name]
    return pairs


def session(choice: Choice, command: Sequence[str], given: Given, images: Images) -> Session:
    """What the engine is asked for. Raises `UsageError` where a GPU was asked for and the image runs on none here."""
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current folder is not there any more", "Change to one that is.") from None
    return Session(
        name=f"assay-run-{secrets.token_hex(6)}",  # no other's, whatever machine or namespace that runs in
        image=choice.image.digest,
        command=tuple(command),
        folder=folder,
        home=None if given.brings(HOME) else kept_home(),
        user=f"{os.geteuid()}:{os.getegid()}",
        shm_bytes=min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2, MOST_SHM),
        gpu=on_gpu(choice, given.device, images.engine.gpu_access()),
        terminal=sys.stdin.isatty() and sys.stdout.isatty(),
        network=given.network,
        environment=tuple(f"{name}={value}" for name, value in environment_of(given).items()),
        volumes=given.volumes,
        ports=given.ports,
    )


def kept_home() -> Path:
    """The home of all sessions, where hubs and compilers keep their files."""
    home = paths.cache() / "home"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def recipe(
    image: str, command: Sequence[str], given: Given, *, gpu: bool | Literal["optional"], nodes: int = 1
) -> Recipe:
    """The same for other tools, and an image of a registry; on ``nodes`` of a cluster."""
    return Recipe(
        image=image,
        command=tuple(command),
        gpu=gpu,
        network=given.network,
        environment=tuple(f"{name}={value}" for name, value in environment_of(given).items()),
        volumes=given.volumes,
        ports=given.ports,
        terminal=sys.stdin.isatty(),
        user=f"{os.geteuid()}:{os.getegid()}",
        nodes=nodes,
    )


def recipe_here(choice: Choice, session: Session, engine: Engine) -> Recipe:
    """The same for other tools of this engine: they know an image by its tag, and by its digest without one."""
    image = choice.image
    names = (image.reference, tag(image.image, "latest"))
    name = next((one for one in names if engine.digest(one) == image.digest), image.digest)
    return engine.session_recipe(session, name)


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
    return f"{image.image} ({choice.why}), {on}" + (f"; {image.ended}" if image.ended else "")
