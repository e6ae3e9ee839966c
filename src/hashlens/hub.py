"""The Hugging Face Hub: addresses of what it holds, files fetched from it, and folders sent to it.

``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HOME`` and ``HF_HUB_CACHE`` mean what they mean to its own client.
"""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from hashlens.errors import BadInput, first_line

log = logging.getLogger("hashlens")

PREFIX = "hf://"
_ADDRESS = re.compile(
    r"hf://(?P<dataset>datasets/)?(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[^/@:#]+))?(/(?P<path>[^:#]+))?"
)


@dataclass(frozen=True)
class Address:
    """A repository on the Hub, or something in it.

    Attributes:
        repository: ``user/name``.
        dataset: whether it holds data, and not a model.
        revision: branch, tag or commit; the newest where it is ``None``.
        path: of a folder or file in it; all of it where it is empty.

    Example:
        >>> str(Address("me/shoes", dataset=True, revision="v1", path="data"))
        'hf://datasets/me/shoes@v1/data'
    """

    repository: str
    dataset: bool = False
    revision: str | None = None
    path: str = ""

    def __str__(self) -> str:
        kind = "datasets/" if self.dataset else ""
        revision = f"@{quote(self.revision, safe='')}" if self.revision else ""
        return f"{PREFIX}{kind}{self.repository}{revision}" + (f"/{self.path}" if self.path else "")

    @property
    def kind(self) -> str:
        """As the Hub calls it."""
        return "dataset" if self.dataset else "model"


@dataclass(frozen=True)
class Listing:
    """What the repository of a data set holds.

    Attributes:
        address: of it, at the commit that was listed.
        files: their paths.
        card: what its card says at the top.

    Example:
        >>> Listing(Address("me/shoes", dataset=True), ["train.parquet"], {"license": "mit"}).card["license"]
        'mit'
    """

    address: Address
    files: Sequence[str]
    card: dict[str, Any]


def is_address(text: object) -> bool:
    """Whether this means something on the Hub.

    Example:
        >>> is_address("hf://me/shoes"), is_address("shoes")
        (True, False)
    """
    return isinstance(text, str) and text.startswith(PREFIX)


def parse_address(text: str) -> Address:
    """``hf://user/name`` or ``hf://datasets/user/name``, each with ``@revision`` and ``/path`` behind it or not.

    Raises:
        BadInput: it is neither.

    Example:
        >>> parse_address("hf://datasets/me/shoes@v1/data")
        Address(repository='me/shoes', dataset=True, revision='v1', path='data')
    """
    found = _ADDRESS.fullmatch(text)
    if (
        found is None
        or ".." in text.split("/")
        or (not found["dataset"] and found["repository"][:9] == "datasets/")
    ):
        kind = "datasets/" if text.startswith(f"{PREFIX}datasets") else ""
        raise BadInput(f"'{text}' is no address on the Hugging Face Hub; write {PREFIX}{kind}user/name.")
    revision = unquote(found["revision"]) if found["revision"] else None
    return Address(found["repository"], found["dataset"] is not None, revision, found["path"] or "")


def fetch_files(address: Address, names: Sequence[str]) -> Path:
    """These files of a repository, all of one commit, and nothing else of it; the folder that they are in.

    What has been fetched before is kept, and serves without a network.

    Raises:
        BadInput: the repository cannot be had, or lacks one of the files.

    Example:
        >>> fetch_files(Address("me/shoes-hash"), ["config.json"]).name  # doctest: +SKIP
        '5f5e1002f25d6c0ec0e4e8c2a9f6a0c4f8b4c7e1'
    """
    from huggingface_hub import snapshot_download

    with _told(address), _without_bars():
        folder = snapshot_download(
            address.repository,
            repo_type=address.kind,
            revision=address.revision,
            allow_patterns=[glob.escape(name) for name in names],
            **_here(),
            cache_dir=_cache(),
        )
    for name in names:
        if not Path(folder, name).is_file():
            raise BadInput(f"{address} has no file {name}.")
    return Path(folder)


def fetch_file(address: Address) -> Path:
    """The file at an address; without a network, where the address names a commit and the file was fetched before.

    Raises:
        BadInput: it cannot be had.

    Example:
        >>> fetch_file(Address("me/shoes", dataset=True, path="train.parquet")).name  # doctest: +SKIP
        'train.parquet'
    """
    from huggingface_hub import hf_hub_download

    with _told(address), _without_bars():
        return Path(
            hf_hub_download(
                address.repository,
                address.path,
                repo_type=address.kind,
                revision=address.revision,
                **_here(),
                cache_dir=_cache(),
            )
        )


def list_files(address: Address) -> Listing:
    """What a data set's repository holds now, or at the revision of the address.

    Raises:
        BadInput: it cannot be had.

    Example:
        >>> list_files(Address("me/shoes", dataset=True)).files  # doctest: +SKIP
        ['README.md', 'train.parquet']
    """
    from huggingface_hub import HfApi

    with _told(address):
        info = HfApi(**_here()).dataset_info(address.repository, revision=address.revision)
    card = info.card_data.to_dict() if info.card_data else {}
    files = sorted(one.rfilename for one in info.siblings or [])
    return Listing(replace(address, revision=info.sha), files, card)


def send_folder(folder: str | os.PathLike[str], address: Address, message: str, private: bool = False) -> str:
    """Upload the files of a folder as one commit; the repository is made if need be.

    Returns:
        The address of the repository for a browser.

    Raises:
        BadInput: the Hub does not take it, for example as nobody is logged in.

    Example:
        >>> send_folder("model", Address("me/shoes-hash"), "A better one")  # doctest: +SKIP
        'https://huggingface.co/me/shoes-hash'
    """
    from huggingface_hub import HfApi

    with _told(address), _without_bars():
        api = HfApi(**_here())
        # An existing repository stays as private or public as it is.
        made = api.create_repo(address.repository, repo_type=address.kind, private=private, exist_ok=True)
        api.upload_folder(
            folder_path=str(folder),
            repo_id=address.repository,
            repo_type=address.kind,
            revision=address.revision,
            commit_message=message,
        )
    return str(made)


def _here() -> dict[str, Any]:
    """Read at every call, as the client reads them but once."""
    return {
        "endpoint": os.environ.get("HF_ENDPOINT") or None,
        "library_name": "hashlens",
        "library_version": version("hashlens"),
    }


def _cache() -> str | None:
    return os.environ.get("HF_HUB_CACHE") or None


@contextmanager
def _told(address: Address) -> Iterator[None]:
    """What the client raises, as a sentence."""
    from huggingface_hub import errors

    # The second is the base of all that its HTTP library raises, whichever that is in its version.
    refusals: tuple[type[Exception], ...] = (
        errors.EntryNotFoundError,
        errors.HfHubHTTPError.__mro__[1],
        OSError,
        ValueError,
    )
    try:
        yield
    except errors.GatedRepoError:
        raise BadInput(f"{address} is gated: ask for access on its page, and log in with hf auth login.") from None
    except errors.RepositoryNotFoundError:
        raise BadInput(
            f"There is no {address} on the Hugging Face Hub that you may see; for what is private, and to push, "
            "log in with hf auth login or set HF_TOKEN."
        ) from None
    except errors.RevisionNotFoundError:
        raise BadInput(f"{address} names a revision that the repository does not have.") from None
    except refusals as error:
        missing, local = errors.EntryNotFoundError, errors.LocalEntryNotFoundError  # that is: no network
        if isinstance(error, missing) and not isinstance(error, local):
            raise BadInput(f"There is no file {address} on the Hugging Face Hub.") from None
        code = getattr(getattr(error, "response", None), "status_code", None)
        if code in (401, 403):
            reason = "log in as someone who may with hf auth login, or set HF_TOKEN"
            raise BadInput(f"The Hugging Face Hub does not let you do this with {address}; {reason}.") from None
        raise BadInput(f"{address} cannot be had from the Hugging Face Hub ({first_line(error)}).") from None


@contextmanager
def _without_bars() -> Iterator[None]:
    """Library calls print nothing."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    disabled = are_progress_bars_disabled()
    if not disabled:
        disable_progress_bars()
    try:
        yield
    finally:
        if not disabled:
            enable_progress_bars()
