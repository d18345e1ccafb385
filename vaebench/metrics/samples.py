"""Samples against held-out data, in features of both, with the floors that data has against
other data.
"""
import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from vaebench.core import derive
from vaebench.metrics.discrepancies import (
    NEIGHBOR,
    PERMUTATIONS,
    TREES,
    classifier_test,
    confidence,
    frechet,
    kernel_discrepancy,
    label_divergence,
    permutation_p,
    sharpness,
    support,
)
from vaebench.metrics.draws import GENERATED
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.summary import warnings
from vaebench.metrics.types import (
    AT_LEAST_ONE,
    NONNEGATIVE,
    SHARE,
    Bounds,
    Estimator,
    Judge,
    Metric,
    Value,
)
from vaebench.schema import Field, field

DRAW = 100                 # samples that a call of `sample` makes, whatever the settings
LEAST = 4                  # rows on a side below which nothing is said
PER_DIMENSION = 10         # rows per feature below which a Frechet distance warns
REDRAWS = 20               # of real data from real data, whose mean is a floor

Statistic = Callable[[np.ndarray, np.ndarray], Any]
"""(features of one side [n, D], of the other [m, D]) -> float, or (float, standard error)."""


# What is compared.

def space(view: Evaluator) -> Judge:
    """Returns the judge in whose features samples and data are compared; without one they are
    the values themselves.

    It offers `features`: x [N, ...] -> [N, D] and, where it knows classes, `classify`: features
    -> [N, K], log p.
    """
    values = {'features': lambda x: x.reshape(len(x), -1)}
    return view.judge('space') or Judge(f'{view.data.part}s', functions=values)


DECODINGS = {'mean': Estimator('mean decoding', ''),
             'sample': Estimator('with the noise of p(x|z)', 'noise')}
"""How codes become samples: mode of the eval 'sample' -> what estimators say of it."""


def decoding(view: Evaluator) -> str:
    """Returns the mode in which samples are made: 'mean' of values between bounds, as is usual
    for images, and 'sample' of any other, where the noise of p(x|z) is part of the law.
    """
    return 'mean' if field(view.schema, 'x').bounds else 'sample'


def of_samples(view: Evaluator, estimator: Estimator) -> Estimator:
    """Adds to an estimator how samples are made."""
    how = DECODINGS[decoding(view)]
    return Estimator(f'{estimator}, {how}', f'{estimator.id}:{how.id}'.rstrip(':'))


def _drawn(evals, mode, params, carry, key, own, i):
    return evals['sample'](params, carry, derive(key, GENERATED, 0, i), DRAW, mode)['x']


def generated(view: Evaluator, n: int) -> np.ndarray:
    """Draws n examples from the prior, see `decoding`, once per view in calls of 100: more
    begin with the fewer.

    Args:
      view: with the eval 'sample'.
      n: int.

    Returns:
      [G, n, ...].
    """
    parts, draw = view.cached('generated', list), view.jit(_drawn, decoding(view))
    while DRAW * len(parts) < n:
        view.pause()
        parts.append(jax.device_get(draw((), np.int32(len(parts)))))
    return np.concatenate(parts[:-(-n // DRAW)], 1)[:, :n]


def features(view: Evaluator, x: np.ndarray) -> np.ndarray:
    """Computes float64 features [N, D] of x [N, ...]; images are first cut to [0, 1] and
    rounded to 8 bits, on every side.
    """
    x = np.asarray(x, np.float32)
    if field(view.schema, 'x').bounds:
        x = np.round(np.clip(x, 0, 1) * 255) / 255
    return np.asarray(space(view).features(np.asarray(x, np.float32)), np.float64)


def _held_out_features(view):
    x, valid = view.field('x'), ()
    if view.data.valid is not None:
        valid = view.decoded(view.data.valid, 'x')
    order, n = np.random.default_rng(0).permutation(len(x)), min(view.settings.images, len(x))
    half = min(n, len(x) // 2)
    own = features(view, x[order[:n]])
    if min(n, len(valid)) > half:
        other = np.asarray(valid)[np.random.default_rng(1).permutation(len(valid))[:n]]
        return own, features(view, other), Estimator('validation data', 'valid')
    return (own, features(view, x[order[half:2 * half]]),
            Estimator('two halves of the split', 'halves'))


def held_out_features(view: Evaluator) -> tuple[np.ndarray, np.ndarray, Estimator]:
    """Computes features of at most `settings.images` rows of the split in a fixed random order,
    and of as many others as there are.

    The others are of the split too where it has enough of them, else of the validation data.

    Returns:
      (real [n, D], other [m, D] with m <= n, where the others come from).
    """
    return view.cached('held_out_features', lambda: _held_out_features(view))


def sample_features(view: Evaluator) -> np.ndarray:
    """Computes features [G, n, D] of as many samples as `held_out_features` has rows."""
    def make():
        x = generated(view, len(held_out_features(view)[0]))
        return features(view, x.reshape(-1, *x.shape[2:])).reshape(*x.shape[:2], -1)

    return view.cached('sample_features', make)


def _value(view, pairs: Iterable[Any], estimator, n, note=None, warning=None):
    """`Value` of what each seed gave: a float, or a float with its standard error."""
    both = np.array([p if isinstance(p, tuple) else (p, np.nan) for p in pairs], np.float64)
    value, stderr = (np.broadcast_to(x, view.seeds) for x in both.T)
    return Value(value, estimator, n, None, stderr if np.isfinite(stderr).any() else None,
                 warnings(value[:, None], warning and [warning] * len(value)), note)


def _in_space(view, estimator):
    """The estimator with the space in which it compares."""
    name = Estimator.of(space(view).name)
    return Estimator(f'{estimator}, in {name}', f'{estimator.id}:{name.id}')


def samples_vs_data(view: Evaluator, f: Statistic, estimator: Estimator,
                    note: Callable[[Any], str] | None = None,
                    warn: Callable[[np.ndarray], str | None] = lambda real: None
                    ) -> Value | None:
    """Compares the samples of every seed with as many rows of held-out data.

    Args:
      view: an `Evaluator`.
      f: (features of samples [n, D], of data [n, D]) -> float, or (float, standard error).
      estimator: the name of the `Judge` and how samples are made are added.
      note: value for real against real -> text, or None.
      warn: real [n, D] -> text or None.

    Returns:
      A `Value`, None where there are too few examples.
    """
    real, other, _ = held_out_features(view)
    if len(other) < LEAST:
        return None
    pairs: list[Any] = []
    for g in range(view.seeds):
        view.pause()
        drawn = sample_features(view)[g]
        pairs.append(f(drawn, real) if np.isfinite(drawn).all() else np.nan)
    said = None if note is None else note(f(other, real[:len(other)]))
    return _value(view, pairs, of_samples(view, _in_space(view, estimator)), len(real), said,
                  warn(real))


def real_vs_real(view: Evaluator, f: Statistic, estimator: Estimator) -> Value | None:
    """Computes what `samples_vs_data` gives for data in place of samples, the same for every
    seed: the mean over 20 partings of the rows in two halves, whose spread the note tells. None
    for data of several parts, such as particles, which has no features.
    """
    if not isinstance(view.schema['x'], Field):
        return None
    real, other, source = held_out_features(view)
    n = len(other)
    if n < LEAST:
        return None
    rows, rng = np.concatenate([real[:n], other]), np.random.default_rng(2)
    values = []
    for _ in range(REDRAWS):
        view.pause()
        order = rng.permutation(2 * n)
        values.append(np.ravel(f(rows[order[:n]], rows[order[n:]]))[0])
    compared = _in_space(view, estimator)
    told = Estimator(f'{compared}; real against real: {source}, mean of {REDRAWS} redraws',
                     f'{compared.id}:{source.id}:redraws-{REDRAWS}')
    return _value(view, [np.mean(values)], told, n,
                  f'standard deviation of a redraw: {np.std(values, ddof=1):.2g}')


def _few(x):
    """Warns that a Frechet distance has few rows per dimension."""
    n, size = x.shape
    if n >= PER_DIMENSION * size:
        return None
    return f'{n / size:.1f} rows per dimension: biased upwards, as its floor is'


# Metrics.

def class_score(view: Evaluator) -> Value | None:
    """Measures the `confidence` of the classifier in the samples; None where the features are
    of no classifier.
    """
    classify = space(view).functions.get('classify')
    if classify is None:
        return None
    return samples_vs_data(
        view, lambda drawn, real: confidence(classify(drawn)),
        Estimator('exp E KL(p(y|x) || p(y))', 'class-score'), _held_out)


def class_kl(view: Evaluator) -> Value | None:
    """Measures the `label_divergence` from samples to data; None where the features are of no
    classifier.
    """
    classify = space(view).functions.get('classify')
    if classify is None:
        return None
    return samples_vs_data(
        view, lambda drawn, real: label_divergence(classify(drawn), classify(real)),
        Estimator('KL(classes of samples || classes of data)', 'class-kl'), _held_out)


def sample_sharpness(view: Evaluator) -> Value | None:
    """Measures the `sharpness` of the samples, cut to [0, 1]; None where they are no images or
    too small.
    """
    shape = field(view.schema, 'x').shape
    if len(shape) != 3 or min(side or 0 for side in shape[:2]) < 3:
        return None
    n = min(view.settings.images, view.n)
    values = [sharpness(np.clip(x, 0, 1)) for x in generated(view, n)]
    estimator = Estimator('variance behind a Laplace filter, mean over samples', 'laplace')
    return _value(view, values, of_samples(view, estimator), n,
                  f'the data has {sharpness(view.field("x")):.4g}')


def _held_out(reference):
    """Says what real data scores."""
    value = reference[0] if isinstance(reference, tuple) else reference
    return f'other held-out data: {value:.4g}'


def _z(reference):
    return ('z = (accuracy - .5) / standard error, below 0 by chance alone; '
            f'{_held_out(reference)}')


FRECHET = Estimator('Frechet distance of fitted normal laws', 'frechet')
KMMD = Estimator('unbiased MMD^2, RBF widths {.5, 1, 2} x median distance of the data',
                 'mmd-rbf')
BALLS = f'balls of radius to neighbour {NEIGHBOR}'
PRECISION = Estimator(f'share of samples near data, {BALLS}', f'precision-{NEIGHBOR}')
RECALL = Estimator(f'share of data near samples, {BALLS}', f'recall-{NEIGHBOR}')
FOREST = Estimator(f'held-out accuracy of a forest of {TREES} trees, of distinct rows',
                   f'forest-{TREES}:distinct')
PERMUTED = Estimator(
    f'MMD^2, Gaussian kernel of median pooled width, {PERMUTATIONS} permutations',
    f'mmd-permuted-{PERMUTATIONS}')


def metric(f: Statistic, estimator: Estimator, unit: str, better: str | None,
           bounds: Bounds = NONNEGATIVE, **said: Any) -> Metric:
    """Makes a `Metric` of f(samples, real), see `samples_vs_data`."""
    compute = functools.partial(samples_vs_data, f=f, estimator=estimator, **said)
    return Metric(compute, (('sample',),), unit, better, ('x',), bounds)


def floor_metric(f: Statistic, estimator: Estimator, unit: str) -> Metric:
    """Makes a `Metric` of f(other, real), see `real_vs_real`."""
    compute = functools.partial(real_vs_real, f=f, estimator=estimator)
    return Metric(compute, ((),), unit, None, ('x',), NONNEGATIVE)


METRICS = {
    'frechet': metric(frechet, FRECHET, 'squared distance', 'lower', warn=_few),
    'frechet_floor': floor_metric(frechet, FRECHET, 'squared distance'),
    'kmmd': metric(kernel_discrepancy, KMMD, 'squared MMD', 'lower'),
    'kmmd_floor': floor_metric(kernel_discrepancy, KMMD, 'squared MMD'),
    'precision': metric(support, PRECISION, 'share', 'higher', SHARE, note=_held_out),
    'recall': metric(lambda drawn, real: support(real, drawn), RECALL, 'share', 'higher',
                     SHARE, note=_held_out),
    'c2st': metric(classifier_test, FOREST, 'share', None, SHARE, note=_z),
    'two_sample_p': metric(permutation_p, PERMUTED, 'p value', None, SHARE),
    'class_score': Metric(class_score, (('sample',),), 'classes', 'higher', ('x',),
                          AT_LEAST_ONE),
    'class_kl': Metric(class_kl, (('sample',),), 'nats', 'lower', ('x',), NONNEGATIVE),
    'sharpness': Metric(sample_sharpness, (('sample',),), 'variance', None, ('x',),
                        NONNEGATIVE),
}
