"""What a node's answer comes to: judged on the host, by the same gates as a run on this machine."""

from __future__ import annotations

from assay import certificate
from assay.certify import Asked, Outcome, replaced_or_void, require_answer
from assay.cluster.answers import Answer, require_trained
from assay.host import files, foreign


def judged(asked: Asked, answer: Answer, reference: str, cluster: str) -> Outcome:
    """Certify an image by a node's answer; its report and its output are kept below ``build/reports``.

    ``cluster`` is what started the job. Raises what went wrong on the node, and `VerificationFailed` for a report
    that does not answer the plan. An older certificate is void then.
    """
    device = asked.options.device
    folder = asked.catalog.root / "build" / "reports" / asked.image.name
    with replaced_or_void(asked.path), replaced_or_void(folder / f"{device}.json"):
        files.replace(folder / f"{device}.log", foreign.lines(answer.log).encode())
        require_trained(asked.image.name, reference, answer)
        report = certificate.parse_report(answer.report)
        files.replace(folder / f"{device}.json", answer.report)
        require_answer(report, asked.plan)
        return asked.certified(report, answer.seconds, f"{answer.runtime} by {cluster}")
