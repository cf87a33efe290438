"""Several keys of one publisher in one file: from when to when each signs, and which was revoked.

A signature bears no time that anybody vouches for. So a revoked key counts for nothing, whatever it says of the time:
whoever stole it writes any. What a key's last day ends is only what is dated later by the publisher's own word.
"""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from assay.attestation.keys import LARGEST_KEY, Keys, Opened, PublicKey, WithKey, WrongKey
from assay.errors import UsageError, VerificationFailed

_TODO = "Write tables [[key]] with name and pem, and from, until, revoked, why where they are known: docs/verify.md."
_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
_Line = Annotated[str, msgspec.Meta(pattern=r"^\S([^\r\n]{0,200}\S)?\Z")]


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    name: _Name
    pem: str
    since: datetime.date | None = None
    until: datetime.date | None = None
    revoked: datetime.date | None = None
    why: _Line | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: Annotated[tuple[_Row, ...], msgspec.Meta(min_length=1, max_length=64)]


@dataclass(frozen=True)
class DatedKey:
    """A key with the first and the last day on which it signs, and the day from which it counts for nothing."""

    name: str
    key: PublicKey
    since: datetime.date | None = None
    until: datetime.date | None = None
    revoked: datetime.date | None = None
    why: str = ""

    def require_good(self, today: datetime.date) -> None:
        """Raise `VerificationFailed` for a key that was revoked, or that signs from a later day on only."""
        todo = "Do not use it, unless the publisher signs it anew; ask for the newest file of keys."
        if self.revoked and self.revoked <= today:
            why = f": {self.why}" if self.why else ""
            raise VerificationFailed(
                f"it was signed with the key {self.name}, which was revoked on {self.revoked}{why}", todo
            )
        if self.since and today < self.since:
            raise VerificationFailed(
                f"it was signed with the key {self.name}, which signs from {self.since} on only", todo
            )


@dataclass(frozen=True)
class Keyring(WithKey):
    """The keys of one publisher."""

    keys: tuple[DatedKey, ...]

    @classmethod
    def read(cls, path: Path) -> Keyring:
        """Read a TOML file of ``[[key]]`` tables; `UsageError` for anything else, and for a key or a name twice."""
        try:
            with path.open("rb") as file:
                rows = msgspec.toml.decode(file.read(LARGEST_KEY), type=_File).key
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}", "Name a file of keys.") from None
        except (ValueError, RecursionError) as error:  # what msgspec and tomllib raise is one
            raise UsageError(f"{path} is no file of keys: {error}", _TODO) from None
        keys = tuple(
            DatedKey(
                row.name,
                PublicKey.parse(row.pem.encode(), f"{path}: the key {row.name}"),
                row.since,
                row.until,
                row.revoked,
                row.why or "",
            )
            for row in rows
        )
        for what, several in (("name", [key.name for key in keys]), ("key", [key.key.hint for key in keys])):
            twice = [one for one, count in Counter(several).items() if count > 1]
            if twice:
                raise UsageError(f"{path} has one {what} twice: {twice[0]}", "Give each key one table, and one name.")
        return cls(keys)

    def opened(self, bundle: bytes, now: datetime.datetime) -> Opened:
        """Return what one of the keys signed.

        Raises `WrongKey` if another key signed it, `OtherKind` if none did, `VerificationFailed` if that one was
        revoked or is not yet to sign, or if the bundle was edited or is malformed.
        """
        wrong: WrongKey | None = None
        for each in self.keys:
            try:
                payload = each.key.open(bundle)
            except WrongKey as error:
                wrong = error
                continue
            each.require_good(now.date())
            return Opened(payload, each.name, each.until)
        assert wrong is not None  # noqa: S101 - there is a key, and it was none of another reason
        raise WrongKey("it was signed with none of these keys", wrong.todo)


def read(path: Path) -> Keys:
    """Read what signatures are checked with: one public key in PEM, or several in a file whose name ends in .toml."""
    return Keyring.read(path) if path.suffix == ".toml" else PublicKey.read(path)
