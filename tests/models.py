"""A tiny random model for tests: exact as any other, and with every layer, table and codebook in use."""

import functools
from dataclasses import replace

import numpy as np
import torch

from lvc.exact.layers import UNIT, exact_layers
from lvc.model import Model
from lvc.model.codebook import Codebook, Quantiser
from lvc.model.codec import FrameCodec
from lvc.model.config import config_named
from lvc.model.networks import LOG_STEP
from lvc.model.weights import Statistics, unpack
from lvc.training.export import exported

SMALL_BOOK = 60
LEVELS = 4
"""Weights have few values, so that the model compresses well."""


def tiny_codec(seed: int = 1) -> FrameCodec:
    """Float codec of size 'tiny' that starts from the DCT; no layer is zero, the prior names all kinds of classes."""
    torch.manual_seed(seed)
    codec = FrameCodec(config_named("tiny"))
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for name, layer in exact_layers(codec):
            if not bool(layer.weight.any()):
                layer.weight.copy_(torch.from_numpy(random.normal(0, 0.02, layer.weight.shape)))
            coarse = layer.weight.abs().amax() / LEVELS
            layer.weight.copy_((layer.weight / coarse).round() * coarse)
            layer.bias.copy_(torch.from_numpy(random.integers(-8, 9, layer.bias.shape) / UNIT))
            if layer.knots is None:
                continue
            layer.knots.copy_(torch.from_numpy(random.integers(-3, 4, layer.knots.shape) / UNIT))
            if "prior.out" in name:
                half = layer.knots.shape[1] // 2
                # log-scales: falling with the frequency, rising with the quality, different from channel to channel
                scales = np.linspace(1, -3, half) + np.linspace(-1.5, 3.5, len(layer.knots))[:, None]
                scales += random.integers(-2, 3, half) / 2
                scales = (scales * 16).round() / 16
                layer.knots[:, half:] = torch.from_numpy(scales * (LOG_STEP / UNIT))
        codec.start_state.copy_(torch.from_numpy(random.normal(0, 0.5, codec.start_state.shape)))
        codec.steps.offset.add_(torch.arange(codec.steps.offset.shape[2]) // 24 * 0.02)
        codec.steps.offset[0] -= 0.1
        for weight in (*codec.transform.luma_inverse, codec.transform.chroma_inverse):
            weight[random.integers(0, 64, 20), random.integers(0, 64, 20)] += 3 / 2**14
    return codec


def small_books(seed: int = 1) -> Statistics:
    """Statistics with short codebooks whose entries are off the integers."""
    random = np.random.default_rng(seed)
    start = Statistics.start()
    quantisers = []
    for quantiser in start.quantisers:
        books = []
        for book in quantiser.books:
            if book.low:
                books.append(book)
                continue
            kept = np.sort(np.argsort(-book.counts[:-1], kind="stable")[:SMALL_BOOK])
            entries = book.entries[kept] + random.integers(-6, 7, (len(kept), book.dimension))
            counts = np.concatenate([book.counts[kept], [40]])
            if book.dimension == 1:
                order = np.argsort(entries[:, 0], kind="stable")
                entries, counts[:-1] = entries[order], counts[:-1][order]
            books.append(Codebook(entries, counts, book.low))
        quantisers.append(Quantiser(books))
    return replace(start, quantisers=quantisers)


@functools.cache
def tiny_bytes(seed: int = 1) -> bytes:
    """The model file of :func:`tiny_codec`."""
    return exported(tiny_codec(seed), small_books(seed), {"data": "none, random numbers"}, "tiny")[0]


@functools.cache
def tiny_model(seed: int = 1) -> Model:
    """The exact model in :func:`tiny_bytes`."""
    return unpack(tiny_bytes(seed), "tiny")


@functools.cache
def plain_bytes() -> bytes:
    """What training starts from: DCT, networks that add nothing to the picture, codebooks of integers."""
    torch.manual_seed(3)
    return exported(FrameCodec(config_named("tiny")), Statistics.start(), {}, "plain")[0]


def plain_model() -> Model:
    """The same, ready to use."""
    return unpack(plain_bytes(), "plain")
