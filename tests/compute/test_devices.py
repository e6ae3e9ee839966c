"""Which devices there are, and how others are refused."""

from __future__ import annotations

import pytest
import torch

from hashlens.compute.devices import FASTEST, choose_device, encoding_device
from hashlens.errors import BadInput
from refusals import is_one_sentence


@pytest.mark.parametrize("device", ["", "gpu", "mps", "meta", "xpu", "cuda:99", "cpu,cuda"])
@pytest.mark.parametrize("choose", [choose_device, encoding_device])
def test_what_is_no_device_of_ours_is_refused(device: str, choose) -> None:
    with pytest.raises(BadInput, match=f"'{device}'") as refusal:
        choose(device)
    assert is_one_sentence(refusal)


def test_encoding_on_a_processor_takes_the_fastest_way_unless_one_is_named() -> None:
    assert encoding_device() == (torch.device("cuda") if torch.cuda.is_available() else FASTEST)
    assert encoding_device("cpu") == torch.device("cpu")
    assert encoding_device("onnx") == "onnx"
