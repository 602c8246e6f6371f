"""Rate-distortion points of the model as it trains, on a few frames of the middle of each validation clip."""

from typing import Any

import torch
import torch.nn.functional as F

from lvc.encoder import motion_search
from lvc.model.codec import FrameCodec
from lvc.model.prediction import ALIGN, Picture
from lvc.training.data import Clip, to_picture
from lvc.training.loss import run_sequence
from lvc.training.rate import HyperTables

QUALITIES = (15, 35, 55, 75)
FRAMES = 5
WIDTH, HEIGHT = 320, 192


def picture_of(clip: Clip, at: int, device: torch.device | str) -> Picture:
    """The centre of one frame of a clip; clips below ALIGN are padded with their last row and column."""
    height, width = min(HEIGHT, clip.y.shape[1]), min(WIDTH, clip.y.shape[2])
    height, width = max(height // ALIGN * ALIGN, min(height, ALIGN)), max(width // ALIGN * ALIGN, min(width, ALIGN))
    top, left = (clip.y.shape[1] - height) // 4 * 2, (clip.y.shape[2] - width) // 4 * 2
    y = clip.y[at : at + 1, top : top + height, left : left + width]
    uv = clip.uv[at : at + 1, :, top // 2 : (top + height) // 2, left // 2 : (left + width) // 2]
    y, uv = to_picture(y.to(device), uv.to(device))
    down, right = -height % ALIGN, -width % ALIGN
    return Picture(
        F.pad(y, (0, right, 0, down), mode="replicate"), F.pad(uv, (0, right // 2, 0, down // 2), mode="replicate")
    )


@torch.no_grad()
def validate(codec: FrameCodec, tables: HyperTables, clips: list[Clip], device: torch.device) -> dict[str, Any]:
    """Code the centre of each clip's first frames at four qualities, weights rounded or not as they are being trained.

    Returns:
        ``score``: mean binary logarithm of the Lagrangian of predicted frames (0.1 is 7 % of rate and error);
        ``points``: [quality, bits per pixel, luma dB, bits per pixel of the intra frame] averaged over clips.
    """
    points, score = [], 0.0
    for quality in QUALITIES:
        rows = []
        for clip in clips:
            pictures = [picture_of(clip, t, device) for t in range(min(FRAMES, len(clip.y)))]
            value = torch.tensor([float(quality)], device=device)
            costs = run_sequence(codec, tables, pictures, [value] * len(pictures), motion_search.MEDIUM)
            predicted = costs[1:] or costs
            lagrangian = sum(float(c.lagrangian(value)) for c in predicted) / len(predicted)
            score += float(torch.tensor(lagrangian).log2()) / (len(clips) * len(QUALITIES))
            rows.append(
                (
                    sum(float(c.bits) for c in predicted) / len(predicted),
                    sum(float(c.psnr) for c in predicted) / len(predicted),
                    float(costs[0].bits),
                )
            )
        mean = torch.tensor(rows).mean(0).tolist()
        points.append([quality, *(round(x, 4) for x in mean)])
    return {"score": round(score, 4), "points": points}
