"""Likelihood and its bounds."""
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from vaebench.core import derive
from vaebench.metrics import proposal
from vaebench.metrics.draws import (
    GENERATED,
    PRIOR,
    REFINED,
    REPLICA,
    SAMPLE,
    WEIGHTS,
    draw,
    first,
)
from vaebench.metrics.evaluator import Evaluator, each
from vaebench.metrics.importance import DEGENERATE
from vaebench.metrics.summary import average, deviation, warnings
from vaebench.metrics.types import AT_LEAST_ONE, NONNEGATIVE, Estimator, Metric, Value

_EXACT = ('score',)
_BOUND = ((*SAMPLE, 'kl'), WEIGHTS)
_WEIGHED = (WEIGHTS, REFINED)
FLOOR = 5.         # least median effective sample size without a warning, where S >= 50
DRAWN = 8          # draws of `prior_ll` and `post_ll` from the prior, and as many from q
EXACT = Estimator('exact', 'exact')
ONE_SAMPLE = Estimator('1 sample', 'one-sample')
POINT = 'one-hot posterior: importance sampling gives the ELBO'


class _Nats(NamedTuple):
    """Per-example nats [G, N] and what `average` is told of them."""
    x: np.ndarray
    estimator: Estimator
    samples: int | None = None
    warning: list | None = None
    note: str | None = None


def _exact(view):
    return 'score' in view.evals


def _degenerate(view):
    """[G] a warning where the median effective sample size is below min(5, S / 10)."""
    samples = view.settings.samples
    return [DEGENERATE.format(m, samples) if m < min(FLOOR, samples / 10) else None
            for m in np.median(view.weights[1], -1)]


def _note(view):
    """What a reader should know of the proposal; None where it is the model's own posterior and
    has a spread.
    """
    if view.refines:
        return proposal.NOTE.format(view.settings.refine)
    return POINT if not np.any(view.terms['log_q']) else None


def _iw(view):
    """`_Nats` of -ln p(x); None where importance sampling has no proposal."""
    if _exact(view):
        return _Nats(view.terms['nll'], EXACT)
    if not view.weighable:
        return None
    s = view.settings.samples
    return _Nats(view.weights[0], Estimator(f'importance sampling, S={s}', 'iw'), s,
                 _degenerate(view), _note(view))


def _bound(view):
    """`_Nats` of the negative ELBO."""
    if _exact(view):
        return _Nats(view.terms['nll'], EXACT)
    bound = np.float64(view.terms['rec']) + view.terms['kl'] - view.terms.get('log_length', 0.)
    note = None if 'kl' in view.evals else 'KL at the same sample'
    return _Nats(bound, ONE_SAMPLE, 1, note=note)


def nll_iw(view: Evaluator) -> Value | None:
    """Measures -ln p(x), exact or by importance sampling: an upper bound in expectation,
    whatever the proposal.

    Differs from the papers' scripts: batched over sentences; own noise per sentence and sample;
    a method whose q has no density gets a Gaussian fitted to each example as proposal, see
    `metrics.proposal`.

    References:
      Burda et al., "Importance Weighted Autoencoders", 2016.
    """
    nll = _iw(view)
    return nll and average(*nll)


def elbo(view: Evaluator) -> Value | None:
    """Measures the negative evidence lower bound, rec + kl, less `log_length` where the latents
    tell the length: lower is better.
    """
    return average(*_bound(view))


def _perplexity(nats, words, estimator):
    """exp(sum nats / sum words): a ratio over the corpus, never a mean of sentences'
    perplexities.
    """
    x, words = np.asarray(nats.x, np.float64), np.asarray(words, np.float64)
    n, total = x.shape[-1], words.sum(-1)
    rate = x.sum(-1) / total
    ppl = np.exp(rate)
    stderr = ppl * deviation(x - rate[:, None] * words) * np.sqrt(n) / total if n > 1 else None
    return Value(ppl, estimator, n, nats.samples, stderr, warnings(x, nats.warning), nats.note)


def _per_token(view, nats):
    if nats is None:
        return None
    estimator = Estimator(f'exp(sum nll / sum T), T with </s>; nll: {nats.estimator}',
                          f'ppl:{nats.estimator.id}')
    return _perplexity(nats, view.field('length'), estimator)


def ppl_iw(view: Evaluator) -> Value | None:
    """Measures the perplexity from `nll_iw`; standard error by the delta method."""
    return _per_token(view, _iw(view))


def ppl_elbo(view: Evaluator) -> Value | None:
    """Measures the perplexity from `elbo`: an upper bound of the model's."""
    return _per_token(view, _bound(view))


def ppl_rec(view: Evaluator) -> Value | None:
    """Measures the perplexity from `rec` alone, which some papers print: no bound, and never to
    be ranked with one.
    """
    estimator = Estimator('exp(sum rec / sum T), T with </s>, KL left out; 1 sample', 'ppl:rec')
    return _perplexity(_Nats(view.terms['rec'], estimator, 1), view.field('length'), estimator)


def rec(view: Evaluator) -> Value | None:
    """Measures the reconstruction, -ln p(x|z) at one z ~ q(z|x), summed over tokens or pixels.
    """
    return average(view.terms['rec'], ONE_SAMPLE, 1)


def kl(view: Evaluator) -> Value | None:
    """Measures KL(q(z|x) || p(z)), mean over examples."""
    if 'kl' in view.evals:
        return average(view.terms['kl'], Estimator('closed form', 'closed-form'))
    return average(view.terms['kl'], Estimator('1 sample, Monte Carlo', 'monte-carlo'), 1)


def ess(view: Evaluator) -> Value | None:
    """Measures the effective sample size of the importance weights, (sum w)^2 / sum w^2, mean
    over examples.

    Warns where the median over examples is below min(5, S / 10): `nll_iw` is then far above -ln
    p(x).
    """
    nll = _iw(view)
    return nll and average(view.weights[1], *nll[1:])


def excess(view: Evaluator) -> Value | None:
    """Measures nll + ln p*(x), paired by sentence: what the model loses to the true source, in
    nats.
    """
    return _paired(view, _iw(view))


def _paired(view, nll):
    if nll is None:
        return None
    estimator = Estimator(f'paired with exact ln p*(x); nll: {nll.estimator}',
                          f'excess:{nll.estimator.id}')
    return average(nll.x + np.float64(view.field('log_p')), estimator, *nll[2:])


def _replica(view):
    """`_Nats` and words [G, N] of what the method's paper printed; a key of its own for every
    example.
    """
    nats, words = view.once(each, 'replica', tag=REPLICA)
    estimator = Estimator('as the paper printed it, not a bound on -ln p(x)', 'replica')
    return _Nats(nats, estimator), words


def nll_paper(view: Evaluator) -> Value | None:
    """Reports what the method's paper printed for its NLL, right or wrong."""
    return average(*_replica(view)[0])


def ppl_paper(view: Evaluator) -> Value | None:
    """Reports what the method's paper printed for its perplexity, with its own count of words.
    """
    estimator = Estimator(
        'exp(sum nats / sum words), both as the paper counted; not a bound', 'ppl:replica')
    return _perplexity(*_replica(view), estimator)


def excess_paper(view: Evaluator) -> Value | None:
    """Measures `nll_paper` + ln p*(x): below zero where the printed number beats the source
    itself, which no bound can.
    """
    return _paired(view, _replica(view)[0])


def _both_ways(evals, chunk, params, carry, key, keys, batch):
    q = evals['posterior'](params, carry, batch)

    def weigh(z):
        log_p, log_q = evals['log_prior'](params, carry, z), evals['log_q'](params, carry, q, z)
        mixture = jnp.logaddexp(log_p, log_q)
        rest = evals['log_lik'](params, carry, z, batch) - mixture + np.log(2)
        return rest + log_p, rest + log_q

    def one(s):
        own = jax.vmap(lambda key: derive(key, s))(keys)
        prior = lambda key: first(evals['sample_prior'](params, carry, derive(key, 1), 1))
        from_prior = jax.vmap(prior)(own)
        from_q = draw(evals, params, carry, q, jax.vmap(lambda key: derive(key, 0))(own))
        # [2 sources, 2, B]
        return jnp.stack([jnp.stack(weigh(z)) for z in (from_prior, from_q)])

    x = jax.lax.map(one, jnp.arange(DRAWN), batch_size=chunk)
    return tuple(logsumexp(x, axis=(0, 1)) - np.log(2 * DRAWN))


def _mixed(view):
    """ln of E_p(z) p(x|z) and of E_q(z|x) p(x|z), each [G, N], from draws of both; None where
    the length has a part.
    """
    # a prior draw has not the sentence's number of latents
    if 'log_length' in view.evals:
        return None
    return view.once(_both_ways, min(DRAWN, view.settings.chunk), tag=PRIOR)


def _mixture(view, which):
    x = _mixed(view)
    if x is None:
        return None
    estimator = Estimator(
        f'{DRAWN} draws each of prior and posterior, weighed against their mixture',
        f'mixture-{DRAWN}')
    return average(x[which], estimator, 2 * DRAWN)


def prior_ll(view: Evaluator) -> Value | None:
    """Measures ln E_p(z) p(x|z), an estimate of ln p(x): higher is better.

    Differs from the authors' code: prior draws are from the prior; theirs have the posterior's
    mean as log variance.

    References:
      Zhang et al., "Improving Variational Autoencoders with Density Gap-based Regularization",
      2022.
    """
    return _mixture(view, 0)


def post_ll(view: Evaluator) -> Value | None:
    """Measures ln E_q(z|x) p(x|z): higher is better, but no bound on ln p(x)."""
    return _mixture(view, 1)


def _squared_error(evals, params, carry, key, keys, batch):
    if {'encode', 'decode'} <= set(evals):
        z = evals['encode'](params, carry, batch)
        y = evals['decode'](params, carry, z, derive(key, GENERATED, 1), 'mean')['x']
    else:
        y = evals['reconstruct'](params, carry, batch)['x']
    return ((y - batch['x'])**2).reshape(len(keys), -1).mean(-1)


def mse(view: Evaluator) -> Value | None:
    """Measures the squared error per pixel of the mean decoding of the posterior mean, or of
    the method's own reconstruction.
    """
    if {'encode', 'decode'} <= set(view.evals):
        what, name = 'mean decoding of the posterior mean', 'decoded'
    elif 'log_prior' in view.evals:
        what, name = "mean reconstruction by the method's own code", 'own-code'
    else:
        what, name = 'reconstruction by codes that have no prior', 'reconstructed'
    part = view.data.part
    return average(view.over_examples(_squared_error),
                   Estimator(f'{what}, per {part}', f'{name}:{part}'))


_NATS, _TOKEN = 'nats/{item}', 'per token'
_DRAWN_KL = ('posterior', 'sample_q', 'log_q', 'log_prior')
_BOTH_WAYS = ((*WEIGHTS, 'sample_prior'),)

METRICS = {
    'nll_iw': Metric(nll_iw, (_EXACT, *_WEIGHED), _NATS, 'lower'),
    'elbo': Metric(elbo, (_EXACT, *_BOUND), _NATS, 'lower'),
    'ppl_iw': Metric(ppl_iw, (_EXACT, *_WEIGHED), _TOKEN, 'lower', ('length',), AT_LEAST_ONE),
    'ppl_elbo': Metric(ppl_elbo, (_EXACT, *_BOUND), _TOKEN, 'lower', ('length',), AT_LEAST_ONE),
    'ppl_rec': Metric(ppl_rec, (SAMPLE,), _TOKEN, None, ('length',), AT_LEAST_ONE),
    'rec': Metric(rec, (SAMPLE,), _NATS, None),
    'kl': Metric(kl, (('posterior', 'kl'), _DRAWN_KL), _NATS, None, bounds=NONNEGATIVE),
    'ess': Metric(ess, _WEIGHED, 'samples', None, bounds=NONNEGATIVE),
    'excess': Metric(excess, (_EXACT, *_WEIGHED), _NATS, 'lower', ('log_p',)),
    'nll_paper': Metric(nll_paper, (('replica',),), _NATS, None),
    'ppl_paper': Metric(ppl_paper, (('replica',),), _TOKEN, None),
    'excess_paper': Metric(excess_paper, (('replica',),), _NATS, None, ('log_p',)),
    'prior_ll': Metric(prior_ll, _BOTH_WAYS, _NATS, 'higher'),
    'post_ll': Metric(post_ll, _BOTH_WAYS, _NATS, None),
    'mse': Metric(mse, (('encode', 'decode'), ('reconstruct',)), 'per {part}', 'lower', ('x',),
                  NONNEGATIVE),
}
