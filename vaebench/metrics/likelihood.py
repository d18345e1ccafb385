"""Likelihood and its bounds."""
import numpy as np

from vaebench.core import derive
from vaebench.metrics.view import DEGENERATE, GENERATED, SAMPLE, WEIGHTS, Metric, Value, average, deviation, warnings

_EXACT = ('score',)
_BOUND = ((*SAMPLE, 'kl'), WEIGHTS)
FLOOR = 5.         # least median effective sample size without a warning, where S >= 50


def _exact(view):
    return 'score' in view.evals


def _degenerate(view):
    """[G] a warning where the median effective sample size is below min(5, S / 10)."""
    if _exact(view):
        return None
    samples = view.settings.samples
    return [DEGENERATE.format(m, samples) if m < min(FLOOR, samples / 10) else None
            for m in np.median(view.weights[1], -1)]


def _iw(view):
    """[G, N] nll, its estimator, its samples."""
    if _exact(view):
        return view.terms['nll'], 'exact', None
    s = view.settings.samples
    return view.weights[0], f'importance sampling, S={s}, own posterior', s


def _kl_name(view):
    return 'closed-form KL' if 'kl' in view.evals else 'Monte Carlo KL'


def _bound(view):
    """[G, N] negative ELBO, its estimator, its samples."""
    if _exact(view):
        return view.terms['nll'], 'exact', None
    return np.float64(view.terms['rec']) + view.terms['kl'], f'1 sample, {_kl_name(view)}', 1


def nll_iw(view):
    """-ln p(x), exact or by importance sampling with the model's own posterior.

    Differs from the papers' scripts: batched over sentences; own noise per sentence and sample.

    References:
      Burda et al., "Importance Weighted Autoencoders", 2016.
    """
    return average(*_iw(view), _degenerate(view))


def elbo(view):
    """Negative evidence lower bound, rec + kl: lower is better."""
    return average(*_bound(view))


def _perplexity(nll, length, estimator, samples, warning=None):
    """exp(sum nll / sum T): a ratio over the corpus, never a mean of sentences' perplexities."""
    nll, length = np.asarray(nll, np.float64), np.asarray(length, np.float64)
    n, tokens = nll.shape[-1], length.sum()
    rate = nll.sum(-1) / tokens
    ppl = np.exp(rate)
    stderr = ppl * deviation(nll - rate[:, None] * length) * np.sqrt(n) / tokens if n > 1 else None
    return Value(ppl, f'exp(sum nll / sum T), T with </s>; nll: {estimator}', n, samples, stderr,
                 warnings(nll, warning))


def ppl_iw(view):
    """Perplexity from `nll_iw`; standard error by the delta method."""
    nll, estimator, samples = _iw(view)
    return _perplexity(nll, view.field('length'), estimator, samples, _degenerate(view))


def ppl_elbo(view):
    """Perplexity from `elbo`: an upper bound of the model's."""
    nll, estimator, samples = _bound(view)
    return _perplexity(nll, view.field('length'), estimator, samples)


def rec(view):
    """Reconstruction, -ln p(x|z) at one z ~ q(z|x), summed over tokens or pixels."""
    return average(view.terms['rec'], '1 sample', 1)


def kl(view):
    """KL(q(z|x) || p(z)), mean over examples."""
    exact = 'kl' in view.evals
    return average(view.terms['kl'], 'closed form' if exact else '1 sample, Monte Carlo', None if exact else 1)


def ess(view):
    """Effective sample size of the importance weights, (sum w)^2 / sum w^2, mean over examples.

    Warns where the median over examples is below min(5, S / 10): `nll_iw` is then far above -ln p(x).
    """
    s = view.settings.samples
    return average(view.weights[1], f'importance sampling, S={s}, own posterior', s, _degenerate(view))


def excess(view):
    """nll + ln p*(x), paired by sentence: what the model loses to the true source, in nats."""
    nll, estimator, samples = _iw(view)
    return average(nll + np.float64(view.field('log_p')), f'paired with exact ln p*(x); nll: {estimator}', samples,
                   _degenerate(view))


def mse(view):
    """Squared error per pixel of the mean decoding of the posterior mean."""
    def error(params, carry, key, keys, batch):
        z = view.evals['encode'](params, carry, batch)
        y = view.evals['decode'](params, carry, z, derive(key, GENERATED, 1), 'mean')['x']
        return ((y - batch['x'])**2).reshape(len(keys), -1).mean(-1)

    return average(view.over_examples(error), 'mean decoding of the posterior mean, per pixel')


METRICS = {
    'nll_iw': Metric(nll_iw, (_EXACT, WEIGHTS), 'nats/{item}', 'lower'),
    'elbo': Metric(elbo, (_EXACT, *_BOUND), 'nats/{item}', 'lower'),
    'ppl_iw': Metric(ppl_iw, (_EXACT, WEIGHTS), 'per token', 'lower', ('length',)),
    'ppl_elbo': Metric(ppl_elbo, (_EXACT, *_BOUND), 'per token', 'lower', ('length',)),
    'rec': Metric(rec, (SAMPLE,), 'nats/{item}', None),
    'kl': Metric(kl, (('posterior', 'kl'), ('posterior', 'sample_q', 'log_q', 'log_prior')), 'nats/{item}', None),
    'ess': Metric(ess, (WEIGHTS,), 'samples', 'higher'),
    'excess': Metric(excess, (_EXACT, WEIGHTS), 'nats/{item}', 'lower', ('log_p',)),
    'mse': Metric(mse, (('encode', 'decode'),), 'per pixel', 'lower', ('x',)),
}
