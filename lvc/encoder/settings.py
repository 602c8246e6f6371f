"""What the encoder may be told, and what it tells."""

from dataclasses import dataclass, field

from lvc.container import Step
from lvc.encoder import motion_search

EFFORTS = {"fast": motion_search.FAST, "medium": motion_search.MEDIUM, "slow": motion_search.SLOW}
INTRA_BONUS = 14
"""Qualities by which an intra picture is finer than the predicted ones: it is the reference of all of them (measured
over five clips, 25 frames: -0.7 % against 11, which is 0.8 % better than 8). With ``tune`` "ssim", too (in MS-SSIM over
ten clips, 32 frames of crops: -0.7 % against 9, a talking head -4.0, animation -2.1, a red tree +1.7 %)."""
STILL_BONUS = 9
"""What is added to that in still pictures, where it serves longest (measured with 6 more: animation that moves in parts
-7 %, a talking head -3 %, moving trees +2 %)."""
CASCADE = (3, 0, 1, 0)
"""The same of predicted pictures that follow each other, in turns: a finer one serves as a better reference."""
BETWEEN_BONUS = (8, 2, -2, -7)
"""The same by depth: anchors with pictures between them, pictures between two, pictures between these, and so on."""
REFRESH, REFRESH_EVERY = 9, 16
"""What is added to that of the anchor at every 16th position, where there are pictures between: what an intra picture
gave fades in parts that stay still. Measured against 11 at every 32nd position, on crops: six clips of 32 frames -0.8 %
(12: -0.7, 6: -0.6 %), three of 50 and 65 frames -1.9 % (flower -3.9, talker -1.7, screen 0).
"""
RUN = 8
"""Pictures from one anchor to the next, where there are any between (measured against 4, at 25 frames: flower -6 %,
road -3 %, others 0)."""
TRY_EVERY = {"fast": 0, "medium": 8, "slow": 1}
"""After so many runs of pictures it is tried again whether they are cheaper with pictures between or without; 0: never,
and all pictures are anchors."""
AVERAGED = {"fast": False, "medium": True, "slow": True}
"""Whether pictures that many others are predicted from are averaged with those around them before they are coded."""
ABLATIONS = (
    "scalar",
    "noadapt",
    "nomotion",
    "noskip",
    "nosizes",
    "nofilter",
    "nobetween",
    "nocascade",
    "nodrop",
    "noweighting",
    "noaverage",
)
"""Parts to switch off for measurements: ``scalar`` (codebooks replaced by integers), ``noadapt`` (tables keep
the model's counts), ``nomotion`` (all vectors zero), ``noskip`` (no block is), ``nosizes`` (all blocks are transformed
whole), ``nofilter`` (no loop filters), ``nobetween`` (every picture is an anchor), ``nocascade`` (one quality for all
pictures), ``nodrop`` (chroma is never coarser), ``noweighting`` (no reference is made darker or brighter),
``noaverage`` (no picture is averaged with others before it is coded)."""
_FINE = 80
"""Quality from which on the differences shrink, to none at 100."""


def quality_bonus(step: Step, quality: float, still: float = 0.0, ends: bool = False) -> int:
    """Qualities by which a picture is finer than the settings say (negative: coarser).

    Args:
        still: of an intra picture, see :func:`lvc.encoder.still.stillness`.
        ends: whether its group ends with it. An anchor that no later one needs is not finer (measured over ten clips,
            32 frames of crops: 8 qualities coarser than others -0.36 % rate, 5 -0.34 %, 2 -0.17 %).
    """
    bonus: float
    if step.first is None:
        bonus = INTRA_BONUS + STILL_BONUS * still
    elif step.depth == 0 and step.position - step.first == 1:
        bonus = CASCADE[step.position % len(CASCADE)]
    elif step.depth == 0 and ends:
        bonus = 0
    else:
        bonus = BETWEEN_BONUS[min(step.depth, len(BETWEEN_BONUS) - 1)]
        bonus += REFRESH if step.depth == 0 and step.position % REFRESH_EVERY == 0 else 0
    return round(bonus * min(1.0, (100 - quality) / (100 - _FINE)))


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of one encode.

    Attributes:
        quality: 1...100; a fraction is the share of pictures that are one quality finer, but that of an intra picture
            is rounded.
        preset: fast, medium or slow: effort of the search only.
        tune: what pictures are to be alike in: "psnr", squared errors, or "ssim", structure at several scales (see
            :mod:`lvc.encoder.contrast`).
        keyint: most pictures from one intra picture to the next.
        scene_cuts: whether a cut starts a new group of pictures.
        ablate: parts to switch off, of ``ABLATIONS``.
    """

    quality: float = 60
    preset: str = "medium"
    tune: str = "psnr"
    keyint: int = 250
    scene_cuts: bool = True
    ablate: frozenset[str] = frozenset()


@dataclass
class EncodeResult:
    """What an encode made.

    Attributes:
        frames, bytes, seconds: pictures coded, bytes written in all, wall time.
        media_seconds: playing time of the pictures.
        estimated_bits: of the file: of payloads by the probabilities of their symbols, of all else as it is. What was
            taken over from an interrupted run or another process counts as it is, too.
        verify_seconds: what decoding again took, over all processes; part of ``seconds``.
        parts: bytes of motion, hyper, latents, side streams and container.
    """

    frames: int = 0
    bytes: int = 0
    seconds: float = 0.0
    media_seconds: float = 0.0
    estimated_bits: float = 0.0
    verify_seconds: float = 0.0
    parts: dict[str, int] = field(
        default_factory=lambda: {"motion": 0, "hyper": 0, "latents": 0, "side": 0, "container": 0}
    )
