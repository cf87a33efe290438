"""One picture of what no clock decides: a row a framework, a column a question, a dot a cell.

It stands on the first page, and alone, such as in a README: then it has a style of its own, and follows whoever looks
into the dark.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from assay.compare import Answer, Comparison, Question
from assay.site import marks, told
from assay.site.frameworks import look, style_of
from assay.site.told import Degree

FILE = "picture.svg"
_NONE = Markup()
COUNTED = ("graphs", "debugging", "flexibility", "languages")  # whose cells are done or not
_LINE, _STEP, _RADIUS, _LEFT, _TOP, _GAP = 10, 13, 4.5, 122, 52, 30  # dots in a line; all else in pixels
_STYLE = """
text { font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1b1d21; }
.soft { fill: #565b64; color: #565b64; }
.rule { stroke: #dcdcd4; } .shape, .whole { fill: currentColor; }
.shape.open, .edge { fill: none; stroke: currentColor; }
.shape.open { stroke-width: 2.4; } .edge { stroke-width: 1.5; } .none { opacity: .55; }
@media (prefers-color-scheme: dark) { text { fill: #e9e9e4; } .soft { fill: #a9aeb8; color: #a9aeb8; }
.rule { stroke: #30343c; } }
"""
_DOTS: dict[Degree, Markup] = {
    "whole": Markup('<circle class="whole" r="{r}"/>'),
    "half": Markup('<circle class="edge" r="{r}"/><path class="whole" d="M0-{r}a{r} {r} 0 0 0 0 {d}z"/>'),
    "none": Markup('<circle class="edge none" r="{r}"/>'),
    "failed": Markup('<path class="edge" d="M-3-3 3 3M3-3-3 3"/>'),
    "unknown": Markup('<path class="edge none" d="M-2 0H2"/>'),
}


def alone(comparison: Comparison) -> str:
    """The picture as a file; empty where nothing of it was measured."""
    return picture(comparison, Markup("<style>") + Markup(_STYLE + marks.colours()) + Markup("</style>"))  # noqa: S704


def picture(comparison: Comparison, style: Markup = _NONE) -> Markup:
    """The picture as SVG with this style; empty where nothing of it was measured."""
    asked = [
        question
        for name in COUNTED
        if (question := comparison.questions.get(name)) and _measured(comparison.answers, name)
    ]
    if not asked:
        return _NONE
    frameworks = told.ordered({name for question in asked for name in question.frameworks})
    lines = max(-(-len(question.cells) // _LINE) for question in asked)
    height = max(lines * _STEP, 18) + 8
    starts = [_LEFT]
    for question in asked:
        starts.append(starts[-1] + max(min(len(question.cells), _LINE) * _STEP, 8 * len(question.title)) + _GAP)
    rows = Markup().join(
        _row(comparison, asked, framework, starts, _TOP + number * height)
        for number, framework in enumerate(frameworks)
    )
    heads = Markup().join(
        Markup('<text x="{}" y="28">{}</text>').format(start, question.title)
        for start, question in zip(starts, asked, strict=False)
    )
    bottom = _TOP + len(frameworks) * height
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-labelledby="t"><title id="t">{title}</title>{style}{heads}{rows}{key}</svg>\n'
    ).format(
        w=starts[-1],
        h=bottom + 34,
        title="; ".join(_summary(comparison, one) for one in asked),
        style=style,
        heads=heads,
        rows=rows,
        key=_key(bottom + 14),
    )


def _row(
    comparison: Comparison, asked: Sequence[Question], framework: str, starts: Sequence[int], top: int
) -> Markup:
    drawn = [
        Markup('<line class="rule" x1="0" x2="{}" y1="{y}" y2="{y}"/>').format(starts[-1], y=top - 6),
        Markup('<g class="{}" transform="translate(10 {})">{}</g>').format(
            style_of(framework), top + 7, marks.shape(framework)
        ),
        Markup('<text x="26" y="{}">{}</text>').format(top + 12, look(framework).title),
    ]
    for start, question in zip(starts, asked, strict=False):
        for number, cell in enumerate(question.cells):
            found = comparison.of(question.name, cell).get(framework)
            across, down = number % _LINE, number // _LINE
            drawn.append(
                Markup('<g class="{}" transform="translate({} {})">{}</g>').format(
                    style_of(framework),
                    start + _RADIUS + across * _STEP,
                    top + 7 + down * _STEP,
                    _dot(told.words(found).degree if found else "unknown"),
                )
            )
    return Markup().join(drawn)


def _dot(degree: Degree) -> Markup:
    return _DOTS[degree].format(r=_RADIUS, d=2 * _RADIUS)


def _key(top: int) -> Markup:
    """What the dots mean, from left to right."""
    words: dict[Degree, str] = {
        "whole": "as asked", "half": "in part", "none": "not", "failed": "went wrong", "unknown": "not measured",
    }  # fmt: skip
    drawn = [Markup('<text class="soft" x="26" y="{}">a dot is a task</text>').format(top + 4)]
    across = _LEFT + 12
    for degree, word in words.items():
        part = '<g class="soft"><g transform="translate({} {})">{}</g><text class="soft" x="{}" y="{}">{}</text></g>'
        drawn.append(Markup(part).format(across + _RADIUS, top, _dot(degree), across + 14, top + 4, word))  # noqa: S704
        across += 14 + 8 * len(word) + 14
    return Markup().join(drawn)


def _measured(answers: Sequence[Answer], question: str) -> bool:
    return any(one.question == question and one.outcome != "not measured" for one in answers)


def _summary(comparison: Comparison, question: Question) -> str:
    """What a reader who does not see the picture is told: how many cells of each framework are as asked."""
    counts = []
    for framework in told.ordered(question.frameworks):
        degrees = [
            told.words(one).degree
            for cell in question.cells
            if (one := comparison.of(question.name, cell).get(framework))
        ]
        counts.append(f"{look(framework).title} {degrees.count('whole')} of {len(degrees)}")
    return f"{question.title} {', '.join(counts)}"
