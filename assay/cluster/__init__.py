"""Certify images on a cluster: Slurm places, retries and bounds the jobs; reports are judged on the host, as ever."""

from assay.cluster.slurm import Wishes
from assay.cluster.smoke import Place, script, smoke

__all__ = ["Place", "Wishes", "script", "smoke"]
