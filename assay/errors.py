"""Every way in which Assay can fail: one class per exit code, two lines of text per error."""

from __future__ import annotations


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
    """An environment did not pass what its certificate asks for."""

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
    """A registry did not answer as registries should."""

    exit_code = 6
