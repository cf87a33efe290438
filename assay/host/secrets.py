"""The secrets that this process has read: none stays in its environment, and none is in what it says.

Children, and a daemon that outlives the command, inherit the environment. A registry may send back what it was sent,
and the reason that it gives for a failure is shown.
"""

from __future__ import annotations

import os
from urllib.parse import quote_plus

PASSWORD_VARIABLE = "ASSAY_PASSWORD"  # noqa: S105 - a variable's name
# A shorter text would be taken out of ordinary words, which tells what it is.
SHORTEST = 6
HIDDEN = "[secret]"

_known: set[str] = set()
_taken: dict[str, str] = {}


def take() -> None:
    """Take the secrets out of the environment, before anything is started that would inherit them."""
    given = os.environ.pop(PASSWORD_VARIABLE, None)
    if given is not None:
        _taken[PASSWORD_VARIABLE] = given
        keep(given)


def password() -> str | None:
    """Return the key's password that stood in the environment, once; None where none did."""
    return _taken.pop(PASSWORD_VARIABLE, None)


def keep(*secrets: str) -> None:
    """Keep these out of all that is said from now on, as they are and as they are sent in a form."""
    for secret in secrets:
        _known.update(text for text in (secret, quote_plus(secret)) if len(text) >= SHORTEST)


def hidden(text: str) -> str:
    """Return a text without the secrets in it."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
