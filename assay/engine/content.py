"""The content of local images: their blobs, from containerd where we may read it, else from ``docker save``."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import IO, Any, cast

from assay.engine.connection import Connection
from assay.errors import EngineMissing
from assay.host import process
from assay.host.tars import Reader


class Content(Connection):
    """Reads the content of images."""

    def manifest(self, digest: str, reference: str) -> dict[str, Any]:
        """Return the JSON of an image's manifest. Raises `EngineMissing` if the engine does not have it."""
        for _, blob in self.content(reference, [digest]):
            return cast("dict[str, Any]", json.load(blob))
        raise _not_kept(digest)

    def content(self, reference: str, digests: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield blobs of a local image with their digests, each as a file that is closed when the next one comes.

        Raises `EngineMissing` for a blob that the engine does not have, or whose bytes do not match its digest.
        """
        for digest, file in self.files(reference, digests):
            with file:
                require_whole(file, digest)
                yield digest, file

    def files(self, reference: str, digests: Collection[str]) -> Generator[tuple[str, IO[bytes]], None, None]:
        """Yield blobs of a local image with their digests, each as a file that is the caller's to close.

        Whether they are whole is for the caller to find out (`require_whole`): to read a layer takes seconds. What
        containerd keeps comes first, in the order that was asked for: ``docker save`` sends the whole image even for
        a few blobs, and takes room for each. Raises `EngineMissing` for a blob that the engine does not have.
        """
        left = set(digests)
        for digest in dict.fromkeys(digests):
            kept = self._kept(digest)
            if kept is not None:
                left.discard(digest)
                yield digest, kept
        if left:
            yield from self._saved_files(reference, left)

    def _kept(self, digest: str) -> IO[bytes] | None:
        """Open the file in which the embedded engine's containerd keeps a blob; None where it has none there."""
        if "ASSAY_CONTAINERD" not in self.environment:
            return None
        store = self.data_root() / "containerd/daemon/io.containerd.content.v1.content/blobs"
        with contextlib.suppress(OSError):
            return Path(store, *digest.split(":")).open("rb")
        return None

    def _saved_files(self, reference: str, left: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
        with self.saved(reference) as archive:
            for member in archive:
                digest = member.name.removeprefix("blobs/").replace("/", ":")
                stream = archive.extractfile(member) if digest in left else None
                if stream is not None:
                    left.discard(digest)
                    yield digest, _spooled(stream)
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
        address = self.environment["ASSAY_CONTAINERD"]
        argv = ["ctr", "--address", address, "--namespace", "moby", *arguments]
        return process.run(argv, env=self.environment, timeout=300)


def require_whole(file: IO[bytes], digest: str) -> None:
    """Raise `EngineMissing` unless a blob's bytes match its digest; the file is rewound."""
    file.seek(0)
    if f"sha256:{hashlib.file_digest(cast(Any, file), 'sha256').hexdigest()}" != digest:
        raise EngineMissing(
            f"the engine's own copy of {digest[:19]} is damaged", "Build the image again: `assay build --no-cache`."
        )
    file.seek(0)


def _spooled(stream: IO[bytes]) -> IO[bytes]:
    file = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115 - whoever asked for it closes it
    try:
        shutil.copyfileobj(stream, file, 2**20)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _not_kept(digest: str) -> EngineMissing:
    return EngineMissing(
        f"the engine has no content {digest}", "Turn on its containerd image store, or use the embedded engine."
    )
