"""Products through oneDNN against plain matmul."""

from __future__ import annotations

import pytest
from sam_models import torch

from esam_fast.segmenters.sam import linear as products
from esam_fast.segmenters.sam import products as counting
from esam_fast.segmenters.sam.linear import linear

pytestmark = pytest.mark.usefixtures("library")


@pytest.fixture(params=[True, False], ids=["oneDNN", "torch's own"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(products, "_ONEDNN", False)


def test_by_hand() -> None:
    x, weight = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0], [0.0, -1.0]])
    assert products.linear(x, weight).tolist() == [[11.0, 17.0, -2.0]]
    assert products.linear(x, weight, torch.tensor([1.0, 2.0, 3.0])).tolist() == [[12.0, 19.0, 1.0]]
    assert products.product(x[None], weight.mT[None]).tolist() == [[[11.0, 17.0, -2.0]]]
    assert products.add_product(torch.ones(1, 1, 3), x[None], weight.mT[None]).tolist() == [[[12.0, 18.0, -1.0]]]


@pytest.mark.parametrize("b", [1, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_of_matrices(b: int, transposed: bool) -> None:
    torch.manual_seed(0)
    left = torch.randn(b, 37, 20)
    right = torch.randn(b, 50, 20).mT if transposed else torch.randn(b, 20, 50)
    exact = (left.double() @ right.double()).float()
    out = torch.randn(b, 37, 50)
    summed = out + exact
    assert (products.product(left, right) - exact).abs().max() < 1e-5
    assert products.add_product(out, left, right) is out
    assert (out - summed).abs().max() < 1e-5


def test_products_are_counted() -> None:
    x, weight, image = torch.ones(5, 7), torch.ones(11, 7), torch.ones(1, 3, 8, 8)
    with torch.inference_mode():
        assert counting.count(lambda: linear(x, weight)) == {torch.float32: 2 * 5 * 7 * 11}
        assert counting.count(lambda: x.double() @ weight.double().T) == {torch.float64: 2 * 5 * 7 * 11}
        kernel = torch.ones(4, 3, 2, 2)  # 4 channels of 4 x 4, each a sum of 3 x 2 x 2
        assert counting.count(lambda: torch.conv2d(image, kernel, stride=2)) == {torch.float32: 2 * 4 * 16 * 12}
