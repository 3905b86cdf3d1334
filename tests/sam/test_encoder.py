"""The image encoder, the resize and the features, against segment_anything's own."""

from __future__ import annotations

import numpy as np
import pytest
from sam_models import SamSegmenter, official, photo, segment_anything, small_sam, spread, torch

from esam_fast.segmenters.sam.attention import Attention
from esam_fast.segmenters.sam.encoder import ForeignEncoder, VitEncoder
from esam_fast.segmenters.sam.frame import Frame

SHAPES = [(200, 300), (300, 200), (256, 256), (90, 400), (37, 29)]


@pytest.mark.parametrize("shape", [*SHAPES, (1024, 683), (2000, 3001), (1, 1), (1, 700)])
def test_the_resize_gives_the_official_bytes(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    transform = segment_anything.utils.transforms.ResizeLongestSide(1024)
    frame = Frame.of(image, 1024)
    expected = transform.apply_image(image)
    assert np.array_equal(frame.resize(image), expected)
    assert (frame.height, frame.width) == expected.shape[:2]
    points = np.random.default_rng(2).uniform(0, 30, (5, 2))
    assert np.array_equal(frame.points(points), transform.apply_coords(points, shape))


def test_a_line_of_pixels_has_a_frame() -> None:
    frame = Frame.of(np.zeros((1, 5000, 3), np.uint8), 1024)
    assert (frame.height, frame.width) == (1, 1024)
    assert frame.grid((256, 256)).rows == 1


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("shape", SHAPES)
def test_embeddings_are_the_official_ones(seed: int, shape: tuple[int, int]) -> None:
    sam, image = small_sam(seed), photo(*shape, seed)
    embedding = SamSegmenter(sam).embed(image)
    exact, _, _ = official(sam, image, np.zeros((1, 2)))
    fh, fw = embedding.features.shape[1:]
    assert exact.std() > 0.3
    assert np.abs(embedding.features - exact[:, :fh, :fw].numpy()).max() < 1e-4


@pytest.fixture(params=[True, False], ids=["as on a CPU", "as on a GPU"])
def in_chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether attention is divided into pieces; else it is torch's, in one call."""
    make = Attention.__init__
    monkeypatch.setattr(Attention, "__init__", lambda *args: make(*args[:-1], request.param))
    return bool(request.param)


@pytest.mark.parametrize(
    "encoder",
    [{"qkv_bias": False}, {"use_rel_pos": False}, {"use_abs_pos": False}, {"window_size": 16}, {"window_size": 5}],
)
def test_other_official_encoders(encoder: dict[str, int], in_chunks: bool) -> None:
    sam, image = small_sam(7, **encoder), photo(256, 200)
    segmenter = SamSegmenter(sam)
    assert isinstance(segmenter._encoder, VitEncoder)
    assert all(block.attention.in_chunks == in_chunks for block in segmenter._encoder._blocks)
    exact, _, _ = official(sam, image, np.zeros((1, 2)))
    features = segmenter.embed(image).features
    assert np.abs(features - exact[:, :, : features.shape[2]].numpy()).max() < 1e-4


@pytest.mark.usefixtures("in_chunks")
@pytest.mark.parametrize("seed", range(2))
def test_bfloat16_is_no_further_from_float32_than_the_official_bfloat16(seed: int) -> None:
    sam, image = small_sam(seed), photo(256, 256, seed)
    ours = SamSegmenter(sam, dtype="bfloat16").embed(image).features
    exact, theirs = (official(sam, image, np.zeros((1, 2)), kind)[0].numpy() for kind in ("float32", "bfloat16"))
    assert np.sqrt(np.square(ours - exact).mean()) <= np.sqrt(np.square(theirs - exact).mean())
    assert np.abs(ours - exact).max() <= np.abs(theirs - exact).max()


def test_full_size_vit_b() -> None:
    torch.manual_seed(0)
    sam = segment_anything.sam_model_registry["vit_b"]()
    spread(sam)
    image = photo(480, 640)
    points = np.random.default_rng(0).uniform(0, 480, (4, 2)).astype(np.float32)
    segmenter = SamSegmenter(sam)
    embedding = segmenter.embed(image)
    assert (embedding.grid.shape, embedding.features.shape) == ((256, 256), (256, 48, 64))
    logits, scores = segmenter.decode(embedding, points)
    exact, exact_logits, exact_scores = official(sam, image, points)
    assert np.abs(embedding.features - exact[:, :48].numpy()).max() < 1e-4
    assert (logits - exact_logits).abs().max() < 1e-3
    assert (scores - exact_scores).abs().max() < 1e-4


def test_features_span_the_content() -> None:
    segmenter = SamSegmenter(small_sam())
    for shape, cells in (((256, 256), (16, 16)), ((100, 256), (6, 16)), ((256, 104), (16, 6)), ((3, 256), (1, 16))):
        embedding = segmenter.embed(photo(*shape))
        assert embedding.features.shape == (256, *cells)
        assert embedding.features.flags.c_contiguous
        assert (embedding.grid.content_height, embedding.grid.content_width) == (shape[0] / 4, shape[1] / 4)


def test_an_overflow_is_an_error_not_a_bad_mask() -> None:
    sam = small_sam()
    with torch.no_grad():
        sam.image_encoder.neck[2].weight.mul_(1e38)
        sam.image_encoder.neck[1].weight.mul_(1e38)
    with pytest.raises(FloatingPointError, match=r"'sam': the image embedding is not finite in bfloat16"):
        SamSegmenter(sam, dtype="bfloat16").embed(photo(64, 64))


def test_weights_are_copied_once_and_not_at_all_where_nobody_else_holds_them() -> None:
    sam = small_sam().train()
    before = {name: tensor.clone() for name, tensor in sam.state_dict().items()}
    theirs = sam.image_encoder.blocks[0].attn.qkv.weight.data_ptr()
    assert SamSegmenter(sam)._encoder._blocks[0].qkv.weight.data_ptr() != theirs  # type: ignore[union-attr]
    own = small_sam()
    ours = own.image_encoder.blocks[0].attn.qkv.weight.data_ptr()
    segmenter = SamSegmenter(own, owned=True)
    assert segmenter._encoder._blocks[0].qkv.weight.data_ptr() == ours  # type: ignore[union-attr]
    SamSegmenter(sam, dtype="bfloat16").embed(photo(64, 64))
    assert sam.training
    assert all(torch.equal(before[name], tensor) for name, tensor in sam.state_dict().items())


def test_compiling_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function: compiled.append(function) or function)
    sam, image = small_sam(), photo(64, 64)
    plain = SamSegmenter(sam).embed(image)
    assert not compiled
    assert np.abs(SamSegmenter(sam, compiled=True).embed(image).features - plain.features).max() < 1e-5
    assert len(compiled) == 1


class OtherEncoder(torch.nn.Module):
    """Not a ViT; returns something for its decoder besides."""

    img_size = 256

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 256, 16, 16)

    def forward(self, image: object) -> object:
        return self.layer(image), ["extra"]


def test_another_encoder_runs_as_it_is() -> None:
    sam = small_sam()
    sam.image_encoder = OtherEncoder().eval()
    image = photo(256, 200)
    exact = sam.image_encoder.layer(sam.preprocess(torch.tensor(image).permute(2, 0, 1)[None]))[0].detach().numpy()
    for dtype, limit in (("float32", 1e-5), ("bfloat16", 0.05)):
        segmenter = SamSegmenter(sam, dtype=dtype)
        assert isinstance(segmenter._encoder, ForeignEncoder)
        features = segmenter.embed(image).features
        assert features.dtype == np.float32
        assert np.abs(features - exact[:, :, : features.shape[2]]).max() < limit


def test_an_encoder_with_other_code_is_not_taken_for_the_official_one() -> None:
    sam = small_sam()
    assert isinstance(SamSegmenter(sam)._encoder, VitEncoder)

    class Block(type(sam.image_encoder.blocks[0])):  # type: ignore[misc]
        def forward(self, x: object) -> object:
            return super().forward(x) * 2

    sam.image_encoder.blocks[1].__class__ = Block
    assert isinstance(SamSegmenter(sam)._encoder, ForeignEncoder)


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_what_is_not_an_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises((TypeError, ValueError), match="image"):
        SamSegmenter(small_sam()).embed(image)
