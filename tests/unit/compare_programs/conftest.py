"""run.py lies in compare/, and what lies beside it is found by its folder; so it is here."""

import sys

from tests.unit.compare_programs.questions import COMPARE

sys.path.insert(0, str(COMPARE))
