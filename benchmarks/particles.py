"""An SE(3) layer's train step against the same layer in plain PyTorch, on the CPU.

    python benchmarks/particles.py [--repeats=7] [--batch=100] [--points=5]

Both have the same parameters and see the same random systems of points; their outputs are
compared first, and differ by rounding alone. A step makes the kernels of all pairs of points
from the positions, applies the layer, takes the gradient of the mean squared error with respect
to all parameters and updates these by Adam. Both sides take turns; what is printed is the
median of either, its least and largest in brackets, and the median of the turns' ratios: above
1 ours is the faster.
"""
import argparse
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from throughput import machine, spread, turns

from vaebench.networks import common, se3, sets
from vaebench.ops import harmonics

DEGREES, CHANNELS, HEADS, HIDDEN, STEPS = 3, 8, 2, 32, 10
FEATURES = dict.fromkeys(range(DEGREES), CHANNELS)
PAIRS = [(l, k) for l in range(DEGREES) for k in range(DEGREES)]


def systems(batch: int, points: int) -> dict[str, Any]:
    """Returns random positions, products of charges, features and targets."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    fiber = lambda: {l: draw(batch, points, CHANNELS, 2 * l + 1) for l in range(DEGREES)}
    return {'position': draw(batch, points, 3), 'product': draw(batch, points, points, 1),
            'fiber': fiber(), 'target': fiber()}


# ---- ours ------------------------------------------------------------------------------------

LAYER = se3.Layer(FEATURES, CHANNELS, HEADS, HIDDEN, True)


def pairs_of(data: dict[str, Any]) -> se3.Edges:
    """Returns what the layer reads of pairs of points."""
    return se3.edges(data['position'], data['product'], DEGREES, DEGREES)


def apply(params: Any, data: dict[str, Any]) -> Any:
    """Applies the layer."""
    return LAYER.apply({'params': params}, data['fiber'], pairs_of(data))


class Ours:
    """The layer of this package, its parameters and their optimizer's state."""

    def __init__(self, data: dict[str, Any]):
        self.data, self.tx = jax.tree.map(jnp.asarray, data), optax.adam(1e-3)
        init = common.initializer(LAYER, sets.law, self.data['fiber'], pairs_of(self.data))
        self.params = init(jax.random.key(0))
        self.state, self.block = self.tx.init(self.params), jax.jit(self._block)

    def loss(self, params: Any, data: dict[str, Any]) -> jax.Array:
        """Returns the squared error, averaged over each degree."""
        gaps = jax.tree.map(lambda a, b: ((a - b)**2).mean(), apply(params, data),
                            data['target'])
        return sum(jax.tree.leaves(gaps), jnp.zeros(()))

    def _block(self, params, state, data):
        def step(_, now):
            grads = jax.grad(self.loss)(now[0], data)
            updates, state = self.tx.update(grads, now[1])
            return optax.apply_updates(now[0], updates), state

        return jax.lax.fori_loop(0, STEPS, step, (params, state))

    def run(self) -> None:
        """Takes STEPS steps."""
        self.params, self.state = jax.block_until_ready(
            self.block(self.params, self.state, self.data))


# ---- theirs ----------------------------------------------------------------------------------

class Theirs(torch.nn.Module):
    """The same layer in PyTorch, with our parameters to start from."""

    def __init__(self, params: Any, data: dict[str, Any]):
        super().__init__()
        flat = jax.tree_util.tree_flatten_with_path(params)[0]
        self.p = torch.nn.ParameterDict({
            '/'.join(k.key for k in path): torch.tensor(np.asarray(leaf))
            for path, leaf in flat})
        self.bases = {pair: [torch.tensor(harmonics.clebsch_gordan(*pair, j),
                                          dtype=torch.float32)
                             for j in harmonics.couplings(*pair)] for pair in PAIRS}
        self.data = jax.tree.map(torch.tensor, data)
        self.mask = torch.eye(data['position'].shape[1], dtype=torch.bool)
        self.tx = torch.optim.Adam(self.parameters(), 1e-3)

    def radial(self, x: torch.Tensor) -> torch.Tensor:
        """Applies the network of an edge's numbers."""
        p, at = self.p, 'messages/radial/'
        for i in range(2):
            name = f'{at}layer{i}/'
            x = torch.addmm(p[f'{name}bias'], x, p[f'{name}kernel'])
            x = torch.nn.functional.layer_norm(x, (HIDDEN,), 1 + p[f'{at}gain{i}'],
                                               p[f'{at}shift{i}'], 1e-5).relu()
        return torch.addmm(p[f'{at}last/bias'], x, p[f'{at}last/kernel'])

    def kernels(self, x: torch.Tensor) -> dict[tuple[int, int], torch.Tensor]:
        """Computes the bases of all kernels for unit vectors."""
        seen = [torch.stack(harmonics.polynomials(j, *x.unbind(-1)), -1)
                for j in range(2 * DEGREES - 1)]
        return {(l, k): torch.stack([
                    torch.einsum('pqm,bijm->bijpq', q, seen[j])
                    for q, j in zip(found, harmonics.couplings(l, k), strict=True)], -1)
                for (l, k), found in self.bases.items()}

    def forward(self) -> dict[int, torch.Tensor]:
        """Applies the layer to the data."""
        position, fiber, p = self.data['position'], self.data['fiber'], self.p
        apart = position[:, None] - position[:, :, None]
        away = (apart.square().sum(-1, keepdim=True) + 1e-12).sqrt()
        kernels, b, n = self.kernels(apart / away), len(position), position.shape[1]
        numbers = self.radial(torch.cat([away, self.data['product']], -1).reshape(b * n * n, 2))
        sizes = [2 * CHANNELS * CHANNELS * kernels[pair].shape[-1] for pair in PAIRS]
        weights = dict(zip(PAIRS, numbers.split(sizes, -1), strict=True))
        logits, values, size = 0., {}, 0
        for l in range(DEGREES):
            seen = torch.cat([torch.einsum('bijpqu,bjcq->bijcup', kernels[l, k], f)
                              .flatten(3, 4) for k, f in fiber.items()], 3)
            weight = torch.cat([weights[l, k].reshape(b, n, n, 2 * CHANNELS, -1)
                                for k in fiber], -1)
            sent = weight @ seen / seen.shape[3]**.5
            key, value = (part.unflatten(3, (HEADS, -1)) for part in sent.chunk(2, 3))
            query = torch.einsum('bncp,cd->bndp', fiber[l], p[f'query/kernel_{l}'])
            logits = logits + torch.einsum('bihcp,bijhcp->bijh',
                                           query.unflatten(2, (HEADS, -1)), key)
            values[l], size = value, size + key.shape[-1] * key.shape[-2]
        logits = (logits / size**.5).masked_fill(self.mask[..., None], -torch.inf)
        weight, out = logits.softmax(2), {}
        for l, value in values.items():
            gathered = torch.einsum('bijh,bijhcp->bihcp', weight, value).flatten(2, 3)
            joined = torch.cat([gathered, fiber[l]], 2)
            out[l] = torch.einsum('bncp,cd->bndp', joined, p[f'own/kernel_{l}'])
        return out

    def run(self) -> None:
        """Takes STEPS steps."""
        for _ in range(STEPS):
            self.tx.zero_grad(set_to_none=True)
            out = self()
            sum((out[l] - t).square().mean() for l, t in self.data['target'].items()).backward()
            self.tx.step()


def main() -> None:
    """Compares outputs, then times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (('repeats', 7), ('batch', 100), ('points', 5)):
        parser.add_argument(f'--{name}', type=int, default=default)
    given = parser.parse_args()
    data = systems(given.batch, given.points)
    ours = Ours(data)
    theirs = Theirs(ours.params, data)
    a, b = jax.device_get(jax.jit(apply)(ours.params, ours.data)), theirs()
    gap = max(np.abs(a[l] - b[l].detach().numpy()).max() / np.abs(a[l]).max() for l in a)
    assert gap < 1e-4, f'outputs differ by {gap}'
    print(f'outputs differ by {gap:.1e} at most, relative to the largest', flush=True)
    mine, other = turns(ours.run, theirs.run, given.repeats)
    print(f'{machine(["jax", "torch"])}; load {os.getloadavg()[0]:.1f}, PyTorch with '
          f'{torch.get_num_threads()} threads')
    print(f'ours {spread(1e3 * mine / STEPS, "ms/step")}, PyTorch '
          f'{spread(1e3 * other / STEPS, "ms/step")}, ratio {spread(other / mine, "")}')


if __name__ == '__main__':
    main()
