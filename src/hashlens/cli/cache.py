"""``hashlens cache``"""

from __future__ import annotations

from typing import Annotated

import typer

from hashlens.cache import KINDS, cache_entries, cache_folder, cache_limit, clear_cache, parse_size, set_cache_limit
from hashlens.cli.messages import log
from hashlens.cli.tables import print_facts
from hashlens.cli.verbs import VERBS
from hashlens.errors import BadInput


@VERBS.register("cache")
def cache(
    kinds: Annotated[
        list[str] | None, typer.Argument(metavar="[KIND]...", help=f"To clear: {', '.join(KINDS)}; all by default.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove what is there; it can be made again.")] = False,
    limit: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Keep at most so much of features, as in 20GB; 0 turns their cache off."),
    ] = None,
) -> None:
    """Show what is kept to save work: features of images, networks, data sets; clear it, or limit it."""
    if kinds and not clear:
        raise BadInput(f"Say what to do with {kinds[0]}: hashlens cache --clear {kinds[0]} removes it.")
    if limit is not None:
        set_cache_limit(parse_size(limit))
    if clear:
        log.info(f"Removed {_readable(clear_cache(*kinds or ()))}.")
    entries = cache_entries()
    facts = {"folder": str(cache_folder()), "limit of features": _readable(cache_limit())}
    for kind in KINDS:
        sizes = [entry.size for entry in entries if entry.kind == kind]
        facts[kind] = f"{_readable(sum(sizes))} in {len(sizes)}" if sizes else "none"
    print_facts(facts)


def _readable(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
