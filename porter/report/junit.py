"""A report as JUnit XML, for continuous integration without pytest."""

from __future__ import annotations

from xml.etree import ElementTree

from porter.report import wording
from porter.report.model import ReportData
from porter.report.wording import printable

FAILURES = ("mismatch", "contradicted", "inconclusive", "uncompared")


def render_junit(report: ReportData, name: str) -> str:
    """One test case a layer, one a witness and one a link, in a suite of that name.

    A test fails on a mismatch, a contradiction and wherever parity was owed but not shown. A link that was not asked
    for and a step that is folded into another are skipped; a reading that is assumed passes, its claims say so.
    """
    suite = ElementTree.Element("testsuite", name=printable(name))
    for row in report.layers:
        found = [finding for finding in report.findings if finding.layer == row.layer]
        told = "\n".join(f"{key}: {text}" for finding in found for key, text in wording.facts(report, finding))
        short = found[0].message if found else f"isolated {wording.number(row.isolated)}"
        _case(suite, f"{name}.layers", row.layer, row.verdict, short=short, told=told)
    for one in report.witnesses:
        short = one.findings[0].message if one.findings else f"error {wording.number(one.error)}"
        _case(suite, f"{name}.witnesses", one.name, one.verdict, short=short, told=f"{one.run_by}: {one.note}")
    for link, question, verdict, note in wording.links(report):
        _case(suite, f"{name}.links", link, verdict, short=question, told=note)
    _count(suite)
    root = ElementTree.Element("testsuites", dict(suite.attrib))
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, group: str, name: str, verdict: str, *, short: str, told: str) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=printable(group), name=printable(name), time="0")
    message = printable(f"{verdict}: {short}")
    if verdict in FAILURES:
        ElementTree.SubElement(case, "failure", message=message, type=verdict).text = printable(told)
    elif verdict == "not checked" or verdict.startswith("folded"):
        ElementTree.SubElement(case, "skipped", message=message)


def _count(suite: ElementTree.Element) -> None:
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("errors", "0")
