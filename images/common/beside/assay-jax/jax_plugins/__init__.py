"""JAX's plug-ins. Where there is no NVIDIA device, JAX starts none of them for CUDA, and need not check CUDA either.

Before anything else JAX's plug-in for CUDA asks the driver how many GPUs there are. Without a driver that ends in a
traceback of twenty lines on standard error, though nothing is wrong, and JAX goes on without CUDA. The condition is
JAX's own for leaving CUDA out, so that no GPU is ever hidden. Where a device is there, JAX checks, and says what it
finds.
"""

import os
import pkgutil

# This folder was a namespace package, which may have parts elsewhere, and still has them.
__path__ = pkgutil.extend_path(__path__, __name__)

try:
    from jax._src.hardware_utils import has_visible_nvidia_gpu
except ImportError:  # another JAX, installed later: it does as it always does
    pass
else:
    if not has_visible_nvidia_gpu():
        os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
