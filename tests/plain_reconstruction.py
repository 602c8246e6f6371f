"""*Reconstruction* and *Loop filter* of `lvc/FORMAT.md`, from that page alone."""

import zlib

import numpy as np

from tests.plain_files import PlainModelFile
from tests.plain_format import Ints
from tests.plain_latents import PlainBlocks, order
from tests.plain_networks import PlainNetworks, clamp, fold, rounded, unfold
from tests.plain_prediction import PlainDecoded, PlainPrediction, spread

PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
STRENGTHS = (3, 8, 20, 50)


def inverse_transform(model: PlainModelFile, z: Ints, sizes: Ints) -> list[Ints]:
    """Step 1: r of the planes, in eighths of a grey level, given z [384, rows, columns] in the order of the latents."""
    rows, cols = sizes.shape
    plain = np.zeros_like(z)
    plain[order()[0]] = z
    at = plain.transpose(1, 2, 0)
    luma = np.zeros((rows, cols, 256), np.int64)
    for size in range(3):
        here = np.minimum(sizes, 2) == size
        luma[here] = at[here][:, :256] @ model.arrays["transform.luma_inverse"][size].T
    planes = [luma, *(at[..., first : first + 64] @ model.arrays["transform.chroma_inverse"].T for first in (256, 320))]
    found = []
    for sums, side in zip(planes, (16, 8, 8), strict=True):
        cells = rounded(sums / 2**14).reshape(rows, cols, side, side)
        found.append(cells.transpose(0, 2, 1, 3).reshape(rows * side, cols * side))
    return found


def reconstructed(
    model: PlainModelFile,
    networks: PlainNetworks,
    kind: str,
    prediction: PlainPrediction,
    context: Ints | None,
    z: Ints,
    blocks: PlainBlocks,
) -> PlainDecoded:
    """Steps 1 to 5, given c of the context, if any."""
    r = inverse_transform(model, z, blocks.sizes)
    # x is in eighths of a grey level
    x = [8 * plane + each for plane, each in zip(prediction.planes, r, strict=True)]
    p = [clamp_rounded(each - 8 * 512) for each in x]
    joined = [fold(p), fold([clamp(each) for each in r])]
    s, head = networks.decoder(kind, np.concatenate(joined if context is None else [*joined, context]), blocks.quality)
    planes = []
    for each, correction, before in zip(x, unfold(head), prediction.planes, strict=True):
        kept = spread(blocks.skipped, before.shape[1] // blocks.skipped.shape[1])
        found = np.clip(rounded((each + 4 * correction) / 8), 0, 1023)
        planes.append(np.where(kept, before, found))
    state = np.where(spread(blocks.skipped, 2), prediction.state, s)
    magnitudes = np.minimum(rounded(16 * np.abs(z) / blocks.steps), 2047)
    return PlainDecoded(planes, state, magnitudes, None)


def clamp_rounded(eighths: Ints) -> Ints:
    """Step 2: p."""
    return rounded(np.clip(eighths / 8, -2047, 2047))


def filtered(luma: Ints, skipped: Ints, taps: Ints) -> Ints:
    """*Loop filter* with a set of filters [15, 6]."""
    rows, cols = luma.shape

    def at(v: int, h: int) -> Ints:
        ys, xs = np.clip(np.arange(rows) + v, 0, rows - 1), np.clip(np.arange(cols) + h, 0, cols - 1)
        return luma[ys[:, None], xs]

    pairs = [at(v, h) + at(-v, -h) - 2 * luma for v, h in PAIRS]
    across, down = (np.abs(pair).reshape(rows // 4, 4, cols // 4, 4).sum((1, 3)) / 16 for pair in pairs[:2])
    strength = sum((across + down >= each).astype(np.int64) for each in STRENGTHS)
    direction = np.where(across > 2 * down, 1, np.where(down > 2 * across, 2, 0))
    chosen = taps[spread(3 * strength + direction, 4)]
    total = sum(chosen[..., number] * pair for number, pair in enumerate(pairs))
    found = np.clip(rounded(luma + total / 256), 0, 1023)
    return np.where(spread(skipped, 16), luma, found)


def output(planes: list[Ints], width: int, height: int, bit_depth: int) -> list[Ints]:
    """Step 6: the samples of a picture."""
    halves = (height + 1) // 2, (width + 1) // 2
    cut = [plane[:h, :w] for plane, (h, w) in zip(planes, ((height, width), halves, halves), strict=True)]
    return cut if bit_depth == 10 else [np.minimum((plane + 2) >> 2, 255) for plane in cut]


def check_of(samples: list[Ints], bit_depth: int) -> int:
    """*Picture checksum*."""
    kind = "u1" if bit_depth == 8 else "<u2"
    return zlib.crc32(b"".join(plane.astype(kind).tobytes() for plane in samples)) & 0xFFFF
