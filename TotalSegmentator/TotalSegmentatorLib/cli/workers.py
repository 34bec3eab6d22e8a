"""Several runs at once, each with an engine process of its own."""

from __future__ import annotations

import dataclasses
import os
import queue
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from .. import environment
from ..environment.drivers import find_driver
from ..jobs import Job, JobContext
from ..session import Settings

T = TypeVar("T")
S = TypeVar("S")  # settings of a worker
_LOOK_S = 0.05
#: Tells the engine process which GPUs there are; it counts those only.
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def workers_of(settings: Settings, count: int, device: str) -> list[Settings]:
    """The settings of each worker.

    The GPUs are shared out unless one was named: a worker's engine process sees only its own. So
    all get the same request, and give the same result.

    :param count: of the workers; with more of them than GPUs, some take turns.
    :param device: what was asked for, see :class:`~..jobs.Request`.
    :raises SetupError: see :func:`~..environment.probe`.
    """
    if count == 1:
        return [settings]
    # How long a run takes beside others says nothing about one that is alone.
    settings = dataclasses.replace(settings, at_once=count, remember_runs=False)
    may_share = device in ("auto", "gpu") and find_driver(settings.engine.variables).gpus
    gpus = _each_gpu(settings) if may_share else []
    return [gpus[number % len(gpus)] if gpus else settings for number in range(count)]


def _each_gpu(settings: Settings) -> list[Settings]:
    """The settings for each GPU, as if it were the only one; none if PyTorch can use none."""
    hardware = environment.probe(settings.engine)
    *gpus, processor = hardware.devices
    variables = settings.engine.variables
    variables = dict(os.environ if variables is None else variables)
    names = variables[_VISIBLE].split(",") if _VISIBLE in variables else map(str, range(len(gpus)))
    found = []
    for gpu, name in zip(gpus, names, strict=False):
        engine = dataclasses.replace(settings.engine, variables={**variables, _VISIBLE: name})
        devices = (dataclasses.replace(gpu, id="gpu:0"), processor)
        seen = dataclasses.replace(hardware, devices=devices)
        found.append(dataclasses.replace(settings, engine=engine, hardware=seen))
    return found


def work_off(
    items: Iterable[T], workers: Sequence[S], work: Callable[[T, S, JobContext], None]
) -> None:
    """Do work for every item, as many at once as there are workers, and wait for the end.

    :param work: is called in a worker's thread, and comes back soon after its context is cancelled.
    :raises Exception: what broke off the waiting, or the first error that ``work`` raised; nothing
        goes on then.
    """
    waiting: queue.SimpleQueue[T | None] = queue.SimpleQueue()
    for item in (*items, *(None for _ in workers)):
        waiting.put(item)

    def job_of(settings: S) -> Job[None]:
        def serve(context: JobContext) -> None:
            for item in iter(waiting.get, None):
                context.check()
                work(item, settings, context)

        return Job(serve)

    jobs = [job_of(settings) for settings in workers]
    try:
        for job in jobs:  # here, as a signal may break in between two
            job.start()
        while [job for job in jobs if job.poll()] and not any(job.error for job in jobs):
            time.sleep(_LOOK_S)
        errors = [job.error for job in jobs if job.error]
    finally:
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.join()
    if errors:
        raise errors[0]
