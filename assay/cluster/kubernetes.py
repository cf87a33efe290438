"""Kubernetes, by a manifest: a Job an image, whose placing, retries and limits are Kubernetes'.

The kubelet takes the image of that digest and no other. A pod says what it found in its own log, so that no volume is
needed: in lines that begin with MARK, a JSON object and the report, packed.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from assay.certificate import LARGEST_REPORT
from assay.certify import Asked
from assay.cluster.answers import Answer
from assay.errors import VerificationFailed
from assay.host import foreign, strict

MARK = "assay-answer:"
SECONDS = 3600  # for one image, with its wait and its pull
CPUS = "2"
UID = 12345
LARGEST_LOG = 2**26
_PROGRAM = f"""\
started=$(date +%s)
smoke --plan /run/assay/plan.json --report /tmp/report.json
status=$?
printf '\\n{MARK} {{"digest": "%s", "node": "%s", "status": %d, "seconds": %d}}\\n' \\
    "$ASSAY_DIGEST" "$ASSAY_NODE" "$status" $(($(date +%s) - started))
printf '{MARK} %s\\n' "$([ ! -s /tmp/report.json ] || gzip -c /tmp/report.json | base64 -w 0)"
exit "$status"
"""
_TODO = "Take the whole log of one run: kubectl logs job/NAME --tail=-1."


def manifest(nonce: str, wanted: Iterable[tuple[Asked, str]], *, gpu: bool, memory_bytes: int | None) -> str:
    """The manifest for these images, each by its reference with a digest: what `kubectl create -f` takes."""
    items: list[dict[str, Any]] = [_no_network(nonce)]
    for asked, reference in wanted:
        name = f"assay-{re.sub(r'[^a-z0-9]+', '-', asked.image.name)}-{asked.options.device}-{nonce[:8]}"
        about = {"name": name, "labels": _labels(nonce)}
        plan = json.dumps(dict(asked.plan), sort_keys=True)
        items.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {"plan.json": plan}})
        resources = {"cpu": CPUS, **({"memory": str(memory_bytes)} if memory_bytes else {})}
        limits = {**resources, **({"nvidia.com/gpu": "1"} if gpu else {})}
        container = _container(asked.built.digest, reference, limits)
        items.append({"apiVersion": "batch/v1", "kind": "Job", "metadata": about, "spec": _job(about, container)})
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1) + "\n"


def _labels(nonce: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "assay-smoke", "assay-run": nonce}


def _no_network(nonce: str) -> dict[str, Any]:
    """Nothing is let in or out, as in a container of one machine; a cluster whose network knows policies holds it."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"assay-smoke-{nonce[:8]}", "labels": _labels(nonce)},
        "spec": {"podSelector": {"matchLabels": {"assay-run": nonce}}, "policyTypes": ["Ingress", "Egress"]},
    }


def _job(about: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    """A pod that a node loses, or that gives way to others, is made again; one whose suite failed is not."""
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "plan", "configMap": {"name": about["name"]}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "4Gi"}},
        ],
    }
    return {
        "backoffLimit": 2,
        "activeDeadlineSeconds": SECONDS,
        "ttlSecondsAfterFinished": 7 * 24 * 3600,
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": "smoke", "operator": "NotIn", "values": [0]},
                },
            ]
        },
        "template": {"metadata": {"labels": about["labels"]}, "spec": pod},
    }


def _container(digest: str, reference: str, limits: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": "smoke",
        "image": reference,
        "args": ["sh", "-c", _PROGRAM],  # by the image's own entrypoint
        "env": [
            {"name": "ASSAY_DIGEST", "value": digest},
            {"name": "ASSAY_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "resources": {"requests": dict(limits), "limits": dict(limits)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "plan", "mountPath": "/run/assay/plan.json", "subPath": "plan.json", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
        ],
    }


def answer_of(name: str, digest: str, log: bytes) -> Answer:
    """The answer that stands in a pod's log, of the image of this name and digest.

    Raises `VerificationFailed` where there is none, or more than one, or it is of another digest.
    """
    lines = log[:LARGEST_LOG].decode(errors="replace").splitlines()
    answers = [line.removeprefix(MARK).strip() for line in lines if line.startswith(MARK)]
    if len(answers) != 2:
        how = "ends without an answer" if len(answers) < 2 else f"has {len(answers) // 2} answers"
        raise VerificationFailed(f"{name}: the log {how}", _TODO)
    try:
        told = strict.parsed(answers[0].encode())
        node, status, seconds = str(told["node"])[:80], int(told["status"]), float(told["seconds"])
        report = _unpacked(base64.b64decode(answers[1], validate=True))
        other = str(told["digest"])
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise VerificationFailed(f"{name}: the log's answer is malformed: {error}", _TODO) from None
    if other != digest:
        what = f"{name}: the log is of another digest, {foreign.shown(other[:19])}, and {digest[:19]} was asked for"
        raise VerificationFailed(what, "Run the job of the manifest that is printed now.")
    printed = "\n".join(line for line in lines if not line.startswith(MARK))
    return Answer(foreign.shown(node), "kubelet", status, seconds, report, printed[-(2**16) :])


def _unpacked(data: bytes) -> bytes:
    """A gzip file of a report, bounded. Raises `ValueError` for one that is larger."""
    if not data:
        return b""
    unpacker = zlib.decompressobj(wbits=31)
    found = unpacker.decompress(data, LARGEST_REPORT + 1)
    if len(found) > LARGEST_REPORT or not unpacker.eof:
        raise ValueError(f"its report is no gzip file of at most {LARGEST_REPORT >> 20} MiB")
    return found
