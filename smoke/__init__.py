"""The smoke suite: it runs inside an image, with the image's own Python, and writes a report.

Python 3.9, the standard library, NumPy and the one framework of the image are all it may use; it never imports
the host's side. What goes in is a plan (``smoke.plan``), what comes out a report (``smoke.report``).
"""

from pathlib import Path

VERSION = "1"
# The suite's own folder.
SUITE = Path(__file__).resolve().parent
