"""Training clips: decoded once into memory as 8-bit planes, cut into crops on the device that holds them."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lvc.compute import usable_cores
from lvc.errors import InputError, LvcError
from lvc.media import VideoReader
from lvc.model.prediction import ALIGN, Picture
from lvc.training.progress import OnTraining, TrainingProgress, silent
from lvc.training.settings import LEAST_CROP

SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".y4m", ".avi", ".jpg", ".jpeg", ".png"}
MOTION_SATURATION = 6.0


@dataclass
class Clip:
    """One shot: y [T, H, W] and uv [T, 2, H/2, W/2] uint8, and its mean absolute frame difference in grey levels."""

    y: Tensor
    uv: Tensor
    motion: float


def load_clip(path: Path, limit: int | None = None, device: torch.device | str = "cpu") -> Clip:
    """Decode a clip; 10-bit sources are reduced to 8 bits, odd sizes lose a row or column.

    Raises:
        InputError: not readable as video.
    """
    luma, chroma = [], []
    with VideoReader(path) as reader:
        drop = reader.info.bit_depth - 8
        for frame in reader:
            y, u, v = (np.right_shift(plane, drop).astype(np.uint8) for plane in frame.planes)
            height, width = y.shape[0] // 2 * 2, y.shape[1] // 2 * 2
            luma.append(torch.from_numpy(y[:height, :width].copy()))
            chroma.append(torch.from_numpy(np.stack([u, v])[:, : height // 2, : width // 2].copy()))
            if limit is not None and len(luma) >= limit:
                break
    if not luma:
        raise InputError(f"{path} holds no frames")
    y_all = torch.stack(luma).to(device)
    small = F.avg_pool2d(y_all[:, None].float(), 8)
    motion = float((small[1:] - small[:-1]).abs().mean()) if len(luma) > 1 else 0.0
    return Clip(y_all, torch.stack(chroma).to(device), motion)


def clips_in(folder: Path) -> list[Path]:
    """Files below a folder that look like clips, by name.

    Raises:
        InputError: there are none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(f"no readable clips in {folder}")
    return paths


def load_folder(folder: Path, device: torch.device | str = "cpu", progress: OnTraining = silent) -> list[Clip]:
    """All clips below a folder, in the order of their names; a warning names files that cannot be read.

    Args:
        progress: is told after each clip.

    Raises:
        InputError: when nothing could be read.
    """
    paths = clips_in(folder)

    def read(path: Path) -> Clip | LvcError:
        try:
            return load_clip(path, device=device)
        except LvcError as error:
            return error

    with ThreadPoolExecutor(usable_cores()) as pool:
        found = []
        for clip in pool.map(read, paths):
            found.append(clip)
            progress(TrainingProgress.counted("reading", len(found), len(paths)))
    clips = [clip for clip in found if isinstance(clip, Clip)]
    errors = [error for error in found if isinstance(error, LvcError)]
    if not clips:
        raise InputError(f"no readable clips in {folder}: {errors[0]}")
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        warnings.warn(f"a clip is left out{more}: {errors[0]}", RuntimeWarning, stacklevel=2)
    return clips


def to_picture(y: Tensor, uv: Tensor) -> Picture:
    """8-bit planes [B, H, W], [B, 2, H/2, W/2] as the codec's 10-bit float pictures."""
    return Picture(y[:, None].float() * 4, uv.float() * 4)


PACES, PACE_SHARES = (1, 2, 4), (0.7, 0.2, 0.1)
"""Frames from one of a sequence to the next: anchors are some frames apart."""
ZOOMS, ZOOM_SHARES = (1.0, 2.0, 1.5, 0.75, 0.5), (0.5, 0.15, 0.15, 0.1, 0.1)
"""Crops are enlarged or made smaller: the same things are soft in large pictures and sharp in small ones."""


def _scaled(planes: Tensor, side: int) -> Tensor:
    """Square uint8 planes [T, C, H, H] with so many samples a side; those that have them are not touched."""
    if planes.shape[-1] == side:
        return planes
    wanted = F.interpolate(planes.float(), size=(side, side), mode="bicubic", antialias=True)
    return wanted.round().clamp(0, 255).to(torch.uint8)


class CropSampler:
    """Random crops of consecutive frames, moving shots preferred, scaled, mirrored and time-reversed at random.

    Attributes:
        random: what crops are drawn by, or a seed for it.
        longest: most frames that a crop can have.
    """

    def __init__(self, clips: list[Clip], stills: list[Clip], crop: int, random: np.random.Generator | int) -> None:
        self.clips = clips
        self.stills = stills
        self.crop = crop
        self.random = np.random.default_rng(random)
        weight = np.array([len(c.y) * (0.4 + min(c.motion, MOTION_SATURATION) / MOTION_SATURATION) for c in clips])
        self.weight = weight
        self._lengths = np.array([len(c.y) if min(c.y.shape[1:]) >= crop else 0 for c in clips])
        self.longest = int(self._lengths.max(initial=0))

    def check(self, frames: int) -> None:
        """Refuse clips of which none has crops of so many frames.

        Raises:
            InputError: they are all smaller or shorter.
        """
        if self.longest < frames:
            largest = max((min(clip.y.shape[1:]) for clip in self.clips if len(clip.y) >= frames), default=0)
            largest = largest // ALIGN * ALIGN
            smaller = f": there is room for --crop {largest}" if largest >= LEAST_CROP else ""
            raise InputError(f"no clip is as large as {self.crop}x{self.crop} with {frames} frames{smaller}")

    def batch(self, size: int, frames: int) -> list[Picture]:
        """``frames`` pictures of ``size`` crops each."""
        samples = [self._sample(frames) for _ in range(size)]
        return [
            to_picture(torch.stack([y[t] for y, _ in samples]), torch.stack([uv[t] for _, uv in samples]))
            for t in range(frames)
        ]

    def _sample(self, frames: int) -> tuple[Tensor, Tensor]:
        clip = self._pick(frames)
        crop = self.crop
        pace = int(self.random.choice(PACES, p=PACE_SHARES))
        pace = min(pace, len(clip.y) // frames)
        start = int(self.random.integers(0, len(clip.y) - (frames - 1) * pace))
        height, width = clip.y.shape[1:]
        side = 2 * round(crop / float(self.random.choice(ZOOMS, p=ZOOM_SHARES)) / 2)
        if side > min(height, width):
            side = crop
        top = int(self.random.integers(0, (height - side) // 2 + 1)) * 2
        left = int(self.random.integers(0, (width - side) // 2 + 1)) * 2
        times = slice(start, start + (frames - 1) * pace + 1, pace)
        y = _scaled(clip.y[times, None, top : top + side, left : left + side], crop)[:, 0]
        uv = _scaled(clip.uv[times, :, top // 2 : (top + side) // 2, left // 2 : (left + side) // 2], crop // 2)
        if self.random.random() < 0.5:
            y, uv = y.flip(2), uv.flip(3)
        if self.random.random() < 0.5:
            y, uv = y.flip(0), uv.flip(0)
        return y, uv

    def _pick(self, frames: int) -> Clip:
        if frames == 1 and self.stills and self.random.random() < 0.5:
            fits = [c for c in self.stills if min(c.y.shape[1:]) >= self.crop]
            if fits:
                return fits[int(self.random.integers(len(fits)))]
        self.check(frames)
        weight = self.weight * (self._lengths >= frames)
        return self.clips[int(self.random.choice(len(self.clips), p=weight / weight.sum()))]
