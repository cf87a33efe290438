"""Certificates: a smoke report in, an in-toto Statement out, and the level computed from the evidence alone.

`read` opens one; whoever has a certificate, of whatever origin, opens it there and nowhere else.
"""

from assay.certificate.derived import BaseImage, Derived, level_text
from assay.certificate.levels import LEVELS, RANK
from assay.certificate.opening import LONGEST_LIFE, Certificate, read, worst_of_newest
from assay.certificate.origin import Configuration, Policy, plan_digest
from assay.certificate.report import LARGEST_REPORT, Report, parse_report, read_report
from assay.certificate.statement import PREDICATE_TYPE, parse_statement, read_statement, report_of, statement, write
from assay.certificate.suite import Suite, Suites
from assay.certificate.verdict import Verdict, judge

# fmt: off
__all__ = [
    "LARGEST_REPORT", "LEVELS", "LONGEST_LIFE", "PREDICATE_TYPE", "RANK",
    "BaseImage", "Certificate", "Configuration", "Derived", "Policy", "Report", "Suite", "Suites", "Verdict",
    "judge", "level_text", "parse_report", "parse_statement", "plan_digest", "read", "read_report", "read_statement",
    "report_of", "statement", "worst_of_newest", "write",
]
