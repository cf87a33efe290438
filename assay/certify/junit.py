"""Outcomes as JUnit XML, which CI systems read."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from assay.certify.outcome import Outcome
from assay.host.foreign import shown  # which leaves nothing that XML cannot hold


def junit(outcomes: Iterable[Outcome]) -> bytes:
    """JUnit XML: a suite per image, a case per check and per fault."""
    top = ElementTree.Element("testsuites")
    for outcome in outcomes:
        suite = ElementTree.SubElement(top, "testsuite", name=f"{outcome.image}.{outcome.device}")
        if outcome.report is None or outcome.verdict is None:
            case = ElementTree.SubElement(suite, "testcase", classname=outcome.image, name="suite")
            what = outcome.error.what if outcome.error else "no report"
            ElementTree.SubElement(case, "error", message=shown(what))
        problems = dict(outcome.problems)
        for result in outcome.report.results if outcome.report else ():
            case = ElementTree.SubElement(
                suite, "testcase", classname=outcome.image, name=shown(result.id), time=shown(result.seconds)
            )
            if result.state == "not-run":
                ElementTree.SubElement(case, "skipped", message=shown(result.reason))
            elif result.id in problems:
                kind = "error" if result.state == "error" else "failure"
                ElementTree.SubElement(case, kind, message=shown(problems.pop(result.id)))
        for name, problem in problems.items():
            case = ElementTree.SubElement(suite, "testcase", classname=outcome.image, name=shown(name))
            ElementTree.SubElement(case, "failure", message=shown(problem))
        cases = list(suite)
        suite.set("tests", str(len(cases)))
        for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(plural, str(sum(case.find(kind) is not None for case in cases)))
    return bytes(ElementTree.tostring(top, encoding="utf-8", xml_declaration=True))
