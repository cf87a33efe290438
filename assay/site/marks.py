"""The marks of the frameworks, drawn around the middle of a square from -8 to 8, in the colour of the text."""

from __future__ import annotations

from markupsafe import Markup

from assay.site.frameworks import Mark, look, looks, style_of

_SHAPES: dict[Mark, Markup] = {
    "circle": Markup('<circle class="shape" r="6"/>'),
    "square": Markup('<rect class="shape" x="-5.5" y="-5.5" width="11" height="11"/>'),
    "diamond": Markup('<path class="shape" d="M0-7.5 7.5 0 0 7.5-7.5 0z"/>'),
    "triangle": Markup('<path class="shape" d="M0-7 7 5.5-7 5.5z"/>'),
    "triangle-down": Markup('<path class="shape" d="M0 7 7-5.5-7-5.5z"/>'),
    "cross": Markup('<path class="shape open" d="M-5-5 5 5M5-5-5 5"/>'),
    "plus": Markup('<path class="shape open" d="M0-6.5V6.5M-6.5 0H6.5"/>'),
    "ring": Markup('<circle class="shape open" r="5"/>'),
}


def shape(framework: str) -> Markup:
    """The mark of a framework as SVG."""
    return _SHAPES[look(framework).mark]


def colours() -> str:
    """The rules of CSS that give each framework its colour, by light and in the dark."""
    named = {style_of(name): look(name) for name in (*looks(), "")}
    light = "".join(f".{style}{{color:{found.light}}}" for style, found in named.items())
    dark = "".join(f".{style}{{color:{found.dark}}}" for style, found in named.items())
    return f"{light}\n@media(prefers-color-scheme:dark){{{dark}}}\n"
