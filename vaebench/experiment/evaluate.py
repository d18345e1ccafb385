"""From a trained group to result files: metrics, artefacts, provenance."""
import functools
import importlib.metadata
import pathlib
import platform
import resource
import subprocess
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import metrics
from vaebench.core import derive
from vaebench.engine.order import SALT
from vaebench.metrics import (
    disentanglement,
    equivariance,
    latent,
    prediction,
    representation,
    samples,
    style_codes,
)
from vaebench.metrics.evaluator import of_batch
from vaebench.ops import interpolate
from vaebench.schema import Field, field

PACKAGES = ('vaebench', 'jax', 'jaxlib', 'flax', 'optax', 'numpy')
# artefacts that a decoder makes of codes
PLACES = 'decoded/x', 'interpolation/x', 'traversal/x'
PAIRS, STEPS = 8, 10       # lines between codes, and codes on each with both ends
SHOWN, POINTS = 64, 2000   # images, or points, from the prior and with their reconstructions
DIMS, VALUES = 10, 11      # dimensions of a traversal at most, and values of each


def keys(seeds: int) -> jax.Array:
    """Makes the keys [G] of an evaluation: common random numbers for every seed of every row.
    """
    return jnp.broadcast_to(derive(jax.random.key(SALT), 1), (seeds,))


def evaluate(trained: metrics.Trained, data: metrics.Data, names: Iterable[str],
             settings: metrics.Settings, tick: Callable[[int, int], None] | None = None,
             partial: pathlib.Path | None = None
             ) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Computes all metrics of a trained group, and the arrays behind them.

    Args:
      trained: a `metrics.Trained` with the `keys` of its seeds.
      data: a `metrics.Data`.
      names: metrics, keys of `metrics.METRICS`; those not defined for the method or the data
        are left out.
      settings: `metrics.Settings`.
      tick, partial: see `metrics.Evaluator`.

    Returns:
      (entries, arrays): per seed what `metrics.entries` gives; and name -> [G, ...].
    """
    view = metrics.Evaluator(trained, data, settings, tick, partial)
    values = metrics.measure(view, names)
    entries = [metrics.entries(values, view, g) for g in range(view.seeds)]
    arrays = artefacts(view, values)
    return entries, arrays


def artefacts(view: metrics.Evaluator,
              values: Mapping[str, metrics.Value | None]) -> dict[str, np.ndarray]:
    """Collects what pictures and listings need of a group.

    Args:
      view: the `metrics.Evaluator`.
      values: what `metrics.measure` gave for it.

    Returns:
      name -> [G, ...]: 'nll', 'ess' [G, N] where importance sampling was done, 'codes' [G, N,
      Z], posterior means, and beside them 'codes/scale', standard deviations of Gaussian
      posteriors, or 'codes/draw', one draw of each; of known factors what
      `disentanglement.matrices` gives, of sentences what `metrics.qualitative` does, of codes
      with parts what `style_codes.spaces` does, of a network on a group what
      `equivariance.views` does, of predictions what `prediction.systems` does, of images and
      points what `pictured` does.
    """
    arrays, evals = {}, view.evals
    if values.get('nll_iw') is not None and 'score' not in evals:
        arrays['nll'], arrays['ess'] = view.weights
    if 'encode' in evals:
        arrays['codes'] = view.codes
        arrays |= _posterior(view)
    arrays |= disentanglement.matrices(view, values)
    arrays |= metrics.qualitative.listings(view)
    arrays |= style_codes.spaces(view, values)
    arrays |= equivariance.views(view)
    arrays |= prediction.systems(view)
    if isinstance(x := view.schema.get('x'), Field):
        arrays |= pictured(view, SHOWN if len(x.shape) > 1 else POINTS)
    return _compact(arrays)


def _posterior(view):
    """What is known of the posteriors besides their means."""
    if not {'posterior', 'sample_q'} <= set(view.evals):
        return {}
    q, codes = view.states, view.codes
    gaussian = isinstance(q, dict) and set(q) == {'mean', 'log_var'}
    if gaussian and np.array_equal(q['mean'], codes):
        return {'codes/scale': np.exp(.5 * np.asarray(q['log_var']))}
    return {'codes/draw': view.draws} if view.vectors else {}


def pictured(view: metrics.Evaluator, shown: int) -> dict[str, np.ndarray]:
    """Makes images or points to look at, as far as the evals allow; images as bytes, of which
    255 is the data's 1.

    Args:
      view: the `metrics.Evaluator`.
      shown: how many samples, and how many of the split with their reconstructions.

    Returns:
      name -> [G, ...]: 'real/x' the first of the split; 'decoded/x' these reconstructed;
      'sample/x', the first that the metrics compare; 'interpolation/x' [G, 8, 10, ...] decoded
      straight lines between codes 2i and 2i + 1 of the split, or between draws from the prior
      of what has no encoder; 'traversal/x' [G, D, 11, ...] decoded copies of the split's first
      code of which dimension 'traversal/dim' [G, D] is -3 to 3, the one of the largest mean
      'traversal/kl' (nats; without a KL 'traversal/variance', of the codes) first, 10 at most;
      'codes' [G, M, Z] of a method that fits its codes to the split; 'label' [G, M] and
      'arclength' of the examples that have codes.
    """
    evals, x, rows = view.evals, view.field('x'), slice(None)
    arrays = {'real/x': _every(view, x[:shown])}
    if 'sample' in evals:
        arrays['sample/x'] = samples.generated(view, shown)
    if 'encode' not in evals and 'embed' in evals:
        rows, arrays['codes'], _ = representation.embedding(view)
    if 'decode' in evals:
        codes = _to_decode(view, shown)
        arrays |= {k: v for k, v in codes.items() if k not in PLACES}
        arrays |= _decoded(view, {k: codes[k] for k in PLACES if k in codes})
    elif 'reconstruct' in evals:
        reconstruct = view.jit(of_batch, 'reconstruct')
        arrays['decoded/x'] = jax.device_get(reconstruct((), view.head(shown)))['x']
    if field(view.schema, 'x').bounds:
        arrays = {k: _bytes(v) if k.endswith('/x') else v for k, v in arrays.items()}
    columns = [k for k in ('label', 'arclength') if k in view.data.names]
    return arrays | {k: _every(view, view.field(k)[rows]) for k in columns}


def _ends(evals, params, carry, key, own):
    return evals['sample_prior'](params, carry, derive(key, 2), 2 * PAIRS)


def _decode(evals, params, carry, key, z):
    return evals['decode'](params, carry, z, derive(key, 3), 'mean')['x']


def _to_decode(view, shown):
    """Codes of `PLACES` as far as they are there, and what orders the traversal: leaves [G,
    ...].
    """
    if 'encode' in view.evals:
        ends = view.codes
        return {'decoded/x': ends[:, :shown], **_traversal(view), **_lines(ends)}
    if 'sample_prior' in view.evals:
        return _lines(jax.device_get(view.jit(_ends)(())))
    return {}


def _traversal(view):
    """Copies of the first code of which one dimension moves, and what orders the dimensions."""
    kind, rate = latent.rate_of_dimensions(view)
    dims = np.argsort(-rate, 1, kind='stable')[:, :DIMS]
    line = interpolate.span(VALUES)
    moved = jax.vmap(lambda z, dims: interpolate.traversal(z, line, dims))
    return {'traversal/x': moved(view.codes[:, 0], dims), 'traversal/dim': dims,
            f'traversal/{kind}': np.take_along_axis(rate, dims, 1)}


def _lines(ends):
    """Lines between codes; structured and discrete ones have none between them."""
    if getattr(ends, 'ndim', 0) != 3 or ends.dtype.kind != 'f':
        return {}
    pairs = 2 * min(PAIRS, ends.shape[1] // 2)
    if not pairs:
        return {}
    lines = interpolate.lerp(ends[:, 0:pairs:2], ends[:, 1:pairs:2], jnp.linspace(0, 1, STEPS))
    return {'interpolation/x': np.moveaxis(np.asarray(lines), 0, 2)}


def _decoded(view, codes):
    """x of codes: name -> [G, ..., Z] to name -> [G, ..., *shape], by one program."""
    if not codes:
        return {}
    flat = [np.reshape(z, (view.seeds, -1, z.shape[-1])) for z in codes.values()]
    x = jax.device_get(view.jit(_decode)(np.concatenate(flat, 1)))
    parts = np.split(x, np.cumsum([z.shape[1] for z in flat])[:-1], 1)
    return {
        k: part.reshape(*z.shape[:-1], *part.shape[2:])
        for (k, z), part in zip(codes.items(), parts, strict=True)
    }


def _every(view, x):
    """[G, ...] the same for every seed."""
    return np.broadcast_to(x, (view.seeds, *x.shape))


def _bytes(x):
    return np.uint8(np.round(255 * np.clip(np.nan_to_num(x), 0, 1)))


def _compact(arrays):
    return {k: np.asarray(v, np.float32) if np.asarray(v).dtype.kind == 'f' else np.asarray(v)
            for k, v in arrays.items()}


@functools.cache
def provenance() -> dict[str, Any]:
    """Says revision, versions and device: the part of a result that is the same for every cell
    of a run.
    """
    versions = {'python': platform.python_version()}
    for package in PACKAGES:
        versions[package] = importlib.metadata.version(package)
    device = jax.devices()[0]
    return {'git': revision(pathlib.Path(__file__).parent), 'versions': versions,
            'device': {'kind': device.device_kind, 'count': jax.device_count(),
                       'platform': device.platform},
            'host': _processor()}


def revision(folder: pathlib.Path) -> dict[str, Any]:
    """Says which commit the code in a folder is of.

    Args:
      folder: with the code.

    Returns:
      'revision', and 'dirty', whether tracked files differ from it; both None unless the
      repository around the folder has files of the folder: an environment of installed packages
      often lies in the repository of something else.
    """
    def git(*args):
        try:
            return subprocess.run(['git', '-C', str(folder), *args], capture_output=True,
                                  text=True, timeout=10, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    if git('ls-files', '--error-unmatch', '.') is None:
        return {'revision': None, 'dirty': None}
    status = git('status', '--porcelain', '--untracked-files=no')
    return {'revision': git('rev-parse', 'HEAD'),
            'dirty': None if status is None else bool(status)}


def _processor():
    try:
        lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
        names = (line for line in lines if line.startswith('model name'))
        return next(names).split(':', 1)[1].strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def peak_memory() -> int:
    """Reads the most bytes this process has held: of the accelerator where there is one, else
    of the host.
    """
    stats = jax.local_devices()[0].memory_stats() or {}
    held = int(stats.get('peak_bytes_in_use', 0))
    return held or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
