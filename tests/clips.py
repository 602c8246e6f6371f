"""Video made of numbers: small deterministic clips of known motion, for tests, scripts and the README.

Every picture is a view of a wide textured world, fractal noise in luma and chroma, with textured discs moving in front
of it. The same arguments give the same samples on every machine.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from lvc.media import VideoWriter
from lvc.video import Colour, Frame, Plane, VideoInfo

Image = npt.NDArray[np.float64]

WORLD = 512
"""Side of the world in samples; it repeats at its borders."""


@dataclass(frozen=True)
class _View:
    """Where frame ``t`` looks: centre, samples of the world per sample of the picture, which world; noise and light."""

    x: float
    y: float
    zoom: float = 1.0
    world: int = 0
    noise: float = 0.0
    discs: bool = False
    light: float = 1.0
    tint: float = 1.0


_KINDS: dict[str, Callable[[int], _View]] = {
    "textures": lambda _: _View(100, 100, discs=True),
    "pan": lambda t: _View(100 + 2.25 * t, 100 + 0.75 * t),
    "zoom": lambda t: _View(256, 256, zoom=0.97**t),
    "noise": lambda t: _View(100 + 0.5 * t, 100, noise=0.06),
    "cuts": lambda t: _View(100 + t, 100, world=t // 8),
    "static": lambda _: _View(100, 100),
    "fade": lambda t: _View(100 + 0.75 * t, 100, light=max(0.0, 1 - t / 12)),
    "grey": lambda t: _View(100 + 1.5 * t, 100, tint=0.0, discs=True),
    "mix": lambda t: _View(
        100 + 1.5 * t, 100 + 0.5 * t, zoom=1.0 - 0.1 * np.sin(t / 12), world=t // 40, noise=0.01, discs=True
    ),
}

KINDS = tuple(_KINDS)
"""What a clip can show: moving textures, a pan, a zoom in, noise, cuts, nothing that moves, a pan that fades to black,
one in black and white, and a bit of everything."""


def _sample(image: Image, y: Image, x: Image) -> Image:
    """Bilinear samples of a repeating image at broadcastable rows ``y`` and columns ``x``."""
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = y - top, x - left
    rows, columns = image.shape
    y0, y1, x0, x1 = top % rows, (top + 1) % rows, left % columns, (left + 1) % columns
    upper = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    lower = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
    return upper * (1 - fy) + lower * fy


def _fractal(rng: np.random.Generator, coarsest: int, octaves: int) -> Image:
    """Noise of several octaves on the world, 0...1 mostly."""
    world = np.zeros((WORLD, WORLD))
    grid = np.arange(WORLD, dtype=float)
    for octave in range(octaves):
        cells = coarsest << octave
        at = grid * cells / WORLD
        world += (_sample(rng.random((cells, cells)), at[:, None], at[None, :]) - 0.5) * 0.62**octave
    return np.clip(0.5 + 0.8 * world, 0, 1)


def _world(seed: int, number: int) -> list[Image]:
    rng = np.random.default_rng([seed, number])
    return [_fractal(rng, 4, 7), _fractal(rng, 3, 3), _fractal(rng, 3, 3)]


def _discs(planes: list[Image], worlds: list[Image], t: int, width: int, height: int) -> None:
    """Draws three textured discs on their way."""
    for number, speed in enumerate((1.0, -1.7, 0.6)):
        radius = min(width, height) * (0.12 + 0.05 * number)
        centre_x = (width * (0.3 + 0.2 * number) + 3 * speed * t) % width
        centre_y = height * (0.5 + 0.3 * np.sin(0.09 * speed * t + number))
        for index, plane in enumerate(planes):
            scale = 1 if index == 0 else 2
            y = np.arange(plane.shape[0], dtype=float)[:, None] * scale - centre_y
            x = np.arange(plane.shape[1], dtype=float)[None, :] * scale - centre_x
            cover = np.clip((radius - np.hypot(y, x)) / scale + 0.5, 0, 1)
            inside = _sample(worlds[index], y + 200 * number, x + 90) * 0.7 + 0.1 * number
            plane += cover * (inside - plane)


def clip_frames(
    kind: str, width: int, height: int, frames: int, *, bit_depth: int = 8, seed: int = 0
) -> Iterator[Frame]:
    """The frames of a clip, ``pts`` counting frames.

    Args:
        kind: one of :data:`KINDS`.
        width, height: luma samples.
        frames: how many.
        bit_depth: 8 or 10; values keep to the limited range.
        seed: another one, another clip.
    """
    view_at = _KINDS[kind]
    shown: tuple[int, list[Image]] = (-1, [])
    unit = 1 << (bit_depth - 8)
    for t in range(frames):
        view = view_at(t)
        if shown[0] != view.world:
            shown = (view.world, _world(seed, view.world))
        planes: list[Image] = []
        for index, world in enumerate(shown[1]):
            scale = 1 if index == 0 else 2
            rows, columns = -(-height // scale), -(-width // scale)
            y = view.y + (np.arange(rows)[:, None] * scale - height / 2) * view.zoom
            x = view.x + (np.arange(columns)[None, :] * scale - width / 2) * view.zoom
            planes.append(_sample(world, y, x))
        if view.discs:
            _discs(planes, shown[1], t, width, height)
        if view.noise:
            rng = np.random.default_rng([seed, 1_000_000 + t])
            planes[0] += view.noise * (rng.random(planes[0].shape) - 0.5) * 3
        samples: list[Plane] = []
        for index, plane in enumerate(planes):
            shown_as = np.clip(plane, 0, 1)
            if index == 0:
                value = 16 + 219 * view.light * shown_as
            else:
                value = 128 + 128 * view.tint * view.light * (shown_as - 0.5)
            samples.append(np.rint(value * unit).astype(np.uint16))
        yield Frame(samples, t, 1)


def clip_info(width: int, height: int, frames: int, *, fps: Fraction = Fraction(25), bit_depth: int = 8) -> VideoInfo:
    """The stream of :func:`clip_frames` at a frame rate: BT.709, limited range."""
    return VideoInfo(
        width=width,
        height=height,
        bit_depth=bit_depth,
        time_base=1 / fps,
        frame_rate=fps,
        colour=Colour(1, 1, 1, 1, 1),
        sample_aspect=Fraction(1),
        frames=frames,
    )


def make_clip(
    path: str | os.PathLike[str],
    kind: str = "mix",
    *,
    width: int = 320,
    height: int = 176,
    frames: int = 60,
    fps: Fraction = Fraction(25),
    bit_depth: int = 8,
    seed: int = 0,
    lossless: bool = False,
) -> None:
    """Writes a clip; the format comes from the name (y4m, mkv, mp4, mov, webm).

    Raises:
        lvc.errors.OutputError: it cannot be written.
    """
    info = clip_info(width, height, frames, fps=fps, bit_depth=bit_depth)
    with VideoWriter(path, info, lossless=lossless) as writer:
        for frame in clip_frames(kind, width, height, frames, bit_depth=bit_depth, seed=seed):
            writer.write(frame)


class FrameList:
    """Frames as a source for the encoder, without side streams."""

    frames: list[Frame]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def take_side(self) -> bytes | None:
        return None
