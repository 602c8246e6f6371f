"""Network layers whose results do not depend on the machine.

Activations are integers within +-ACT_MAX held in float32. Weights lie on a grid of 2^-s with at most 127 steps to
either side, one s per output channel. Then every partial sum of a layer is a multiple of 2^-s, and as long as the
largest possible one stays under 2^24 steps, float32 represents all of them: the sum is exact in any order, on any
instruction set, any thread count and any device. :func:`prove` checks that bound from the real weights.

The same modules train: there ``exact`` is off, weights are free and nothing is rounded; ``fake`` rounds with a
straight-through gradient.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvc.errors import ModelError
from lvc.exact.frozen import Frozen, FrozenBlock, Runs, depthwise
from lvc.exact.places import enlarged, is_compiled
from lvc.exact.product import ACT_MAX, Matrix, learned_pointwise, repeatable_pointwise
from lvc.exact.qualities import KNOTS, Qualities, placed

UNIT = 128.0
"""The integer that stands for an activation of 1.0: biases are stored in these units."""
WEIGHT_MAX = 127
SHIFT_MAX = 14
SUM_LIMIT = 2.0**24


def _round_through(x: Tensor) -> Tensor:
    return x + (x.round() - x).detach()


class ExactLayer(nn.Module):
    """Base of the layers with weights: grid, rounding and bound.

    Attributes:
        exact: weights lie on their grid and results are rounded; set by :func:`make_exact` after the proof.
        fake: training with both, straight-through.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    knots: nn.Parameter | None

    def __init__(self, act: bool) -> None:
        super().__init__()
        self.act = act
        self.exact = False
        self.fake = False
        self._offset: Tensor | None = None
        self._shift: Tensor | None = None
        self._proved: Tensor | None = None
        self._kept: Frozen | None = None

    def shifts(self) -> Tensor:
        """The exponent s of each output channel's grid 2^-s, [C_out], small enough for the bound."""
        weight = self.weight.detach().double().flatten(1)
        peak = weight.abs().amax(1).clamp_min(1e-9)
        shift = torch.floor(torch.log2(WEIGHT_MAX / peak)).clamp(0, SHIFT_MAX)
        for _ in range(SHIFT_MAX):
            over = self._reach(self._snap(weight, shift[:, None]), shift) >= SUM_LIMIT * 0.98
            if not bool(over.any()):
                break
            shift = (shift - over.double()).clamp_min(0)
        return shift

    def find_grid(self) -> None:
        """Take the grids of the weights as they are now for training with rounded weights."""
        shift = self.shifts()
        # in place: a graph of the step may hold it
        self._shift = shift if self._shift is None else self._shift.copy_(shift)

    def _snap(self, weight: Tensor, shift: Tensor) -> Tensor:
        scale = torch.exp2(shift)
        return (weight * scale).round().clamp(-WEIGHT_MAX, WEIGHT_MAX) / scale

    def _reach(self, weight: Tensor, shift: Tensor) -> Tensor:
        """Largest possible |sum| of each output channel in steps of its grid, [C_out] float64."""
        bias = self.bias.detach().double().abs() * UNIT
        if self.knots is not None:
            bias = bias + self.knots.detach().double().abs().amax(0) * UNIT
        return (weight.abs().sum(1) * ACT_MAX + bias + 1) * torch.exp2(shift)

    def _parameters_now(self) -> tuple[Tensor, Tensor]:
        if self.exact:  # nothing changes any more
            if self._offset is None or self._offset.device != self.bias.device:
                self._offset = self.bias.detach() * UNIT
            return self.weight.detach(), self._offset
        if not self.fake:
            return self.weight, self.bias * UNIT
        if self._shift is None:
            raise ModelError("rounded weights need a grid: switch them on by set_fake")
        snapped = self._snap(self.weight.detach().double().flatten(1), self._shift[:, None]).float()
        weight = self.weight + (snapped.view_as(self.weight) - self.weight).detach()
        return weight, self.bias * UNIT

    @property
    def frozen(self) -> Frozen:
        """Of an exact layer on a CPU; made once, as nothing changes any more and each call of PyTorch's takes time."""
        if self._kept is None:
            weight, offset = self._parameters_now()
            knots = None if self.knots is None else self.knots.detach().numpy() * np.float32(UNIT)
            shift = self.grid_shift(type(self).__name__) if self._proved is None else self._proved
            self._kept = Frozen(Matrix.of(weight.flatten(1), shift.cpu()), offset.numpy(), knots, self.act)
        return self._kept

    def _by_quality(self, quality: Qualities | None) -> Tensor | None:
        """What is added to sums because of the quality, [B, n, C_out]; None where a layer does not depend on it."""
        if self.knots is None:
            return None
        if quality is None:
            raise ModelError("a quality-dependent layer was called without a quality")
        offset = (quality.weights[..., None] * self.knots).sum(2) * UNIT
        return offset.round() if self.exact else offset

    def _finish(self, y: Tensor, quality: Qualities | None) -> Tensor:
        offset = self._by_quality(quality)
        if offset is not None and quality is not None:
            offset = placed(offset, quality.where)
            if quality.where is not None and (finer := y.shape[2] // offset.shape[2]) > 1:
                offset = enlarged(offset, finer)
            y = y.add_(offset) if self.exact else y + offset
        if self.exact:  # nothing else holds y, and there are no gradients
            if self.act:
                F.leaky_relu_(y, 0.125)
            return y.round_().clamp_(-ACT_MAX, ACT_MAX)
        if self.act:
            y = F.leaky_relu(y, 0.125)
        if self.fake:
            y = _round_through(y)
        return clamp(y)

    @torch.no_grad()
    def snap(self) -> None:
        """Move the parameters onto their grids, in place."""
        shift = self.shifts()
        snapped = self._snap(self.weight.double().flatten(1), shift[:, None])
        self.weight.copy_(snapped.view_as(self.weight))
        scale = torch.exp2(shift)
        self.bias.copy_((self.bias.double() * UNIT * scale).round() / scale / UNIT)
        if self.knots is not None:
            self.knots.copy_((self.knots * UNIT).round() / UNIT)

    @torch.no_grad()
    def grid_shift(self, name: str) -> Tensor:
        """Smallest s of each output channel [C_out] (float64) with its weights and its bias on 2^-s.

        Raises:
            ModelError: naming the layer: there is none up to :data:`SHIFT_MAX`.
        """
        weight, bias = self.weight.double().flatten(1), self.bias.double() * UNIT
        if not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise ModelError(f"layer {name} holds a value that is not finite")
        finest = 1 << SHIFT_MAX
        values = torch.cat([weight, bias[:, None]], 1).abs_().mul_(finest)
        if not bool((values == values.round()).all()):
            raise ModelError(f"layer {name} has weights that lie on no grid of 2^-{SHIFT_MAX}")
        steps = values.clamp_max_(2.0**62).long()
        lowest = torch.where(steps == 0, finest, steps & -steps)  # the lowest bit that is set
        return SHIFT_MAX - lowest.amin(1).clamp_max_(finest).double().log2().round()

    @torch.no_grad()
    def prove(self, name: str) -> None:
        """Check that the weights lie on a grid on which no partial sum can leave the exact range.

        Raises:
            ModelError: naming the layer.
        """
        self._proved = self.grid_shift(name)
        step = torch.exp2(-self._proved)
        weight, bias = self.weight.double().flatten(1), self.bias.double() * UNIT
        knot = torch.zeros_like(bias)
        if self.knots is not None:
            knots = self.knots.double() * UNIT
            if not bool(torch.isfinite(knots).all() and (knots == knots.round()).all()):
                raise ModelError(f"layer {name} has quality offsets that are no integers")
            knot = knots.abs().amax(0) + 1
        reach = (weight.abs().sum(1) * ACT_MAX + bias.abs() + knot) / step
        if not bool((reach < SUM_LIMIT).all()):
            raise ModelError(f"layer {name} breaks its bound: {float(reach.max()):.0f} of {SUM_LIMIT:.0f}")


class Conv(ExactLayer):
    """1x1 convolution [B, C_in, H, W] -> [B, C_out, H, W]: a matrix product at every position.

    Args:
        gain: scale of the random start (0 gives a layer that starts as zero).
        by_quality: add a learned offset that depends on the quality.
        integers: whether its input has only these, as it must in decoders.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        act: bool = False,
        gain: float = 1.0,
        by_quality: bool = False,
        integers: bool = True,
    ) -> None:
        super().__init__(act)
        self._integers = integers
        self.weight = nn.Parameter(torch.randn(c_out, c_in, 1, 1) * (gain / math.sqrt(c_in)))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.knots = nn.Parameter(torch.zeros(KNOTS, c_out)) if by_quality else None

    def forward(self, x: Tensor, quality: Qualities | None = None) -> Tensor:
        if self.exact and is_compiled(x):
            sums = self.frozen.sums(x) if self._integers else repeatable_pointwise(x, self.weight.detach(), None)
            return self.frozen.finish(sums.contiguous(), quality)
        weight, bias = self._parameters_now()
        product = learned_pointwise if not self.exact else F.conv2d if self._integers else repeatable_pointwise
        return self._finish(product(x, weight, bias), quality)

    def in_one_go(self, planes: list[Tensor], runs: Runs | None, quality: Qualities | None) -> Tensor | None:
        """The same of planes whose channels are joined, see :meth:`Frozen.in_one_go`; None where that is not best."""
        if self.exact and self._integers and is_compiled(planes[0]):
            return self.frozen.in_one_go(planes, runs, quality)
        return None


class Depthwise(ExactLayer):
    """Depth-wise 3x3 convolution, zero padding, [B, C, H, W] -> [B, C, H, W]; starts near the identity.

    Exact ones on CPUs can be computed in some places alone, see :mod:`lvc.exact.near`: [1, C, H, W] -> [1, C, 1, n].
    """

    def __init__(self, channels: int) -> None:
        super().__init__(act=False)
        weight = torch.randn(channels, 1, 3, 3) * 0.1
        weight[:, 0, 1, 1] += 1
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.knots = None

    def forward(self, x: Tensor, runs: Runs | None = None) -> Tensor:
        if not self.exact or not is_compiled(x):
            weight, bias = self._parameters_now()
            return self._finish(F.conv2d(x, weight, bias, padding=1, groups=self.weight.shape[0]), None)
        return depthwise(self.frozen, x, runs)


class Block(nn.Module):
    """Residual block: depth-wise 3x3, widen, leaky slope, narrow, add. Starts as almost the identity.

    As :class:`Depthwise`, exact ones can be computed in some places alone; their input is changed there, in place.

    Args:
        gain: of what is added at the start.
    """

    def __init__(self, channels: int, expand: float = 2.0, gain: float = 0.1) -> None:
        super().__init__()
        inner = int(channels * expand)
        self.spatial = Depthwise(channels)
        self.widen = Conv(channels, inner, act=True)
        self.narrow = Conv(inner, channels, gain=gain)
        self._kept: FrozenBlock | None = None

    def forward(self, x: Tensor, runs: Runs | None = None) -> Tensor:
        if self.narrow.exact and is_compiled(x):
            if self._kept is None:
                self._kept = FrozenBlock(self.spatial.frozen, self.widen.frozen, self.narrow.frozen)
            return self._kept.apply(x, runs)
        inner = self.narrow(self.widen(self.spatial(x)))
        if self.narrow.exact:  # nothing else holds what is added, and there are no gradients
            return torch.clamp_(inner.add_(x), -ACT_MAX, ACT_MAX)
        return clamp(x + inner)


def clamp(x: Tensor) -> Tensor:
    """Limit to the range of activations. The gradient of ``hardtanh`` takes one pass, that of ``clamp`` three."""
    return F.hardtanh(x, -ACT_MAX, ACT_MAX)


def exact_layers(module: nn.Module) -> Iterator[tuple[str, ExactLayer]]:
    """All exact layers of a module with their names."""
    for name, layer in module.named_modules():
        if isinstance(layer, ExactLayer):
            yield name, layer


def prove(module: nn.Module) -> None:
    """Prove the bound of every exact layer, see :meth:`ExactLayer.prove`."""
    for name, layer in exact_layers(module):
        layer.prove(name)


def make_exact(module: nn.Module) -> None:
    """Prove all layers and switch them to exact arithmetic. Weights must already be on their grids."""
    prove(module)
    for _, layer in exact_layers(module):
        layer.exact = True


def set_fake(module: nn.Module, on: bool) -> None:
    """Switch training with rounded weights and activations on or off; grids are found for the weights of now."""
    for _, layer in exact_layers(module):
        layer.fake = on
        if on:
            layer.find_grid()
