"""Names of the types that every layer shares."""
from collections.abc import Callable, Mapping
from typing import Any

import jax

Key = jax.Array                       # typed PRNG key, []
Params = Mapping[str, Any]            # one entry per part of the kit, or per free parameter
Carry = Any                           # pytree that no gradient moves
Batch = Mapping[str, jax.Array]       # leaves [B, ...]; 'weight' [B] is 0 for an empty slot
Hp = Mapping[str, jax.Array]          # traced scalars: sweeping them is a vmap
Augment = Callable[[Key, Batch], Batch]   # changes a training batch, drawn anew each time
Decode = Callable[[Batch], Batch]     # stored columns -> those that networks read

RUNNING_MEAN = 'running_'
"""Begins the names of parameters that are running means of something measured in training.

Their gradient is the difference from what was measured, and optimizers take a fixed share of it
off, whatever their rule, rate and clipping: see `engine.optimizers`.
"""
