"""Pictures of the built-in scenes."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image, ImageDraw

from pyro_align.data.demo.scenes import COLOURS, WIDTH, SceneObject

_SMOOTH = 4
"""Pictures are drawn this many times as large, and then reduced, so that edges are smooth."""

_BACKGROUND = (236, 236, 233)

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]


def draw_scene(scene: Iterable[SceneObject], width: int = 300) -> Image.Image:
    """Draw a scene.

    Args:
        scene: the objects, with boxes from 0 to :data:`~pyro_align.data.demo.scenes.WIDTH`.
        width: width and height of the picture in pixels.
    """
    scale = _SMOOTH * width / WIDTH
    picture = Image.new("RGB", (_SMOOTH * width, _SMOOTH * width), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    shapes = {"cube": _cube, "sphere": _sphere, "cylinder": _cylinder}
    for thing in scene:
        left, top, right, bottom = (scale * edge for edge in thing.box)
        shapes[thing.shape](draw, (left, top, right, bottom), COLOURS[thing.colour])
    return picture.resize((width, width), Image.Resampling.LANCZOS)


def _cube(draw: ImageDraw.ImageDraw, box: Box, colour: Colour) -> None:
    left, top, right, bottom = box
    depth_x, depth_y = 0.28 * (right - left), 0.28 * (bottom - top)
    front_right, front_top = right - depth_x, top + depth_y
    draw.rectangle((left, front_top, front_right, bottom), fill=colour)
    roof = [(left, front_top), (left + depth_x, top), (right, top), (front_right, front_top)]
    draw.polygon(roof, fill=_shaded(colour, 0.35))
    back = bottom - depth_y
    side = [(front_right, front_top), (right, top), (right, back), (front_right, bottom)]
    draw.polygon(side, fill=_shaded(colour, -0.3))


def _sphere(draw: ImageDraw.ImageDraw, box: Box, colour: Colour) -> None:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    steps = 24
    for step in range(steps):
        # Smaller and lighter circles, moved towards the light at the top left.
        share = step / steps
        inner = (
            left + 0.3 * share * width,
            top + 0.25 * share * height,
            right - 0.7 * share * width,
            bottom - 0.75 * share * height,
        )
        draw.ellipse(inner, fill=_shaded(colour, 0.8 * share - 0.2))


def _cylinder(draw: ImageDraw.ImageDraw, box: Box, colour: Colour) -> None:
    left, top, right, bottom = box
    lid = 0.3 * (bottom - top)
    draw.ellipse((left, bottom - lid, right, bottom), fill=_shaded(colour, -0.15))
    draw.rectangle((left, top + lid / 2, right, bottom - lid / 2), fill=_shaded(colour, -0.15))
    draw.ellipse((left, top, right, top + lid), fill=_shaded(colour, 0.4))


def _shaded(colour: Colour, amount: float) -> Colour:
    """A colour mixed with white (positive) or black (negative amount)."""
    target = 255 if amount > 0 else 0
    red, green, blue = (round(part + abs(amount) * (target - part)) for part in colour)
    return red, green, blue
