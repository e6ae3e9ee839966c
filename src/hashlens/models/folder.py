"""What a folder that is to get a model holds already."""

from __future__ import annotations

from pathlib import Path

from hashlens.errors import BadInput
from hashlens.models.hash_model import CONFIG_FILE, FORMAT
from hashlens.outputs import check_folder, object_in

CHECKPOINTS_FOLDER = "checkpoints"  # of a training that was interrupted


def check_output(folder: Path, overwrite: bool) -> None:
    """Refuse what a model cannot, or must not, be saved to, before it is trained.

    Raises:
        BadInput: it is a file, or holds a model that is not to be replaced, or something that is no model.

    Example:
        >>> check_output(Path("a/new/folder"), overwrite=False)
    """
    check_folder(folder, "a model", _holds_model, (CHECKPOINTS_FOLDER,))
    if _holds_model(folder) and not overwrite:
        raise BadInput(f"{folder} holds a model already; choose another folder, or add --overwrite.")


def _holds_model(folder: Path) -> bool:
    """Whether there is a model, which may be damaged or of a version that we do not know."""
    return object_in(folder / CONFIG_FILE).get("format") == FORMAT
