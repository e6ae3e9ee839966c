"""The service on Ray Serve: several replicas behind one address."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from hashlens.compute.ray_cluster import connected
from hashlens.errors import BadInput, first_line

QUIETLY = {"log_level": "ERROR", "enable_access_log": False}


@contextmanager
def replicated(
    build: Callable[[], FastAPI], host: str, port: int, address: str, replicas: int, waiting: int
) -> Iterator[None]:
    """An application on a Ray cluster for the length of a block.

    Args:
        build: makes the application, in each replica; what it opens must be on a disk that all nodes see.
        host, port: address to listen at, on the head node.
        address: of the cluster, see :func:`hashlens.compute.ray_cluster.connected`.
        replicas: processes that answer requests; each takes one processor.
        waiting: most requests that a replica works on at a time.

    Raises:
        BadInput: there is no such cluster, it is too small, Ray Serve runs there at another address, or a replica
            cannot start.

    Example:
        >>> with replicated(build, "127.0.0.1", 8000, "", 2, 256):  # doctest: +SKIP
        ...     httpx.get("http://127.0.0.1:8000/health").json()["status"]
        'ok'
    """
    with connected(address):
        import ray
        from ray import serve

        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        there = int(ray.cluster_resources().get("CPU", 0))
        if replicas > there:
            raise BadInput(f"{replicas} replicas need as many processors, and the Ray cluster has {there}.")
        serve.start(http_options={"host": host, "port": port}, logging_config=QUIETLY)
        try:
            deployment = serve.deployment(
                num_replicas=replicas,
                max_ongoing_requests=waiting,
                ray_actor_options={"num_cpus": 1},
                logging_config=QUIETLY,
            )(serve.ingress(build)(_Service))
            try:
                serve.run(deployment.bind(), name="hashlens")
            except RuntimeError as error:
                raise BadInput(f"The service cannot start on Ray ({first_line(error)}).") from None
            yield
        finally:
            serve.shutdown()


class _Service:
    """What Ray Serve makes a replica of; the application in it is all there is."""


def wait_for_signal() -> None:
    """Wait until the process is told to stop, by SIGTERM or Ctrl-C."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
