import numpy as np
import oracle_ops
import pytest
from cases import SHAPES, SIZES, blobs, pack, read_only, refuses_unknown_backends, strided
from hypothesis import given
from hypothesis import strategies as st

from esam_fast import PackedMasks
from esam_fast.ops import measure, pack_logits


def words_by_hand(masks):
    """Bit i of a mask is pixel i in row-major order: word i // 64, bit i % 64."""
    words = np.zeros((len(masks), -(-masks[0].size // 64) if len(masks) else 0), np.uint64)
    for n, mask in enumerate(masks):
        for i in np.flatnonzero(mask):
            words[n, i // 64] |= np.uint64(1) << np.uint64(i % 64)
    return words


def boxes_by_hand(masks):
    boxes = np.zeros((len(masks), 4), np.int32)
    for box, mask in zip(boxes, masks, strict=True):
        y, x = np.nonzero(mask)
        if len(y):
            box[:] = x.min(), y.min(), x.max() + 1, y.max() + 1
    return boxes


def check_packed(packed, masks):
    assert (packed.words.dtype, packed.area.dtype, packed.box.dtype) == (np.uint64, np.int64, np.int32)
    assert packed.shape == masks.shape[1:]
    if len(masks):
        np.testing.assert_array_equal(packed.words, words_by_hand(masks))
    np.testing.assert_array_equal(packed.area, masks.sum(axis=(1, 2)))
    np.testing.assert_array_equal(packed.box, boxes_by_hand(masks))
    np.testing.assert_array_equal(packed.to_bool(), masks)
    assert len(packed) == len(masks)


def test_by_hand(backend):
    # 3 x 22 = 66 pixels: two words. Pixels 0, 63 and 65 are set; exactly 0 is not above 0.
    logits = np.full((1, 3, 22), -5, np.float32)
    logits.flat[[0, 1, 63, 65]] = [0.5, 0.0, 1.0, 7.0]
    packed, stability = pack_logits(logits, backend=backend)
    assert packed.words.tolist() == [[1 + 2**63, 2]]
    assert packed.area.tolist() == [3]
    assert packed.box.tolist() == [[0, 0, 22, 3]]
    # Above +1: 7 (1.0 does not exceed it). Above -1: 0.5, 0, 1, 7.
    assert stability.dtype == np.float32
    assert stability.tolist() == [0.25]
    # Above +0.5: 1, 7. Above -0.5: the same four.
    assert pack_logits(logits, offset=0.5, backend=backend)[1].tolist() == [0.5]
    # Content of 2 rows and 20 columns holds only pixels 0 and 1 (63 is in row 2): 0 of 2 exceed 1.
    packed, stability = pack_logits(logits, 2, 20, backend=backend)
    assert packed.words.tolist() == [[1, 0]]
    assert (packed.box.tolist(), stability.tolist()) == ([[0, 0, 1, 1]], [0.0])


def test_empty_masks(backend):
    packed, stability = pack_logits(np.full((2, 5, 5), -3, np.float32), backend=backend)
    assert packed.area.tolist() == [0, 0]
    assert packed.box.tolist() == [[0, 0, 0, 0]] * 2
    assert stability.tolist() == [0.0, 0.0]  # nothing exceeds -1
    packed, stability = pack_logits(np.ones((1, 5, 5), np.float32), 0, 3, backend=backend)
    assert (packed.area.tolist(), stability.tolist()) == ([0], [0.0])


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("n", [0, 2])
def test_grids_without_pixels(backend, n, shape):
    area, box = measure(np.zeros((n, 0), np.uint64), shape, backend=backend)
    assert (area.tolist(), box.tolist()) == ([0] * n, [[0, 0, 0, 0]] * n)
    assert pack_logits(np.zeros((n, *shape), np.float32), backend=backend)[0].area.tolist() == [0] * n


def test_nan_is_not_set(backend):
    logits = np.full((1, 4, 4), np.nan, np.float32)
    logits[0, 1, 1:3] = [2, np.inf]
    packed, stability = pack_logits(logits, backend=backend)
    assert (packed.area.tolist(), stability.tolist()) == ([2], [1.0])


def content_choices(shape):
    return (
        (None, None),
        shape,
        (shape[0] - 2, None),
        (None, shape[1] - 3),
        (1, 1),
        (shape[0] - 1, shape[1] - 1),
    )


@pytest.mark.parametrize(("n", "shape"), SIZES)
def test_equals_oracle(backend, rng, n, shape):
    logits = (rng.integers(-8, 9, (n, *shape)) / 4).astype(np.float32)  # many at exactly 0 and +-1
    for content in content_choices(shape):
        packed, stability = pack_logits(read_only(logits), *content, backend=backend)
        bits, expected = oracle_ops.pack_logits(logits, *content)
        np.testing.assert_array_equal(stability, expected)
        np.testing.assert_array_equal(packed.to_bool(), bits)
        np.testing.assert_array_equal(packed.area, bits.sum(axis=(1, 2)))
        np.testing.assert_array_equal(packed.box, boxes_by_hand(bits))
        if n in (1, 65):
            np.testing.assert_array_equal(packed.words, words_by_hand(bits))


@pytest.mark.parametrize(("n", "shape"), SIZES)
def test_measure(backend, rng, n, shape):
    masks = blobs(rng, n, shape)
    area, box = measure(read_only(pack(masks).words), shape, backend=backend)
    assert (area.dtype, box.dtype) == (np.int64, np.int32)
    np.testing.assert_array_equal(area, masks.sum(axis=(1, 2)))
    np.testing.assert_array_equal(box, boxes_by_hand(masks))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [0, 1, 65])
def test_packed_masks(rng, n, shape):
    masks = blobs(rng, n, shape)
    packed = PackedMasks.from_bool(read_only(masks))
    check_packed(packed, masks)
    check_packed(PackedMasks.from_bool(strided(masks)), masks)
    check_packed(packed.take(np.arange(n)[::2]), masks[::2])
    check_packed(packed.take(np.arange(n) % 3 == 1), masks[np.arange(n) % 3 == 1])
    check_packed(PackedMasks.empty(shape), masks[:0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [0, 1, 65])
def test_label_maps(rng, n, shape):
    labels = rng.integers(-1, n, shape).astype(np.int32)
    masks = labels[None] == np.arange(n)[:, None, None]
    packed = PackedMasks.from_labels(labels, n)
    check_packed(packed, masks)
    np.testing.assert_array_equal(packed.to_labels(), labels)
    for i in range(n):
        np.testing.assert_array_equal(packed.pixels(i), np.flatnonzero(masks[i]))


def test_concatenate(rng):
    masks = blobs(rng, 9, (13, 21))
    check_packed(PackedMasks.concatenate([pack(masks[:4]), pack(masks[:0]), pack(masks[4:])]), masks)
    with pytest.raises(ValueError, match=r"^parts\[1\] must"):
        PackedMasks.concatenate([pack(masks), pack(np.zeros((1, 13, 20)))])


def test_strided_logits(backend, rng):
    logits = rng.normal(0, 1, (5, 13, 21)).astype(np.float32)
    bits, stability = oracle_ops.pack_logits(logits)
    for view in (strided(logits), np.asfortranarray(logits)):
        packed, got = pack_logits(view, backend=backend)
        np.testing.assert_array_equal(packed.to_bool(), bits)
        np.testing.assert_array_equal(got, stability)


@given(st.data())
def test_properties(backend, data):
    n, h, w = data.draw(st.integers(0, 5)), data.draw(st.integers(1, 9)), data.draw(st.integers(1, 70))
    rows, cols = data.draw(st.integers(0, h)), data.draw(st.integers(0, w))
    offset = data.draw(st.sampled_from((0.0, 0.5, 1.0)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    logits = (rng.integers(-3, 4, (n, h, w)) / 2).astype(np.float32)
    packed, stability = pack_logits(logits, rows, cols, offset, backend=backend)
    bits, expected = oracle_ops.pack_logits(logits, rows, cols, offset)
    check_packed(packed, bits)
    np.testing.assert_array_equal(stability, expected)
    assert ((stability >= 0) & (stability <= 1)).all()
    check_packed(PackedMasks.from_bool(bits), bits)


def test_refusals(backend):
    logits = np.zeros((2, 4, 5), np.float32)
    for bad in (logits.astype(np.float64), logits.tolist(), logits > 0):
        with pytest.raises(TypeError, match=r"^logits must"):
            pack_logits(bad, backend=backend)
    with pytest.raises(ValueError, match=r"^logits must"):
        pack_logits(logits[0], backend=backend)
    for name, limit in (("rows", 4), ("cols", 5)):
        with pytest.raises(TypeError, match=f"^{name} must"):
            pack_logits(logits, **{name: 2.0}, backend=backend)
        for bad in (-1, limit + 1):
            with pytest.raises(ValueError, match=f"^{name} must"):
                pack_logits(logits, **{name: bad}, backend=backend)
    with pytest.raises(TypeError, match=r"^offset must"):
        pack_logits(logits, offset="1", backend=backend)
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"^offset must"):
            pack_logits(logits, offset=bad, backend=backend)
    refuses_unknown_backends(lambda name: pack_logits(logits, backend=name))
    words = pack(np.ones((2, 4, 5))).words
    with pytest.raises(TypeError, match=r"^words must"):
        measure(words.astype(np.int64), (4, 5), backend=backend)
    with pytest.raises(ValueError, match=r"^words must"):
        measure(words, (40, 5), backend=backend)
    refuses_unknown_backends(lambda name: measure(words, (4, 5), backend=name))


def test_packed_masks_refusals():
    masks = np.ones((2, 4, 5), bool)
    with pytest.raises(TypeError, match=r"^masks must"):
        PackedMasks.from_bool(masks.astype(np.uint8))
    with pytest.raises(ValueError, match=r"^masks must"):
        PackedMasks.from_bool(masks[0])
    good = PackedMasks.from_bool(masks)
    with pytest.raises(TypeError, match=r"^words must"):
        PackedMasks(good.words.astype(np.int64), good.area, good.box, good.shape)
    with pytest.raises(ValueError, match=r"^words must"):
        PackedMasks(good.words, good.area, good.box, (40, 50))
    with pytest.raises(TypeError, match=r"^area must"):
        PackedMasks(good.words, good.area.astype(np.int32), good.box, good.shape)
    with pytest.raises(ValueError, match=r"^area must"):
        PackedMasks(good.words, good.area[:1], good.box, good.shape)
    with pytest.raises(ValueError, match=r"^box must"):
        PackedMasks(good.words, good.area, good.box[:, :3], good.shape)
