"""Worker processes for frameworks that have none of their own: Python's multiprocessing, and its shared memory.

The workers import NumPy and this file, never a framework: they are started afresh, since a fork of a process with a
framework's threads in it may wait forever.
"""

from __future__ import annotations

import errno
import multiprocessing
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from smoke import data
from smoke.machine import host

SECONDS = 60


def batches(count: int, workers: int) -> Iterator[np.ndarray]:
    """Batches 0 .. count-1 in order, (64, 128, 128) float32, through ``workers`` processes and /dev/shm.

    Raises OSError if /dev/shm has no room for one batch a worker, RuntimeError if a worker does not answer.
    """
    context = multiprocessing.get_context("spawn")
    size = int(np.prod(data.BATCH_SHAPE)) * 4
    _check_room(size * workers)
    blocks = [SharedMemory(create=True, size=size) for _ in range(workers)]
    pool = context.Pool(workers)
    try:
        for start in range(0, count, workers):
            numbers = range(start, min(start + workers, count))
            jobs = [pool.apply_async(_fill, (index, blocks[index - start].name)) for index in numbers]
            for job, block in zip(jobs, blocks):
                _wait(job)
                yield np.ndarray(data.BATCH_SHAPE, np.float32, block.buf).copy()
    finally:
        pool.terminate()
        pool.join()
        for block in blocks:
            block.close()
            block.unlink()


def _check_room(needed: int) -> None:
    """Memory is promised freely and missed only when it is written to: then the kernel kills the worker."""
    room = host.shm_room()
    if room < needed:
        raise OSError(errno.ENOSPC, f"{room} bytes left in /dev/shm, the workers need {needed}")


def _wait(job: multiprocessing.pool.AsyncResult[None]) -> None:
    try:
        job.get(SECONDS)
    except multiprocessing.TimeoutError:
        raise RuntimeError(f"a loader's worker did not answer within {SECONDS} s") from None


def _fill(index: int, name: str) -> None:
    block = SharedMemory(name=name)
    try:
        np.ndarray(data.BATCH_SHAPE, np.float32, block.buf)[:] = data.batch(index)
    finally:
        block.close()
