"""Certify images on a cluster: Slurm places, retries and bounds the jobs; reports are judged on the host, as ever."""

from assay.cluster.slurm import Wishes
from assay.cluster.watch import Place, certify, script

__all__ = ["Place", "Wishes", "certify", "script"]
