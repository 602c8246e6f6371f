"""The one dial for a model's size."""

from dataclasses import dataclass

from lvc.errors import ModelError


@dataclass(frozen=True)
class ModelConfig:
    """Widths and depths of the networks.

    Attributes:
        name: what the user calls it.
        fine: channels at 1/8 resolution (context and carried state).
        coarse: channels at 1/16 resolution (context and prior).
        context_blocks, decoder_blocks: residual blocks at 1/8 resolution.
        intra_blocks: residual blocks that intra pictures have more of: their prior in each pass, their decoder.
        inter_blocks: residual blocks that the prior of predicted pictures has more of in each pass.
    """

    name: str
    fine: int
    coarse: int
    context_blocks: int
    decoder_blocks: int
    intra_blocks: int
    inter_blocks: int


CONFIGS = {
    "tiny": ModelConfig("tiny", 16, 32, 1, 1, 1, 0),
    "lite": ModelConfig("lite", 64, 192, 2, 6, 3, 1),
    "base": ModelConfig("base", 160, 512, 6, 12, 3, 1),
}
"""`lite` for CPUs, `base` for GPUs, `tiny` for tests."""


def config_named(name: str) -> ModelConfig:
    """The configuration of that name.

    Raises:
        ModelError: when there is none.
    """
    if name not in CONFIGS:
        raise ModelError(f"unknown model size {name!r}; there are {', '.join(CONFIGS)}")
    return CONFIGS[name]
