from itertools import product

import pytest
import torch

from pyro_align.distributions.shapes import broadcast_shapes

SHAPES = [shape for length in range(3) for shape in product((0, 1, 2, 3), repeat=length)]


def test_shapes_broadcast_as_in_torch():
    for shapes in [
        *product(SHAPES, repeat=1),
        *product(SHAPES, repeat=2),
        ((3, 1, 1), (2, 1), (4,)),
    ]:
        try:
            expected = torch.broadcast_shapes(*shapes)
        except RuntimeError:
            with pytest.raises(ValueError, match="do not broadcast"):
                broadcast_shapes(*shapes)
        else:
            found = broadcast_shapes(*shapes)
            assert isinstance(found, torch.Size)
            assert found == expected
