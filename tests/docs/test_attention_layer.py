"""The page "Use the attention layer in your own model": its code is run and learns."""

import pytest
import torch
from pages import DOCS, Page, named, tables

PAGE = Page(DOCS / "how-to" / "attention-layer.md")
START, COLOURS, SHAPES, PATCH, REGIONS = 1, 3, 2, 4, 9


def pictures(number):
    """Images with a coloured shape in one of nine regions; captions of its colour and its shape."""
    each = torch.arange(number)
    regions, colours, shapes = (
        torch.randint(kinds, (number,)) for kinds in (REGIONS, COLOURS, SHAPES)
    )
    images = torch.zeros(number, 3, 3, PATCH, 3, PATCH)
    images[each, colours, regions // 3, :, regions % 3] = 1.0
    images[each, :, regions // 3, PATCH // 2 :, regions % 3] *= shapes.reshape(-1, 1, 1, 1)
    words = torch.stack([torch.full_like(regions, START), 2 + colours, 2 + COLOURS + shapes], 1)
    return images.reshape(number, 3, 3 * PATCH, 3 * PATCH), words, regions


@pytest.fixture(scope="module")
def trained():
    """The page's model after its training loop, and its log likelihood before."""
    torch.manual_seed(0)
    module, loop = PAGE.code("python")
    _, text = named(module)
    names = {}
    exec(compile(text, str(PAGE.path), "exec"), names)
    model = names["Captioner"](vocabulary=2 + COLOURS + SHAPES)
    images, captions, _ = pictures(100)
    before = model(images, captions).item()
    batches = [pictures(48)[:2] for _ in range(80)]
    exec(
        compile(loop, str(PAGE.path), "exec"), {"torch": torch, "model": model, "batches": batches}
    )
    return model, before


def test_the_model_has_at_most_forty_lines():
    assert len(PAGE.code("python")[0].splitlines()) <= 40


def test_it_learns_to_write_captions(trained):
    model, before = trained
    images, captions, _ = pictures(100)
    assert before < -1.0
    assert model(images, captions).item() > -0.3
    written = model.caption(images, START, 2)
    assert (written == captions[:, 1:]).double().mean() > 0.9


def test_the_posterior_of_a_word_is_the_region_it_describes(trained):
    model, _ = trained
    images, captions, regions = pictures(100)
    alignment = model.align(images, captions[:, :-1])
    posterior = alignment.posterior(model.emission, captions[:, 1:])
    found = posterior.probs.argmax(-1)
    assert (found == regions.unsqueeze(1)).double().mean() > 0.7


def test_calls_of_the_table_work(trained):
    model, _ = trained
    images, captions, _ = pictures(3)
    names = {
        "alignment": model.align(images, captions[:, :-1]),
        "emission": model.emission,
        "target": captions[:, 1:],
        "temperature": 0.5,
    }
    (rows,) = tables(PAGE.prose)
    calls = [call for row in rows for call in row["call"].split("`")[1::2]]
    for call in calls:
        if call == "top_k=K":
            call = "alignment.log_marginal(emission, target, top_k=2)"
        exec(f"alignment{call}" if call.startswith(".") else call, names)
