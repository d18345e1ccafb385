"""From a trained group to result files: metrics, artefacts, provenance."""
import functools
import importlib.metadata
import pathlib
import platform
import resource
import subprocess

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import metrics
from vaebench.core import derive
from vaebench.train import SALT

PACKAGES = ('vaebench', 'jax', 'jaxlib', 'flax', 'optax', 'numpy')


def evaluate(method, seeds, params, carry, buckets, names, settings, tick=None, programs=None,
             partial=None, train=None, vocab=None):
    """All metrics of a trained group, and the arrays behind them.

    Args:
      method: the `Method`.
      seeds: G, how many.
      params, carry: with a leading seed axis G.
      buckets: the evaluated split, one dict of arrays per length class.
      names: metrics, keys of `metrics.METRICS`; those not defined for the method or the data are left out.
      settings: `metrics.Settings`.
      tick: called as tick(done, total) now and then.
      programs, partial, train, vocab: see `metrics.View`.

    Returns:
      (entries, arrays): per seed a dict name -> value, estimator, n, samples, unit, better, stderr, warning, note;
      and name -> [G, ...].
    """
    keys = jnp.broadcast_to(derive(jax.random.key(SALT), 1), (seeds,))      # common random numbers
    view = metrics.View(method.evals, params, carry, buckets, keys, settings, tick, programs, partial,
                        train, vocab)
    values = metrics.measure(view, names)
    entries = [metrics.entries(values, view, g) for g in range(seeds)]
    arrays = artefacts(view, values)
    view.release()
    return entries, arrays


def artefacts(view, values, shown=64):
    """What figures and listings need of a group.

    Args:
      view: the `metrics.View`.
      values: what `metrics.measure` gave for it.
      shown: images from the prior, and images with their reconstructions.

    Returns:
      name -> [G, ...]: 'nll', 'ess' [G, N] where importance sampling was done, 'codes' [G, N, Z]; of images 'sample/*'
      and 'decoded/*' [G, shown, ...] with the leaves of a batch, of sentences what `metrics.listings` gives.
    """
    arrays, evals = {}, view.evals
    if values.get('nll_iw') is not None and 'score' not in evals:
        arrays['nll'], arrays['ess'] = view.weights
    if 'encode' in evals:
        arrays['codes'] = view.codes
    if view.item == 'sentence':
        return _compact({**arrays, **metrics.listings.listings(view)})
    if 'sample' in evals:
        def sample(params, carry, key, own):
            return evals['sample'](params, carry, derive(key, 2), shown, 'mean')

        drawn = view.jit(sample)(())
        arrays |= {f'sample/{k}': v for k, v in drawn.items()}
    if 'encode' in evals and 'decode' in evals:
        def decode(params, carry, key, z):
            return evals['decode'](params, carry, z, derive(key, 3), 'mean')

        decoded = view.jit(decode)(view.codes[:, :shown])
        arrays |= {f'decoded/{k}': v for k, v in decoded.items()}
    return _compact(arrays)


def _compact(arrays):
    return {k: np.asarray(v, np.float32) if np.asarray(v).dtype.kind == 'f' else np.asarray(v)
            for k, v in arrays.items()}


@functools.cache
def provenance():
    """Revision, versions and device: the part of a result that is the same for every cell of a run."""
    def git(*args):
        try:
            here = str(pathlib.Path(__file__).parent)
            return subprocess.run(['git', '-C', here, *args], capture_output=True, text=True, timeout=10,
                                  check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    versions = {'python': platform.python_version()}
    for package in PACKAGES:
        versions[package] = importlib.metadata.version(package)
    status = git('status', '--porcelain', '--untracked-files=no')
    device = jax.devices()[0]
    return {'git': {'revision': git('rev-parse', 'HEAD'), 'dirty': None if status is None else bool(status)},
            'versions': versions,
            'device': {'kind': device.device_kind, 'count': jax.device_count(), 'platform': device.platform},
            'host': _processor()}


def _processor():
    try:
        lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
        return next(line.split(':', 1)[1].strip() for line in lines if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def peak_memory():
    """Most bytes this process has held: of the accelerator where there is one, else of the host."""
    stats = jax.devices()[0].memory_stats() or {}
    return int(stats.get('peak_bytes_in_use', 0)) or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
