"""What both sides of a measurement work on: sizes, and random data of these sizes."""
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from vaebench import schema

Size = Mapping[str, int]

PTB = {'vocab': 10_002, 'embed': 256, 'hidden': 256, 'latent': 32, 'batch': 32, 'steps': 23}
SMALL = {'vocab': 2_000, 'embed': 64, 'hidden': 128, 'latent': 16, 'batch': 64, 'steps': 20}
TINY = {'vocab': 50, 'embed': 32, 'hidden': 64, 'latent': 8, 'batch': 64, 'steps': 13}

STYLED = {'vocab': 9_000, 'embed': 300, 'hidden': 256, 'latent': 136, 'batch': 128,
          'steps': 16}
STYLED_SMALL = {'vocab': 300, 'embed': 64, 'hidden': 128, 'latent': 32, 'batch': 64,
                'steps': 12}
STYLE, LABELS = 8, 2       # dimensions of the part of a code that is style; styles

IMAGES, BATCH = 12_800, 64
MLP = {'name': 'mlp', 'hidden': (512,), 'latent': 16}
CHANNELS, HIDDEN, LATENT = (32, 64), 128, 16
CONV = {'name': 'conv', 'channels': CHANNELS, 'hidden': HIDDEN, 'latent': LATENT}

# of configs/rotmnist.py at paper size
GROUP_CLASSES = {'latent': 2, 'channels': (20,) * 7, 'kernel': (3,) * 6 + (4,), 'pools': (2,),
                 'norm': True}
GROUP_CODES = {'latent': 32, 'codes': 'regular', 'pad': True, 'channels': (32, 64, 256),
               'kernel': (3, 3, 7), 'pools': (1, 2), 'hidden': 256, 'up': (64, 32)}


def sentences(n: int, size: Size) -> dict[str, np.ndarray]:
    """Returns n sentences of `size['steps']` predicted tokens.

    Args:
      n: how many.
      size: with 'vocab' and 'steps'.

    Returns:
      'tokens' int32 [n, steps + 1] and 'length' int32 [n].
    """
    shape = n, size['steps'] + 1
    tokens = np.random.default_rng(0).integers(4, size['vocab'], shape).astype(np.int32)
    tokens[:, 0], tokens[:, -1] = 1, 2
    return {'tokens': tokens, 'length': np.full(n, size['steps'], np.int32)}


def styled(n: int, size: Size) -> dict[str, np.ndarray]:
    """Returns `sentences` with 'label' int32 [n], of `LABELS` styles."""
    labels = np.random.default_rng(1).integers(LABELS, size=n).astype(np.int32)
    return {**sentences(n, size), 'label': labels}


def pixels() -> np.ndarray:
    """Returns float32 [IMAGES, 28, 28, 1] of noise in [0, 1)."""
    return np.random.default_rng(0).uniform(size=(IMAGES, 28, 28, 1)).astype(np.float32)


# ---- what a run trains on --------------------------------------------------------------------


class Setting(NamedTuple):
    """What a run trains on, and how."""
    columns: schema.Schema
    kit: Mapping[str, Any]
    data: Mapping[str, np.ndarray]
    batch: int                      # examples that a step reads, in however many batches
    steps: int                      # of one dispatch
    optimizer: Mapping[str, Any]


def columns(size: Size) -> schema.Schema:
    """Gives the schema of `sentences`."""
    return schema.text(tuple(map(str, range(size['vocab']))), size['steps'] - 1)


def lstm(size: Size, steps: int) -> Setting:
    """Says what an LSTM-VAE trains on."""
    kit = {'name': 'lstm', **{k: size[k] for k in ('latent', 'embed', 'hidden')}}
    return Setting(columns(size), kit, sentences(8 * size['batch'], size), size['batch'], steps,
                   {'name': 'sgd', 'clip': 5., 'lr': 1.})


def images(kit: Mapping[str, Any]) -> Setting:
    """Says what a VAE of images trains on, an epoch in one dispatch."""
    return Setting({'x': schema.image((28, 28, 1))}, kit, {'x': pixels()}, BATCH,
                   IMAGES // BATCH, {'name': 'adam', 'lr': 1e-3})


def torch_device() -> str:
    """Names PyTorch's device, so that both sides use the same kind."""
    import torch
    both = torch.cuda.is_available() and jax.default_backend() == 'gpu'
    return 'cuda' if both else 'cpu'
