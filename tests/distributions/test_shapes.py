import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from pyro_align.distributions.shapes import broadcast_shapes


@given(st.integers(1, 4).flatmap(lambda n: mutually_broadcastable_shapes(num_shapes=n, min_side=0)))
def test_shapes_broadcast_as_in_torch(shapes):
    found = broadcast_shapes(*shapes.input_shapes)
    assert isinstance(found, torch.Size)
    assert found == shapes.result_shape


def test_shapes_that_do_not_broadcast():
    with pytest.raises(ValueError, match=r"\(2, 3\), \(2,\)"):
        broadcast_shapes((2, 3), (2,))
