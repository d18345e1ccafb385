"""The Parzen window log-likelihood that early papers on generative adversarial networks
report."""
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.samples import generated, of_samples
from vaebench.metrics.summary import average
from vaebench.metrics.types import Estimator, Metric, Value
from vaebench.schema import field

WIDTHS = np.round(np.arange(.1, .305, .01), 2)
AT_ONCE = 50           # rows whose distances to all samples are in memory


@jax.jit
def _log_density(x, samples, widths):
    """[K, B] of x [B, D]."""
    squared = ((x**2).sum(1)[:, None] + (samples**2).sum(1) - 2 * x @ samples.T).clip(0)
    size = x.shape[1]

    def one(width):
        kernel = logsumexp(-squared / (2 * width**2), 1) - jnp.log(len(samples))
        return kernel - size / 2 * jnp.log(2 * jnp.pi * width**2)

    return jax.lax.map(one, widths)


def log_density(x: np.ndarray, samples: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Computes the log density of rows under equal Gaussians around samples.

    Args:
      x: [N, D].
      samples: [M, D].
      widths: [K] standard deviations of the Gaussians.

    Returns:
      [K, N], nats.

    >>> log_density(np.zeros((1, 2)), np.zeros((3, 2)), np.ones(1)).round(4).tolist()
    [[-1.8379]]
    """
    center = samples.mean(0)           # distances cancel less
    x, samples = (np.asarray(a - center, np.float32) for a in (x, samples))
    parts = [_log_density(x[at:at + AT_ONCE], samples, np.float32(widths))
             for at in range(0, len(x), AT_ONCE)]
    return np.concatenate([np.float64(part) for part in parts], 1)


def parzen(view: Evaluator) -> Value | None:
    """Measures the mean log density of images under a Gaussian around every one of
    `settings.drawn` samples; the width, between .1 and .3, is the best for validation data.

    In many dimensions it says little of the model: it is here for the numbers of old papers.

    References:
      Goodfellow et al., "Generative Adversarial Networks", 2014, arXiv:1406.2661.
      Li, Swersky, Zemel, "Generative Moment Matching Networks", 2015, arXiv:1502.02761 (the
      widths).
      Theis et al., "A note on the evaluation of generative models", 2016, arXiv:1511.01844.
    """
    if not field(view.schema, 'x').bounds or view.data.valid is None:
        return None
    flat = lambda x: np.asarray(x, np.float64).reshape(len(x), -1)
    valid = flat(view.decoded(view.data.valid, 'x'))[:view.settings.images]
    values, widths = [], []
    for drawn in generated(view, view.settings.drawn):
        view.pause()
        best = WIDTHS[log_density(valid, flat(drawn), WIDTHS).mean(1).argmax()]
        widths.append(f'{best:g}')
        values.append(log_density(flat(view.field('x')), flat(drawn), np.array([best]))[0])
    n = view.settings.drawn
    estimator = Estimator(f'Parzen window on {n} samples, width chosen on validation data',
                          f'parzen-{n}')
    return average(np.stack(values), of_samples(view, estimator),
                   note=f'widths: {", ".join(widths)}')


METRICS = {'parzen': Metric(parzen, (('sample',),), 'nats/{item}', 'higher', ('x',))}
