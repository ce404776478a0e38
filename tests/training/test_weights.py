import pytest
import torch
from torch import nn

from pyro_align.errors import RunError
from pyro_align.training import load_weights, save_weights
from pyro_align.training.weights import tensor_digest


def modules(seed=0, width=3):
    torch.manual_seed(seed)
    model = nn.Linear(2, width)
    guide = nn.BatchNorm1d(width)  # has buffers, one of them an integer
    guide.running_mean.normal_()
    guide.tied = model.weight
    return {"model": model, "guide": guide}


def state(programs):
    return {
        f"{prefix}.{name}": tensor.clone()
        for prefix, program in programs.items()
        for name, tensor in program.state_dict().items()
    }


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "weights.safetensors"
    save_weights(file, modules(), {"step": "3"})
    return file


def assert_untouched(path):
    """Modules are unchanged if weights cannot be loaded."""
    programs = modules(1)
    before = state(programs)
    with pytest.raises(RunError) as error:
        load_weights(path, programs)
    assert str(path) in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in state(programs).items())
    return str(error.value)


def test_round_trip(path):
    programs = modules(1)
    assert load_weights(path, programs)["step"] == "3"
    expected = state(modules())
    assert all(torch.equal(value, expected[name]) for name, value in state(programs).items())
    assert programs["guide"].tied is programs["model"].weight


def test_equal_weights_give_equal_files(path, tmp_path):
    save_weights(tmp_path / "again", modules(), {"step": "3"})
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_missing_weights(tmp_path):
    assert "no weights yet" in assert_untouched(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("kept", [0, 1, 8, 100, -1])
def test_truncated_weights(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    assert "damaged" in assert_untouched(path)


def test_any_changed_byte_is_detected(path):
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        spoiled = bytearray(content)
        spoiled[position] ^= 0x10
        path.write_bytes(spoiled)
        try:
            message = assert_untouched(path)
        except pytest.fail.Exception:
            pytest.fail(f"a change of byte {position} of {len(content)} is not detected")
        assert "damaged" in message or "not the one in the configuration" in message


VALUES = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "other",
    [
        {"renamed": VALUES},
        {"weight": VALUES.reshape(3, 2)},
        {"weight": VALUES.view(torch.int32)},
        {"weight": VALUES + 1},
        {"weight": VALUES[:1], "weight.rest": VALUES[1:]},
    ],
    ids=["name", "shape", "type", "value", "number"],
)
def test_the_digest_covers_names_shapes_types_and_values(other):
    assert tensor_digest(other, {}) != tensor_digest({"weight": VALUES}, {})


def test_weights_of_another_model_are_rejected(path):
    wider = modules(width=4)
    with pytest.raises(RunError, match=r"not the one in the configuration.*guide\.bias.*…"):
        load_weights(path, wider)
    with pytest.raises(RunError, match=r"not the one in the configuration.*guide\.bias"):
        load_weights(path, {"model": wider["model"]})
