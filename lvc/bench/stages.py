"""Where the time of lvc goes: stages of a run from Python's profiler, and multiplications per pixel from torch's."""

import cProfile
import pstats
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

STAGES = {
    "media": ("media", "bench", "picture.py", "video.py"),
    "motion": (
        "encoder/predictor.py",
        "encoder/matching.py",
        "encoder/motion_search.py",
        "encoder/motion_blocks.py",
        "encoder/vector_costs.py",
        "encoder/mode_choice.py",
        "encoder/interpolation_choice.py",
        "encoder/temporal_filter.py",
        "exact/warp.py",
        "exact/overlap.py",
        "model/motion.py",
        "model/known_vectors.py",
        "model/modes.py",
    ),
    "quantiser": ("model/codebook.py", "model/entropy.py"),
    "range coder": ("rangecoder.py", "container"),
    "networks": ("model", "exact"),
}
"""Parts of the package that make up each stage; the first that fits counts. What fits none is "other"."""

OTHER = "other"
_PACKAGE = str(Path(__file__).resolve().parent.parent)

_Function = tuple[str, int, str]


def stage_seconds(run: Callable[[], object]) -> dict[str, float]:
    """Seconds that each stage took while ``run`` ran, in the calling thread.

    Time in torch, numpy and other libraries counts for the part of lvc that called them. The profiler itself slows the
    Python part of the run by some per cent, so shares say more than sums.
    """
    profile = cProfile.Profile()
    profile.runcall(run)
    table: dict[_Function, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    shares = _Shares(table)
    seconds = dict.fromkeys((*STAGES, OTHER), 0.0)
    for function, (_, _, own, _, _) in table.items():
        for stage, share in shares.of(function).items():
            seconds[stage] += own * share
    return seconds


def macs(run: Callable[[], object]) -> float:
    """Multiply-accumulates of all convolutions and matrix products while ``run`` runs, all of it left to torch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

    from lvc.exact.places import uncompiled

    def named(x: list[int], weight: list[int], *_: Any, out_shape: list[int], **__: Any) -> int:
        return conv_flop_count(x, weight, out_shape)

    # convolutions that lvc asks oneDNN for by name, see lvc.exact.product
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mkldnn_convolution: named})
    with counter, uncompiled():
        run()
    return float(counter.get_total_flops()) / 2


class _Shares:
    """Which stages a function works for: its own if it is lvc's, else those of its callers, by time."""

    def __init__(self, table: dict[_Function, Any]) -> None:
        self._table = table
        self._known: dict[_Function, dict[str, float]] = {}

    def of(self, function: _Function, depth: int = 0) -> dict[str, float]:
        stage = _stage_of(function[0])
        if stage is not None:
            return {stage: 1.0}
        if function in self._known:
            return self._known[function]
        callers = self._table[function][4] if function in self._table else {}
        weights = {caller: max(times[3], 1e-12) for caller, times in callers.items() if caller != function}
        if depth > 30 or not weights:
            return {OTHER: 1.0}
        self._known[function] = {OTHER: 1.0}  # ends recursion through cycles
        total = sum(weights.values())
        result: dict[str, float] = {}
        for caller, weight in weights.items():
            for name, share in self.of(caller, depth + 1).items():
                result[name] = result.get(name, 0.0) + share * weight / total
        self._known[function] = result
        return result


@cache
def _stage_of(filename: str) -> str | None:
    """The stage of a source file of lvc; None for files that are not lvc's, and for what works for any stage."""
    if not filename.startswith(_PACKAGE):
        return None
    relative = Path(filename).relative_to(_PACKAGE).as_posix()
    if relative.startswith("kernels/"):
        return None
    for stage, parts in STAGES.items():
        if any(relative == part or relative.startswith(f"{part}/") for part in parts):
            return stage
    return OTHER
