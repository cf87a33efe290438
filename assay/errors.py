"""Every way in which Assay can fail: one class per exit code, two lines of text per error."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Mapping
from pathlib import Path

# What to do about what the operating system refuses.
_OTHERWISE = "Mend that, and run the command again: what is finished is kept, and it goes on from there."
_TODO = {
    errno.EACCES: "Run the command as whoever owns that file, or change its mode, and run it again.",
    errno.EPERM: "Run the command as whoever owns that file, or as root, and run it again.",
    errno.ENOENT: "Something removed it meanwhile, or its path is wrong: see that it is there, and run it again.",
    errno.EROFS: "Use a disk that can be written: set ASSAY_CACHE for the cache, clone elsewhere for the rest.",
    errno.EIO: "The disk failed to read or write: look at `dmesg`, and set ASSAY_CACHE to another disk.",
    errno.ENOMEM: "Give the machine more memory, or end what takes it, and run the command again.",
    errno.EMFILE: "Raise the limit of open files (`ulimit -n 4096`), and run the command again.",
    errno.ENOTDIR: "A file stands where a folder is needed: move it away, and run the command again.",
    errno.EISDIR: "A folder stands where a file is needed: move it away, and run the command again.",
    errno.EEXIST: "Another command made it meanwhile, or an older one left it: run it again, or move that away.",
    errno.ELOOP: "A link there leads back to itself: remove it, and run the command again.",
    errno.ENAMETOOLONG: "Set ASSAY_CACHE, or clone, to a folder with a shorter path.",
}


class AssayError(Exception):
    """What went wrong, in one line, and what to do about it, in a second one.

    Raise a subclass; its ``exit_code`` is what the ``assay`` command exits with.
    """

    exit_code = 1

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.what = " ".join(what.split())
        self.todo = " ".join(todo.split())

    def __str__(self) -> str:
        return f"{self.what}\n{self.todo}"


class CertificateFailed(AssayError):
    """An environment did not pass what is asked of it: by its certificate, or since then."""

    exit_code = 1


class UsageError(AssayError):
    """An unknown image, a bad option, a malformed ``image.toml``, a lock that does not fit."""

    exit_code = 2


class EngineMissing(AssayError):
    """No container engine answers and none can be started here."""

    exit_code = 3


class BuildFailed(AssayError):
    """An image could not be built: a package, a hash, the disk, the engine in mid-build."""

    exit_code = 4


class VerificationFailed(AssayError):
    """A certificate, a signature or a digest is not what it claims to be."""

    exit_code = 5


class RegistryFailed(AssayError):
    """A registry, or a service of Sigstore, did not answer as it should."""

    exit_code = 6


def of_the_system(error: OSError) -> AssayError:
    """What the operating system refused, in words of use."""
    where = error.filename or error.filename2
    what = f"{where or 'the operating system says'}: {error.strerror or error}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return BuildFailed(f"the disk is full: {what}", "Make room (`assay engine prune` helps) and run it again.")
    return UsageError(what, _TODO.get(error.errno or 0, _OTHERWISE))


def of_image(name: str, error: Exception) -> AssayError:
    """Whatever was raised while something was done for an image, as an error that names it."""
    if isinstance(error, OSError) and error.errno is not None:
        error = of_the_system(error)
    if not isinstance(error, AssayError):
        frames = traceback.extract_tb(error.__traceback__)
        at = f", at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return BuildFailed(
            f"{name}: {type(error).__name__}: {str(error) or 'without a word'}{at}",
            "Run it again. If it comes back, it is a fault of Assay: report it, with the trace in build/logs.",
        )
    if not re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w/-]|\.\w)", error.what):
        error.what = f"{name}: {error.what}"
    return error


def together(failures: Mapping[str, AssayError], of: str = "images") -> AssayError:
    """One error for several images', by name; of their kind where it is one, else a failed build."""
    if len(failures) == 1:
        return next(iter(failures.values()))
    kinds = {type(error) for error in failures.values()}
    kind = kinds.pop() if len(kinds) == 1 else BuildFailed
    todos = list(dict.fromkeys(error.todo for error in failures.values()))
    named = (f"{name}: {error.todo}" for name, error in failures.items())
    return kind(
        f"{len(failures)} {of} failed: {'; '.join(error.what for error in failures.values())}",
        todos[0] if len(todos) == 1 else " ".join(named),
    )
