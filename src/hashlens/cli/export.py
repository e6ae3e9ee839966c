"""``hashlens export``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import ModelName
from hashlens.cli.messages import log
from hashlens.cli.tables import print_facts
from hashlens.cli.verbs import VERBS
from hashlens.outputs import check_file, contains

MARK = b"hashlens-onnx"  # which stands in the files that we write


@VERBS.register("export")
def export(
    model: ModelName,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL.onnx", help="File to write.")],
) -> None:
    """Write a model as an ONNX file, which gives the same packed codes without PyTorch."""
    check_file(output, (".onnx",), "An ONNX model", lambda there: contains(there, MARK))
    from hashlens.models import HashModel, export_onnx

    output.parent.mkdir(parents=True, exist_ok=True)
    agreement = export_onnx(HashModel.load(model), output)
    print_facts(
        {
            "compared with PyTorch on": f"{agreement.items} items",
            "equal bits": f"{agreement.equal_bits:.4%}",
            "largest difference of continuous codes": agreement.largest_difference,
        }
    )
    log.info("Wrote %s.", output)
