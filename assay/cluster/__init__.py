"""Certify images on a cluster: it places, retries and bounds the jobs; reports are judged on the host, as ever."""

from assay.cluster.by_hand import collect, manifest, script
from assay.cluster.place import Place, Wishes
from assay.cluster.watch import certify

__all__ = ["Place", "Wishes", "certify", "collect", "manifest", "script"]
