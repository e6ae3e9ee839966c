"""Running the service until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from hashlens import engines
from hashlens.catalogue import Catalogue
from hashlens.errors import BadInput
from hashlens.service.app import BODY_BYTES, WAITING, create_app
from hashlens.service.on_ray import replicated, wait_for_signal
from hashlens.tokens import read_token

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SECONDS_TO_FINISH = 30  # for requests under way when the service is told to stop
# A connection without requests. Longer than clients and proxies keep one (5 to 60 seconds), so that it is they who
# close it, and never the service in the moment in which a request arrives.
SECONDS_KEPT = 75

log = logging.getLogger("hashlens")


def serve(
    index: str | os.PathLike[str],
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: str | os.PathLike[str] | None = None,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    body_bytes: int = BODY_BYTES,
    waiting: int = WAITING,
    device: str | None = None,
    engine: str | None = None,
    ray: str | None = None,
    replicas: int = 1,
) -> None:
    """Serve an index until SIGTERM or Ctrl-C; what is under way then is finished first.

    Args:
        index: a folder written by ``hashlens index``.
        host, port: address to listen at; port 0 takes a free one. Its URL is logged.
        token_file: a file that holds the token; needed where others can reach the address.
        hosts, origins, body_bytes, waiting, device: see :func:`hashlens.service.create_app`.
        engine: address of what is searched in place of the index's own codes, see
            :meth:`hashlens.Catalogue.searched_in`.
        ray: serve on the Ray cluster at this address, see
            :func:`hashlens.compute.ray_cluster.connected`.
        replicas: processes that answer, on Ray.

    Raises:
        BadInput: there is no such index or engine, the address cannot be had, or it can be reached from elsewhere
            and there is no token.

    Example:
        >>> serve("nowhere")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: There is no index at nowhere; make one with hashlens index.
        >>> serve("nowhere", host="0.0.0.0")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: Others could reach 0.0.0.0, so the service needs a token there; write one into a \
file and name it with --token-file.
    """
    if host not in LOOPBACK and token_file is None:
        raise BadInput(
            f"Others could reach {host}, so the service needs a token there; write one into a file and name it "
            "with --token-file."
        )
    token = None if token_file is None else read_token(token_file)
    if replicas != 1 and ray is None:
        raise BadInput("Several replicas are run on Ray; add --ray.")
    images = len(Catalogue.open(index))

    def build() -> FastAPI:
        catalogue = Catalogue.open(index)
        if engine is not None:
            catalogue = catalogue.searched_in(engines.open(engine))
        return create_app(catalogue, token, [host, *hosts], origins, body_bytes, waiting, device)

    with _listening(host, port) as listener:
        port = listener.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        started = f"{images:,} images of {index} at http://{name}:{port} (Ctrl-C ends it)"
        if ray is None:
            app = build()
            listener.listen()  # so that whoever comes once the address is told waits, instead of being turned away
            config = uvicorn.Config(
                app, log_level="warning", access_log=False, server_header=False,
                timeout_graceful_shutdown=SECONDS_TO_FINISH, timeout_keep_alive=SECONDS_KEPT,
            )  # fmt: skip
            log.info(started)
            with _ending_quietly():
                uvicorn.Server(config).run(sockets=[listener])
            return
    with replicated(build, host, port, ray, replicas, waiting):
        log.info(started)
        wait_for_signal()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens, taken before anything slow is done.

    Raises:
        BadInput: the port is taken or not allowed, or the host is none of this machine's.
    """
    if not 0 <= port <= 65_535:  # the system would take it modulo 65,536
        raise BadInput(f"There is no port {port}; choose one from 0 to 65535 with --port.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise BadInput(f"The service cannot listen at {host}, port {port} ({error}).") from None
    with listener:
        try:
            if os.name == "posix":  # else a port stays taken for a minute after a service has ended
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as error:
            raise BadInput(
                f"The service cannot listen at {host}, port {port} ({error.strerror}); choose another with --port."
            ) from None
        yield listener


@contextmanager
def _ending_quietly() -> Iterator[None]:
    """Let the signals that end the server, which it raises again when it has ended, do nothing more."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
