"""*Networks* of `lvc/FORMAT.md`, from that page alone, in sums that float64 holds exactly."""

import functools

import numpy as np
import numpy.typing as npt

from tests.plain_files import PlainModelFile
from tests.plain_format import Ints

Reals = npt.NDArray[np.float64]


def rounded(values: Reals) -> Ints:
    """To the nearest integer, halves to the even one."""
    return np.rint(values).astype(np.int64)


def clamp(values: Ints) -> Ints:
    return np.clip(values, -2047, 2047)


def fold(planes: list[Ints]) -> Ints:
    """Luma [H, W] and two chroma planes to 96 channels at 1/8 resolution."""
    channels = []
    for plane, size in zip(planes, (8, 4, 4), strict=True):
        rows, cols = plane.shape[0] // size, plane.shape[1] // size
        cells = plane.reshape(rows, size, cols, size).transpose(1, 3, 0, 2)
        channels.append(cells.reshape(size * size, rows, cols))
    return np.concatenate(channels)


def unfold(channels: Ints) -> list[Ints]:
    """The inverse of :func:`fold`."""
    rows, cols = channels.shape[1:]
    planes = []
    for first, size in ((0, 8), (64, 4), (80, 4)):
        cells = channels[first : first + size * size].reshape(size, size, rows, cols)
        planes.append(cells.transpose(2, 0, 3, 1).reshape(rows * size, cols * size))
    return planes


def halve(x: Ints) -> Ints:
    """C channels to 4C at half the resolution."""
    channels, rows, cols = x.shape
    cells = x.reshape(channels, rows // 2, 2, cols // 2, 2).transpose(0, 2, 4, 1, 3)
    return cells.reshape(4 * channels, rows // 2, cols // 2)


def double(x: Ints) -> Ints:
    """The inverse of :func:`halve`."""
    channels, rows, cols = x.shape
    cells = x.reshape(channels // 4, 2, 2, rows, cols).transpose(0, 3, 1, 4, 2)
    return cells.reshape(channels // 4, 2 * rows, 2 * cols)


def knot_weights() -> Reals:
    """h of each quality 1 to 100 and each knot [100, 8], in binary32."""
    place = np.float32(7) * np.arange(100, dtype=np.float32) / np.float32(99)
    apart = np.abs(place[:, None] - np.arange(8, dtype=np.float32))
    inside = np.maximum(np.float32(0), np.float32(1) - apart)
    return np.rint(np.float32(4096) * inside).astype(np.float64) / 4096


class PlainNetworks:
    """Evaluates the networks of a model on arrays [channels, rows, columns].

    Qualities are one for each position, at the resolution of the layer.
    """

    def __init__(self, model: PlainModelFile) -> None:
        self._arrays, self._size = model.arrays, model.size
        self.knots = {
            name.removesuffix(".knots"): rounded(knot_weights() @ array)
            for name, array in model.arrays.items()
            if name.endswith(".knots")
        }
        for name in model.arrays:
            if name.endswith(".shift") and ".analysis." not in name and ".encode_" not in name:
                self._check(name.removesuffix(".shift"))
        for name in ("transform.luma_inverse", "transform.chroma_inverse"):
            if 2**18 * int(np.abs(model.arrays[name]).sum(-1).max()) >= 2**53:
                raise ValueError(f"the sums of {name} may be too large")
        for name, array in model.arrays.items():
            if name.endswith((".bias", ".knots", "_inverse")) and (array.astype(np.float32) != array).any():
                raise ValueError(f"numbers of {name} that single precision would round")

    def _check(self, name: str) -> None:
        """No sum in steps of 2^-s reaches 2^24."""
        sums = 2047 * np.abs(self._arrays[f"{name}.weight"]).sum(1) + np.abs(self._arrays[f"{name}.bias"])
        if name in self.knots:
            sums += np.abs(self.knots[name]).max(0) << self._arrays[f"{name}.shift"]
        if int(sums.max()) >= 2**24:
            raise ValueError(f"the sums of {name} may be too large")

    def _finished(self, name: str, sums: Reals, leaky: bool) -> Ints:
        """From sums [out, …] in steps of 2^-s to activations."""
        shift = self._arrays[f"{name}.shift"].reshape(-1, *[1] * (sums.ndim - 1))
        sums = sums * 2.0**-shift
        if leaky:
            sums = np.where(sums < 0, sums / 8, sums)
        return clamp(rounded(sums))

    def conv(self, name: str, x: Ints, quality: Ints | None = None, leaky: bool = False) -> Ints:
        """Marked Q where a quality is given, A where `leaky`."""
        weight, bias = self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"]
        sums = np.tensordot(weight.astype(np.float64), x.astype(np.float64), 1) + bias[:, None, None]
        if quality is not None:
            added = self.knots[name][quality - 1].transpose(2, 0, 1)
            sums += added << self._arrays[f"{name}.shift"][:, None, None]
        return self._finished(name, sums, leaky)

    def depthwise(self, name: str, x: Ints) -> Ints:
        weight, bias = self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"]
        wide = np.pad(x, ((0, 0), (1, 1), (1, 1))).astype(np.float64)
        rows, cols = x.shape[1:]
        taps = [
            weight[:, 3 * i + j, None, None] * wide[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3)
        ]
        return self._finished(name, functools.reduce(np.add, taps) + bias[:, None, None], leaky=False)

    def block(self, name: str, x: Ints) -> Ints:
        wide = self.conv(f"{name}.widen", self.depthwise(f"{name}.spatial", x), leaky=True)
        return clamp(x + self.conv(f"{name}.narrow", wide))

    def blocks(self, name: str, count: int, x: Ints) -> Ints:
        """Blocks NAME.0 …"""
        for number in range(count):
            x = self.block(f"{name}.{number}", x)
        return x

    def context(
        self, planes: list[Ints], apart: list[Ints] | None, state: Ints, magnitudes: Ints, quality: Ints
    ) -> tuple[Ints, Ints]:
        """Row *context*: c and g of a predicted picture, or of one between two where there is a difference `apart`.

        Qualities are those of positions at 1/16 resolution.
        """
        fine = quality.repeat(2, 0).repeat(2, 1)
        entered = np.concatenate([fold([plane - 512 for plane in planes]), state])
        a = self.conv("context.enter", entered, fine, leaky=True)
        if apart is not None:
            a = a + self.conv("context.join", self.conv("context.apart", fold(apart), fine, leaky=True))
        c = self.blocks("context.fine", self._size.context_blocks, clamp(a))
        d = np.concatenate([halve(c), self.conv("context.latents", magnitudes, leaky=True)])
        g = self.conv("context.down", d, quality, leaky=True)
        return c, self.blocks("context.coarse", 2, g)

    def hyper(self, kind: str, latents: Ints) -> Ints:
        """Row *hyper*: e of a hyper-latent."""
        return double(self.conv(f"{kind}.hyper.decode", 64 * latents, leaky=True))

    def _deep(self, kind: str, number: int, x: Ints) -> Ints:
        count = self._size.intra_blocks if kind == "intra" else self._size.inter_blocks
        return self.blocks(f"{kind}.prior.deep.{number}", count, x)

    def prior_enter(self, kind: str, joined: Ints, quality: Ints) -> Ints:
        """Row *prior*: f of the first pass, from [g, e, t]."""
        f = self.conv(f"{kind}.prior.enter", joined, quality, leaky=True)
        return self._deep(kind, 0, self.block(f"{kind}.prior.first", f))

    def prior_embed(self, kind: str, number: int, f: Ints, joined: Ints) -> Ints:
        """*Latents*, step 5: f of the next pass."""
        f = clamp(f + self.conv(f"{kind}.prior.embed.{number}", joined))
        return self._deep(kind, number + 1, self.block(f"{kind}.prior.blocks.{number}", f))

    def decoder(self, kind: str, joined: Ints, quality: Ints) -> tuple[Ints, Ints]:
        """Row *decoder*: s and head(s), from [fold(p), fold(r), c]; qualities at 1/16 resolution."""
        fine = quality.repeat(2, 0).repeat(2, 1)
        s = self.conv(f"{kind}.decoder.enter", joined, fine, leaky=True)
        more = self._size.intra_blocks if kind == "intra" else 0
        s = self.blocks(f"{kind}.decoder.blocks", self._size.decoder_blocks + more, s)
        return s, self.conv(f"{kind}.decoder.head", s)
