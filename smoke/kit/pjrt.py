"""What JAX's plug-in for CUDA was built for and what it asks for (JAX, Keras on JAX). Standard library only."""

from __future__ import annotations

from typing import Any

from smoke.installed import packages


def cuda(versions: Any) -> dict[str, Any]:
    """The plug-in's CUDA and cuDNN, from the module that JAX itself asks before it starts on a GPU; None without one.

    Unlike others, JAX says that it also runs on older minors than its own: its package names the oldest.
    """
    if versions is None:
        return {"cuda": None, "cudnn": None}
    number, cudnn = versions.cuda_runtime_build_version(), versions.cudnn_build_version()
    major = number // 1000
    plugin = f"jax-cuda{major}-plugin"
    suffix = f"-cu{major}" if major < 13 else ""  # NVIDIA's packages for CUDA 13 bear no number, but for cuDNN's
    return {
        "cuda": f"{major}.{number % 1000 // 10}",
        "cuda_oldest": packages.oldest(plugin, "nvidia-cuda-runtime" + suffix),
        "cudnn": f"{cudnn // 10000}.{cudnn % 10000 // 100}.{cudnn % 100}",
        "cudnn_oldest": packages.oldest(plugin, f"nvidia-cudnn-cu{major}"),
    }
