"""Text from strangers: an image, a certificate, a registry, a file's name. It is shown, and never obeyed.

It could hold what a terminal obeys (colours, titles, a cleared screen), what turns the order of letters around, and
line ends after which it would go on as if it were a line of ours.
"""

from __future__ import annotations


def shown(text: str) -> str:
    r"""Return a text as one line of characters that are seen; any other stands there escaped: \x1b, \n, \u202e."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def lines(text: str) -> str:
    """Return a text of several lines, such as a container's output, with each line as it may be shown."""
    return "".join(f"{shown(line)}\n" for line in text.split("\n")).removesuffix("\n")
