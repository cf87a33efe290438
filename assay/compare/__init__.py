"""The measured comparison: every framework is asked the questions of ``compare/``, in images that are certified.

`compare` reads what the results of a checkout amount to, `Measuring` measures them, `Participant` is an image that
can take part.
"""

from assay.compare.answer import Answer, Comparison, Control, Problem, Ratio
from assay.compare.comparison import compare
from assay.compare.measure import Measuring
from assay.compare.options import Options
from assay.compare.participant import Participant, participants
from assay.compare.question import Question, questions
from assay.compare.report import as_json, require_sound
from assay.compare.results import FOLDER as RESULTS
from assay.compare.statistics import Interval

# fmt: off
__all__ = [
    "RESULTS", "Answer", "Comparison", "Control", "Interval", "Measuring", "Options", "Participant", "Problem",
    "Question", "Ratio", "as_json", "compare", "participants", "questions", "require_sound",
]
