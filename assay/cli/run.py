"""`run` and `shell`: a command in the right image."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from assay.cli.console import note, show_error
from assay.cli.options import certificates_root, image_names, plain_option
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.doctor import Certified
    from assay.run import Choice, Given, Images

NOT_FOUND = 127
TOOLS = ("docker", "podman", "apptainer", "slurm", "kubernetes", "compose", "devcontainer")
OF_THE_ENGINE = ("docker", "compose", "devcontainer")  # which find an image that is here and in no registry
ELSEWHERE = ("slurm", "kubernetes")  # where the GPUs of this machine are not those that count
SETTINGS = {"allow_interspersed_args": False, "ignore_unknown_options": False}


def session_options(*without: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What each command takes that runs in an image, but for the options named."""
    options = {
        "device": click.option(
            "--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True
        ),
        "environment": click.option(
            "-e", "--env", "environment", multiple=True, metavar="NAME[=VALUE]", help="As docker's."
        ),
        "volumes": click.option(
            "-v", "--volume", "volumes", multiple=True, metavar="HOST:INSIDE[:ro]", help="As docker's."
        ),
        "ports": click.option("-p", "--publish", "ports", multiple=True, metavar="HOST:INSIDE", help="As docker's."),
        "network": click.option("--network", metavar="NAME", help="As docker's; none: no network."),
        "key": click.option(
            "--key",
            envvar="ASSAY_KEY",
            type=click.Path(path_type=Path),
            help="The publisher's key, for an image of a registry.",
        ),
        "plain_http": plain_option,
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed([*options]):
            command = command if option in without else options[option](command)
        return command

    return decorate


def first_image(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """An image that a shell completes to as the first word; after it a command follows, which the shell knows."""
    return [] if context.params.get("words") else image_names(context, parameter, begun)


@click.command("run", context_settings=SETTINGS)
@session_options()
@click.option(
    "--print", "tool", type=click.Choice(TOOLS), help="Print what that tool is told to do the same, and run nothing."
)
@click.option(
    "--nodes",
    type=click.IntRange(1, 9999),
    metavar="N",
    help="With --print slurm: on so many nodes, as ranks that find each other.",
)
@click.argument(
    "words",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="[IMAGE|REF] COMMAND...",
    shell_complete=first_image,
)
def run_command(words: tuple[str, ...], tool: str | None, nodes: int | None, **options: Any) -> None:
    """Run a command in an image: assay run python train.py

    Without an image, it is the one whose framework the command's Python program imports. The current folder is the
    command's folder; the files that it writes are yours. It gets the GPU where there is one that the image runs on.
    An image of a registry (REF) is verified with --key and pulled.
    """
    if nodes and tool != "slurm":
        raise UsageError("--nodes is for a line of Slurm", "Say --print slurm, or leave it out.")
    if tool:
        _print(tool, words, options, nodes or 1)
    else:
        _run(words, options, ())


@click.command("shell", context_settings=SETTINGS)
@session_options()
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[IMAGE|REF]", shell_complete=first_image)
def shell_command(words: tuple[str, ...], **options: Any) -> None:
    """Open a shell in an image."""
    _run(words, options, ("bash",))


def _run(words: tuple[str, ...], options: dict[str, Any], shell: tuple[str, ...]) -> None:
    from assay import engine, run

    key, plain_http = options.pop("key"), options.pop("plain_http")
    given = run.Given.read(**options)
    with engine.find(note) as found:
        images = run.Images.here(certificates_root(), found)
        name, command = images.split(words, Path.cwd())
        if shell and command:
            raise _not_for_shell(images, name, command[0])
        command = shell or command or ("python",)
        choice = choice_of(images, name, command, given, key, plain_http)
        session = run.session(choice, command, given, images)
        note(run.told(choice, session))
        if found.is_packed(session.image):
            note(f"unpacking {choice.image.image} first: the engine holds it compressed")
        status = found.session(session)
    if status == NOT_FOUND:
        show_error(_not_found(choice, command[0], name))
    sys.exit(status)


def _not_for_shell(images: Images, name: str | None, word: str) -> UsageError:
    return UsageError("a shell takes no command", f"assay run {name} {word}...") if name else images.unknown(word)


def _not_found(choice: Choice, program: str, name: str | None) -> UsageError:
    """That a command ended with 127: a shell says it of what is not there, and docker too."""
    if Path(program).is_file() and "/" not in program:
        todo = f"It is a file of this folder: python {program}, or ./{program} if it may be executed."
    else:
        meant = "" if name else f"If {program} is meant as an image: `assay images` lists them. "
        todo = f"{meant}Add what is missing in an image of your own (the README shows how), or call what is there."
    what = f"it ended with {NOT_FOUND}: {program}, or what it calls, is not in {choice.image.image}"
    return UsageError(what, todo)


def _print(tool: str, words: tuple[str, ...], options: dict[str, Any], nodes: int) -> None:
    """Print the line or the file of another tool, for an image of a registry; what docker runs also for one here."""
    from assay import engine, run

    del options["key"], options["plain_http"]  # nothing is pulled
    given = run.Given.read(**options)
    if run.is_reference(words[0], Path.cwd(), certificates_root()):
        run.require_reference(words[0])
        gpu = _asks_for_gpu(tool, given.device)
        click.echo(engine.printed(tool, run.recipe(words[0], words[1:] or ("python",), given, gpu=gpu, nodes=nodes)))
        _note_what_is_not_said(tool, words[1:])
        return
    if tool not in OF_THE_ENGINE:
        what = f"{tool} takes an image from a registry, and none is named"
        raise UsageError(what, f"Name it as it is published: assay run --print {tool} HOST/PATH:TAG COMMAND...")
    with engine.find_running() as found:
        images = run.Images.here(certificates_root(), found)
        name, command = images.split(words, Path.cwd())
        choice = choice_of(images, name, command, given, None, False)
        session = run.session(choice, command or ("python",), given, images)
        note(run.told(choice, session))
        if tool == "docker":
            click.echo(found.session_line(session))
            return
        click.echo(engine.printed(tool, run.recipe_here(choice, session, found)))
        _note_what_is_not_said(tool, command)
        if found.kind == "embedded":
            note('in a shell that follows: eval "$(assay engine env)"')


def _asks_for_gpu(tool: str, device: str) -> bool | Literal["optional"]:
    """Whether a tool is told to give GPUs. A devcontainer.json is for many machines, so it takes what there is."""
    from assay import doctor

    if device == "auto" and tool == "devcontainer":
        return "optional"
    return device == "gpu" or (device == "auto" and (tool in ELSEWHERE or bool(doctor.this_machine().gpus)))


def _note_what_is_not_said(tool: str, command: tuple[str, ...]) -> None:
    from assay import engine

    if tool == "kubernetes":
        note(f"the Job does not carry the current folder: {engine.FOLDER} is empty there (docs/run.md)")
    if tool == "devcontainer" and command:
        note(
            f"a dev container runs no command; call it: devcontainer exec --workspace-folder . {shlex.join(command)}"
        )


def choice_of(
    images: Images, name: str | None, command: tuple[str, ...], given: Given, key: Path | None, plain_http: bool
) -> Choice:
    """The image that is named, or the one that a command needs; a person at a terminal is asked where neither says.

    An image of a registry is verified with the key, and pulled. Raises `UsageError` where none can be run here.
    """
    from assay import run

    if name and key and "/" in name and not images.is_ours(name):
        return images.pulled(_verified(name, key, plain_http))
    if name:
        return images.by_name(name)
    try:
        return images.for_command(command, Path.cwd(), run.environment_of(given))
    except run.Undecided as undecided:
        if not (sys.stdin.isatty() and sys.stderr.isatty()) or not undecided.choices:
            raise
        return _asked(undecided.what, undecided.choices)


def _verified(reference: str, key: Path, plain_http: bool) -> Certified:
    from assay.attestation import read_keys
    from assay.certificate import Suites
    from assay.doctor.published import verified
    from assay.host import paths
    from assay.registry import Reference

    suites = Suites.read(paths.release())
    return verified(Reference.parse(reference), read_keys(key), suites, plain_http=plain_http)


def _asked(what: str, choices: Sequence[Choice]) -> Choice:
    """The image that the person at the terminal names."""
    note(f"{what}. Which image?")
    for number, each in enumerate(choices, 1):  # not on standard output, which is the command's
        note(f"  {number}  {each.image.image}: {each.image.framework}, on the {each.answer.runs.upper()}")
    chosen = click.prompt("Number", type=click.IntRange(1, len(choices)), default=1, err=True)
    return choices[chosen - 1]
