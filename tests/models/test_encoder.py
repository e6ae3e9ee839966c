"""A warm encoder: whatever form images have, from however many threads, codes are those of one image at a time."""

from __future__ import annotations

import io
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import hashlens as hl
from hashlens.backbones import Backbone, Preprocessing, extraction
from hashlens.errors import BadInput
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork, HiddenLayers, SkippedImagesWarning
from hashlens.sources import ImageArray
from hashlens.sources.decoding import MAXIMUM_PIXELS
from refusals import is_one_sentence


class Counting(nn.Module):
    """A network that notes how many images came together, and waits at a gate if it is told to."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 8, 8, stride=8)
        self.batches: list[int] = []
        self.started = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def forward(self, pixels: Tensor) -> Tensor:
        self.started.set()
        self.gate.wait(30)
        self.batches.append(len(pixels))
        return self.convolution(pixels).mean((2, 3))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def network() -> Counting:
    return Counting()


@pytest.fixture
def model(network: Counting) -> HashModel:
    backbone = Backbone("counting", network, Preprocessing(32, (0.5,) * 3, (0.25,) * 3), 8)
    torch.manual_seed(1)
    layers = HashNetwork(backbone, HiddenLayers(8, ()), HASH_LAYERS["batch-norm"](8, 24))
    return HashModel(layers, 24, "batch-norm", {"name": "none"}, ("a", "b"))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 40, 48, 3), np.uint8)


def as_png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_every_form_of_an_image_has_the_same_code(model: HashModel, pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(as_png(pixels[0]))
    forms = [path, str(path), as_png(pixels[0]), Image.fromarray(pixels[0]), pixels[0]]
    with model.encoder() as encode:
        (expected,) = encode(ImageArray("one", pixels[:1]))
        for form in forms:
            np.testing.assert_array_equal(encode(form), expected[None])
        np.testing.assert_array_equal(encode(forms), np.repeat(expected[None], len(forms), 0))
        np.testing.assert_array_equal(encode(pixels), model.encode(pixels))
        assert encode.continuous(pixels[0]).shape == (1, 24)


def test_no_form_of_an_image_gets_round_the_limit_of_size(
    model: HashModel, monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray, tmp_path: Path
) -> None:
    for module in ("decoding", "image_list", "image_array", "source"):
        monkeypatch.setattr(f"hashlens.sources.{module}.MAXIMUM_PIXELS", 1000, raising=False)
    path = tmp_path / "large.png"
    path.write_bytes(as_png(pixels[0]))
    assert pixels[0].size // 3 > 1000 < MAXIMUM_PIXELS
    with model.encoder() as encode:
        for form in (path, as_png(pixels[0]), Image.fromarray(pixels[0]), pixels[0], pixels[:1]):
            with pytest.raises(BadInput, match="megapixels") as error:
                encode(form)
            assert is_one_sentence(error)


def test_requests_that_arrive_together_are_encoded_together(
    model: HashModel, network: Counting, pixels: np.ndarray
) -> None:
    model.finetuned = True  # features of a trained backbone are not cached
    expected = model.encode(pixels)
    network.batches.clear()
    with model.encoder(threads=1) as encode, ThreadPoolExecutor(20) as pool:
        network.gate.clear()
        network.started.clear()
        first = pool.submit(encode, pixels[0])
        assert network.started.wait(30)  # the others come while the first is computed
        waiting = [pool.submit(encode, one) for one in pixels[1:]]
        while len(encode._extractor._network._lone) < 19:  # type: ignore[union-attr]
            pass
        network.gate.set()
        codes = np.concatenate([future.result() for future in (first, *waiting)])
    np.testing.assert_array_equal(codes, expected)
    assert network.batches == [1, 19]


def test_a_query_goes_before_what_a_long_request_has_waiting(
    model: HashModel, network: Counting, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "BATCH_SIZE", 4)
    source = ImageArray("noise", np.random.default_rng(1).integers(0, 256, (40, 40, 48, 3), np.uint8))
    with model.encoder(threads=1) as encode, ThreadPoolExecutor(2) as pool:
        network.gate.clear()
        network.started.clear()
        long = pool.submit(encode, source)
        assert network.started.wait(30)
        while not encode._extractor._network._long:  # type: ignore[union-attr]
            pass
        query = pool.submit(encode, pixels[0])
        while not encode._extractor._network._lone:  # type: ignore[union-attr]
            pass
        network.gate.set()
        query.result()
        long.result()
    assert network.batches[:2] == [4, 1]
    assert sum(network.batches) == 41


def test_many_threads_get_the_codes_of_their_own_images(model: HashModel, pixels: np.ndarray) -> None:
    model.finetuned = True
    expected = model.encode(pixels)
    with model.encoder() as encode, ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            found = list(pool.map(encode, pixels))
            np.testing.assert_array_equal(np.concatenate(found), expected)


def test_the_feature_of_a_lone_query_is_not_written_to_disk(
    model: HashModel, network: Counting, pixels: np.ndarray, cache: Path
) -> None:
    with model.encoder() as encode:
        encode(pixels[0])
        encode(pixels[0])
        assert network.batches == [1, 1]
        encode(ImageArray("two", pixels[:2]))
        encode(pixels[1])  # known by now
    assert sum(network.batches) == 4
    assert len(list(cache.glob("*.sqlite"))) == 1


def test_a_cache_that_cannot_be_written_is_done_without(
    model: HashModel, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = model.encode(pixels)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "file"))
    with model.encoder() as encode, pytest.warns(UserWarning, match="feature cache cannot be used") as told:
        np.testing.assert_array_equal(encode(pixels), expected)
        np.testing.assert_array_equal(encode(pixels), expected)
    assert len(told) == 1


def test_weights_are_hashed_once_and_again_when_they_change(
    model: HashModel, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model.fingerprint(), model.backbone.fingerprint()
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.sha256", lambda *_: pytest.fail("hashed again"))
        for _ in range(3):
            model.encode(pixels[0])
        assert (model.fingerprint(), model.backbone.fingerprint()) == before
    with torch.no_grad():
        model.backbone.network.convolution.bias.add_(1)
    assert model.fingerprint() != before[0]
    assert model.backbone.fingerprint() != before[1]


def test_encoding_is_silent_unless_asked(
    model: HashModel, pixels: np.ndarray, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    model.encode(pixels)
    assert capfd.readouterr() == ("", "")
    steps: list[tuple[str, int]] = []

    class Bar:
        def __init__(self, description: str, total: int) -> None:
            steps.append((description, total))

        def __enter__(self):
            return lambda count=1, note="": steps.append(("advance", count))

        def __exit__(self, *_: object) -> None:
            steps.append(("done", 0))

    with model.encoder(progress=Bar) as encode:
        encode(pixels)
    assert steps[0] == ("Encoding", 20)
    assert sum(count for what, count in steps if what == "advance") == 20
    assert steps[-1] == ("done", 0)


def test_unreadable_images_are_told_and_the_others_encoded(model: HashModel, pixels: np.ndarray) -> None:
    with model.encoder() as encode:
        with pytest.warns(SkippedImagesWarning, match=r"1 of 2 images .* empty"):
            assert len(encode([b"", pixels[0]])) == 1
        with pytest.raises(BadInput, match="could be read"):
            encode(b"no image")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(encode(pixels[:3])) == 3
        with pytest.raises(BadInput, match="holds features"):
            encode(np.ones((2, 8), np.float32))


def test_given_features_need_no_backbone() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    model = hl.fit(hl.sources.FeatureArray("mine", x, np.arange(40) % 2), "orthohash", 16, epochs=1, device="cpu")
    with model.encoder() as encode:
        np.testing.assert_array_equal(encode(x), model.encode(x))
        np.testing.assert_array_equal(encode(x[3]), model.encode(x)[3:4])
        with pytest.raises(BadInput, match="length 5"):
            encode(x[:, :5])


def test_the_model_stays_where_it_is(model: HashModel, pixels: np.ndarray) -> None:
    device = next(model.network.parameters()).device
    with model.encoder("cpu") as encode:
        encode(pixels[0])
    assert next(model.network.parameters()).device == device
