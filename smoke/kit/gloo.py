"""JAX's gloo without a network."""

from __future__ import annotations

import functools
from typing import Any


def on_one_address(library: Any, address: str) -> None:
    """Lets gloo, of ``library``, use this address: it looks up the host's name unless it is told one, and a container
    without a network has no entry for it. jaxlib can be told, but JAX has no setting for that.
    """
    library.make_gloo_tcp_collectives = functools.partial(library.make_gloo_tcp_collectives, hostname=address)
