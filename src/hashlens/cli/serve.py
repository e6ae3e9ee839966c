"""``hashlens serve``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import EncodingDevice
from hashlens.cli.verbs import VERBS


@VERBS.register("serve")
def serve(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="A folder written by hashlens index.")],
    host: Annotated[str, typer.Option(help="Address to listen at; any but this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the token that requests must show.")
    ] = None,
    hosts: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Name that the service may be called by, as by a proxy."),
    ] = None,
    origins: Annotated[
        list[str] | None,
        typer.Option("--cors", metavar="ORIGIN", help="Origin of other pages that may ask from a browser."),
    ] = None,
    body_mib: Annotated[int, typer.Option(min=1, max=1024, help="Most MiB of a request.")] = 32,
    queue: Annotated[int, typer.Option(min=1, help="Most images that may wait to be encoded.")] = 256,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE", help="Search in this table of hashlens copy, such as postgresql://…?table=T, instead."
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]", help="Serve on this Ray cluster, or on one of all cores of this machine."
        ),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Processes that answer, with --ray.")] = 1,
    device: EncodingDevice = None,
) -> None:
    """Search an index in the browser, and by REST."""
    from hashlens.service import serve

    serve(
        index,
        host,
        port,
        token_file,
        hosts or (),
        origins or (),
        body_mib << 20,
        queue,
        device,
        engine,
        ray,
        replicas,
    )
