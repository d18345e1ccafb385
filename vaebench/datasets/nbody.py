"""Charged particles, and where they are after a while."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from vaebench.datasets import toy_points
from vaebench.datasets.base import Dataset, Folder, make, whole
from vaebench.datasets.particles import Dynamics, simulate
from vaebench.errors import UserError
from vaebench.schema import Field, vectors

FRAME = 100            # steps of a frame
SPEED = .5             # of every particle at the start
ELEMENTS, SEED = 32, 1     # motions that metrics average over, and the seed of their draw


def motions(count: int = ELEMENTS, seed: int = SEED) -> dict[str, np.ndarray]:
    """Draws rotations of space, each followed by a shift.

    Args:
      count: E.
      seed: of the draw.

    Returns:
      'rotation' float32 [E, 3, 3], uniform over all rotations, and 'translation' [E, 3],
      normal.
    """
    draw = np.random.default_rng(seed).normal(size=(count, 7))
    turns = Rotation.from_quat(draw[:, :4]).as_matrix()
    return {'rotation': turns.astype(np.float32), 'translation': draw[:, 4:].astype(np.float32)}


def move(g: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    """Moves systems of particles: all vectors turn, and positions are shifted too.

    Args:
      g: 'rotation' [3, 3] and 'translation' [3].
      batch: columns of `nbody`.

    Returns:
      The batch.
    """
    turned = {
        column: {name: value @ g['rotation'].T if value.shape[-1:] == (3,) and value.ndim == 3
                 else value for name, value in batch[column].items()}
        for column in ('x', 'target') if column in batch}
    if 'x' in turned:
        turned['x']['position'] = turned['x']['position'] + g['translation']
    return {**batch, **turned}


def _start(u: np.ndarray, particles: int, spread: np.ndarray) -> dict[str, np.ndarray]:
    """Positions, velocities and charges at the start, of uniform numbers [N, 7 P]."""
    position, direction = np.split(
        toy_points.normal(u[:, particles:]).reshape(len(u), 2 * particles, 3), 2, axis=1)
    length = np.sqrt((direction**2).sum(-1, keepdims=True))
    return {'position': toy_points.on_grid(spread * position),
            'velocity': toy_points.on_grid(SPEED * direction / length),
            'charge': np.where(u[:, :particles] < .5, -1, 1).astype(np.float32)}


def _spread(spread: Any) -> np.ndarray:
    """Checks the standard deviations of the positions along x, y and z."""
    try:
        found = np.broadcast_to(np.asarray(spread, float), (3,))
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if not (np.isfinite(found) & (found >= 0)).all() or not found.any():
        raise UserError(f'spread={spread!r}: a number above 0 is wanted, or three of at least '
                        '0')
    return found


def nbody(data_dir: Folder = None, cache_dir: Folder = None, particles: int = 5,
          frames: int = 10, spread: float | Sequence[float] = 1., examples: int = 3000,
          eval_examples: int = 2000, seed: int = 0) -> Dataset:
    """Charged particles in empty space: from where they are and how they move, where they will
    be.

    Positions are normal at the start, velocities have length 0.5 and any direction, charges are
    -1 or 1. The system moves as `particles.simulate` says, 100 steps of 0.001 a frame.

    Differs from the simulator that others use: there is no box whose walls would reflect the
    particles, and forces are capped in norm and by pairs, not by components, so that rotating
    the start rotates the end; its initial state is the input, not any state of a trajectory.

    Args:
      data_dir, cache_dir: not needed.
      particles: P.
      frames: T, after which the end is looked at.
      spread: standard deviation of positions at the start, one number or one along each axis.
        With one number all directions are alike; with (1, 1, 0.1) systems are flat, and a
        rotated system is not of the law that training saw.
      examples: of train.
      eval_examples: of valid, and of test.
      seed: of the draw. Splits have streams of their own.

    Returns:
      A `Dataset` of systems: x holds 'position' [N, P, 3], 'velocity' [N, P, 3] and 'charge'
      [N, P]; target holds 'position' and 'velocity' [N, P, 3], by how much these are other at
      the end. `symmetry` moves a system as `move` does, and truth['group'] are `motions`.

    Raises:
      UserError: an option is not what it should be.

    References:
      Kipf, Fetaya, Wang, Welling, Zemel, "Neural Relational Inference for Interacting Systems",
      2018, arXiv:1802.04687 (the simulator).
      Fuchs, Worrall, Fischer, Welling, "SE(3)-Transformers: 3D Roto-Translation Equivariant
      Attention Networks", 2020, arXiv:2006.10503 (the task).
    """
    particles, frames = whole('particles', particles, 2), whole('frames', frames, 1)
    scale, dynamics = _spread(spread), Dynamics(frames * FRAME)
    splits = {}
    for split, u in toy_points.uniform(7 * particles, examples, eval_examples, seed).items():
        start = _start(u, particles, scale)
        end = simulate(start['position'], start['velocity'], start['charge'], dynamics)
        target = {name: (after - start[name]).astype(np.float32)
                  for name, after in zip(('position', 'velocity'), end, strict=True)}
        splits[split] = {'x': start, 'target': target}
    many = vectors(particles)
    moved = many._replace(derived=True)      # its last bits are the machine's: `drawn` counts
    columns = {'x': {'position': many, 'velocity': many, 'charge': Field('real', (particles,))},
               'target': {'position': moved, 'velocity': moved}}
    return make('nbody', splits, columns, drawn=tuple(dynamics), item='system',
                part='coordinate', symmetry=move, truth={'group': motions()})
