"""Bases ahead of the build: they need no engine, and are bootstrapped while that is still fetched and started."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from assay import rootfs
from assay.build.watching import Options, View, tell_rootfs
from assay.catalog import Catalog, Image, read_images
from assay.host import process
from assay.rootfs import Rootfs


class Ahead:
    """Makes the root file systems of bases that were never built here, one after the other, once it is begun.

    Left by an exception, it ends what it runs. A base that it has not come to is left to whoever asks for it. A build
    that takes from it has its ``stop``: one Ctrl-C ends the waiting of both.
    """

    def __init__(self, cat: Catalog, names: Iterable[str], view: View, options: Options) -> None:
        self._view, self._options = view, options
        built = read_images(cat.root).images
        self._bases = [image for image in cat.order(names) if image.suite and image.name not in built]
        self.stop = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
        self._made: dict[str, Future[Rootfs]] = {}

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        if error is not None:
            process.end_all()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def begin(self) -> None:
        """Begin, unless it has; what is built without the cache is never made ahead."""
        if not self._made and not self._options.no_cache:
            self._made = {image.name: self._pool.submit(self._make, image) for image in self._bases}

    def take(self, name: str) -> Rootfs | None:
        """The root file system of a base, once it is made, or what was raised for it; None if it was not begun."""
        made = self._made.pop(name, None)
        if made is None or made.cancel():
            return None
        return made.result()

    def _make(self, image: Image) -> Rootfs:
        how = rootfs.How(locked=self._options.locked, refresh=self._options.refresh, stop=self.stop)
        try:
            return rootfs.rootfs(image, tell_rootfs(self._view, image, image.name), how)
        finally:
            self._view.phase(image.name, "")  # what comes next of it may be long after
