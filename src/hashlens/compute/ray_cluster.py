"""A Ray cluster to spread work over."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from hashlens.errors import BadInput, first_line

LOCAL = "local"  # Ray's name for a cluster of its own
SECONDS_TO_CONNECT = 10


@contextmanager
def connected(address: str = "") -> Iterator[None]:
    """Ray for the length of a block: what is connected already, the cluster at an address, or one of this machine.

    Args:
        address: of a cluster, such as ``10.0.0.1:6379``, or ``auto`` for one that this machine belongs to; where it
            is empty, that in ``RAY_ADDRESS``, or a new one of all cores of this machine, which ends with the block.

    Raises:
        BadInput: Ray is not installed, there is no cluster at the address, this process is connected to another
            one, or none of its nodes has a processor.

    Example:
        >>> with connected("10.0.0.1:6379"):  # doctest: +SKIP
        ...     ray.cluster_resources()["CPU"]
        64.0
    """
    if importlib.util.find_spec("ray") is None:
        raise BadInput("ray is not installed; run: pip install 'hashlens[ray]'.")
    import ray

    address = address or os.environ.get("RAY_ADDRESS", LOCAL)
    ours = not ray.is_initialized()
    if not ours and ":" in address and address != ray.get_runtime_context().gcs_address:
        raise BadInput(
            f"This process is connected to the Ray cluster at {ray.get_runtime_context().gcs_address}, so not to "
            f"{address}; call ray.shutdown() first."
        )
    on_term = signal.getsignal(signal.SIGTERM)
    if ours:
        try:
            _check_answers(address)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice that is not for our users
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise BadInput(f"There is no Ray cluster at {address} ({first_line(error)}).") from None
    try:
        if ray.cluster_resources().get("CPU", 0) < 1:
            raise BadInput("The Ray cluster has no processors to work with; add nodes with ray start --address.")
        yield
    finally:
        if ours:
            ray.shutdown()
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_term)  # Ray has put its own in place of it


def _check_answers(address: str) -> None:
    """Raise an ``OSError`` if nobody listens at an address, for which Ray itself would look for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()
