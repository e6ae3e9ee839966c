"""What a folder that is to get a model holds already."""

from __future__ import annotations

from pathlib import Path

from hashlens.errors import BadInput
from hashlens.models.hash_model import CONFIG_FILE


def check_output(folder: Path, overwrite: bool) -> None:
    """Refuse what a model cannot, or must not, be saved to, before it is trained.

    Raises:
        BadInput: it is a file, or holds a model that is not to be replaced.

    Example:
        >>> check_output(Path("a/new/folder"), overwrite=False)
    """
    if (folder / CONFIG_FILE).exists() and not overwrite:
        raise BadInput(f"{folder} holds a model already; choose another folder, or add --overwrite.")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; give a folder for the model.")
