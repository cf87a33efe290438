"""The content of local images: their blobs, from containerd where we may ask it, else from ``docker save``."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from typing import IO, Any, cast

from assay.engine.connection import Connection
from assay.errors import EngineMissing
from assay.host import process
from assay.host.tars import Reader


class Content(Connection):
    """Reads the content of images."""

    def manifest(self, digest: str, reference: str) -> dict[str, Any]:
        """Return the JSON of an image's manifest. Raises `EngineMissing` if the engine does not have it."""
        if self.environment.get("ASSAY_CONTAINERD"):
            asked = self.ctr("content", "get", digest)
            if asked.returncode == 0:
                return cast("dict[str, Any]", json.loads(asked.stdout))
        for _, blob in self.content(reference, [digest]):
            return cast("dict[str, Any]", json.load(blob))
        raise _not_kept(digest)

    def content(self, reference: str, digests: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield blobs of a local image with their digests, each as a file that is closed when the next one comes.

        ``docker save`` sends the whole image even for a few blobs, so containerd is asked first.
        Raises `EngineMissing` for a blob that the engine does not have, or whose bytes do not match its digest.
        """
        left = set(digests)
        for digest in sorted(left) if "ASSAY_CONTAINERD" in self.environment else ():
            with tempfile.TemporaryFile() as file:
                argv = self._ctr_argv("content", "get", digest)
                if process.run_into(argv, file, env=self.environment).returncode == 0:
                    yield digest, _whole(file, digest)
                    left.discard(digest)
        if left:
            yield from self._saved_content(reference, left)

    def _saved_content(self, reference: str, left: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
        with self.saved(reference) as archive:
            for member in archive:
                digest = member.name.removeprefix("blobs/").replace("/", ":")
                stream = archive.extractfile(member) if digest in left else None
                if stream is not None:
                    with tempfile.TemporaryFile() as file:
                        shutil.copyfileobj(stream, file, 2**20)
                        yield digest, _whole(file, digest)
                    left.discard(digest)
        for digest in left:
            raise _not_kept(digest)

    @contextlib.contextmanager
    def saved(self, reference: str) -> Iterator[tarfile.TarFile]:
        """Open an image as a stream of an OCI layout's files; read the members in order."""
        chunks = self.client.api.get_image(reference, chunk_size=2**20)
        with tarfile.open(fileobj=cast("IO[bytes]", Reader(chunks)), mode="r|") as archive:
            yield archive

    def ctr(self, *arguments: str) -> process.Completed:
        """Run a command of the embedded engine's containerd."""
        return process.run(self._ctr_argv(*arguments), env=self.environment, timeout=300)

    def _ctr_argv(self, *arguments: str) -> list[str]:
        return ["ctr", "--address", self.environment["ASSAY_CONTAINERD"], "--namespace", "moby", *arguments]


def _whole(file: IO[bytes], digest: str) -> IO[bytes]:
    """Return the file, rewound, if its bytes match the digest."""
    file.seek(0)
    if f"sha256:{hashlib.file_digest(cast(Any, file), 'sha256').hexdigest()}" != digest:
        raise EngineMissing(
            f"the engine's own copy of {digest[:19]} is damaged", "Build the image again: `assay build --no-cache`."
        )
    file.seek(0)
    return file


def _not_kept(digest: str) -> EngineMissing:
    return EngineMissing(
        f"the engine has no content {digest}", "Turn on its containerd image store, or use the embedded engine."
    )
