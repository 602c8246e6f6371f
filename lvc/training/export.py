"""From a trained float codec to a model file."""

import copy
from typing import Any

from lvc.exact.layers import set_fake
from lvc.model.codec import FrameCodec
from lvc.model.weights import Model, Statistics, pack, unpack


def exported(
    codec: FrameCodec, statistics: Statistics, card: dict[str, Any], name: str = "model"
) -> tuple[bytes, Model]:
    """The bytes of the model file, and the exact model that they hold; the codec itself is left as it is.

    Raises:
        ModelError: a bound does not hold.
    """
    snapped = copy.deepcopy(codec).cpu()
    set_fake(snapped, False)
    snapped.snap()
    data = pack(snapped, statistics, card)
    return data, unpack(data, name)
