"""Conditional autoencoders: densities by quadrature, closed forms, and what a condition
changes.
"""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench.methods import conditional, geometry, models, posteriors, priors
from vaebench.metrics import Settings, measure

ROWS = 'cvae', 'cvae_standard'
DATA = toys.all_of({k: v for k, v in toys.labelled(9).items() if k != 'partner'})

ROWS_OF_DATA = {k: np.asarray(v) for k, v in DATA.items() if k != 'weight'}


@functools.cache
def started(name, latent=1, seed=0):
    """The method and its first parameters, a learned prior away from N(0, I)."""
    method = toys.make(name, toys.kit(latent))
    params, carry = method.init(jax.random.key(seed), DATA)
    # q near the prior, as after training
    near = {k: jax.tree.map(lambda x: .3 * x, params[k]) for k in ('head', 'prior') if k in params}
    params = {**params, **near}
    return method, params, carry


@pytest.mark.parametrize('name', ROWS)
def test_importance_sampling_finds_the_likelihood_that_quadrature_finds(name):
    """log p(x | c) by the trapezoid rule over one latent, for every example and its own
    label."""
    method, params, carry = started(name)
    e, grid = method.evals, np.linspace(-8, 8, 4001)
    c = jax.nn.one_hot(DATA['label'], toys.CLASSES)

    def joint(z):
        code = {'z': jnp.full((9, 1), z), 'context': c}
        return e['log_lik'](params, carry, code, DATA) + e['log_prior'](params, carry, code)

    exact = jax.nn.logsumexp(jax.vmap(joint)(jnp.asarray(grid, jnp.float32)),
                             0) + np.log(grid[1] - grid[0])
    view = toys.evaluator(e, *jax.tree.map(lambda x: x[None], (params, carry)), [ROWS_OF_DATA],
                          jax.random.key(1), Settings(samples=4000, chunk=500))
    out = measure(view, ['nll_iw', 'elbo', 'kl', 'mi_full', 'au', 'mse'])
    assert all(out.values())
    np.testing.assert_allclose(-view.weights[0][0], exact, atol=.03)
    assert out['elbo'].value[0] > out['nll_iw'].value[0] - .05


@pytest.mark.parametrize('name', ROWS)
def test_closed_form_is_the_mean_over_draws(name):
    method, params, carry = started(name, 3)
    e = method.evals
    q = e['posterior'](params, carry, DATA)

    def sampled(key):
        z = e['sample_q'](params, carry, q, key)
        return e['log_q'](params, carry, q, z) - e['log_prior'](params, carry, z)

    each = jax.vmap(sampled)(jax.random.split(jax.random.key(2), 4000))
    error = each.std(0) / np.sqrt(len(each))
    assert (np.abs(each.mean(0) - e['kl'](params, carry, q)) < 5 * error).all()


def test_a_learned_prior_knows_the_label_and_a_standard_one_does_not():
    code = {'z': jnp.zeros((3, 2)), 'context': jnp.eye(3)}
    learned, standard = ((m.evals['log_prior'](p, c, code))
                         for m, p, c in (started(n, 2) for n in ROWS))
    assert len(set(np.asarray(standard).tolist())) == 1 and len(
        set(np.asarray(learned).tolist())) == 3


@pytest.mark.parametrize('name', ROWS)
def test_the_label_is_seen_by_encoder_and_decoder(name):
    method, params, carry = started(name, 2)
    other = {**DATA, 'label': (DATA['label'] + 1) % toys.CLASSES}
    for eval_name in ('encode', 'reconstruct'):
        a, b = (jax.tree.leaves(method.evals[eval_name](params, carry, batch))[0]
                for batch in (DATA, other))
        assert (np.abs(a - b).reshape(9, -1).max(1) > 1e-4).all()
    assert 'decode' not in method.evals and 'sample' in method.evals


def test_without_a_law_of_contexts_nothing_is_drawn():
    kit = toys.kit(2)
    blind = kit.replace(context=lambda: kit.context()._replace(draw=None))
    assert not {'sample', 'sample_prior', 'decode'} & set(
        conditional.cvae(blind, toys.recipe()).evals)


POSTERIORS = {
    'gaussian': posteriors.gaussian, 'delta': posteriors.delta,
    'committed': posteriors.committed, 'batch_norm': posteriors.batch_norm,
    'linear_implicit': posteriors.linear_implicit
}


def pairs():
    """Every posterior over codes [B, Z] with the priors of both families, one with every prior;
    and its family.
    """
    q = {
        **dict.fromkeys(POSTERIORS, 'normal'), 'learnable': 'normal', 'vmf': 'sphere',
        'delta': None
    }
    return [
        *((name, p, family == p) for name, family in q.items() for p in ('normal', 'sphere')),
        *(('gaussian', p, False) for p in ('mixture', 'flow'))
    ]


@pytest.mark.parametrize('q_name, p_name, closed', pairs())
def test_a_closed_form_counts_only_with_the_prior_it_belongs_to(q_name, p_name, closed):
    """Any posterior with any prior: what the model calls its KL is log q - log p on average
    over draws.
    """
    q_law = {**POSTERIORS, 'vmf': geometry.vmf,
             'learnable': posteriors.batch_norm_learnable}[q_name]
    p_law = {
        'normal': lambda kit: models.standard_normal(kit.latent),
        'sphere': lambda kit: geometry.uniform_sphere(kit.latent),
        'mixture': lambda kit: priors.mog(kit, 3), 'flow': lambda kit: priors.flow(kit, 2, 8)
    }[p_name]
    kit = toys.kit(2)
    model = models.model(kit, q_law(kit), p_law(kit))
    params, own = model.init(jax.random.key(0), DATA)
    carry, e = {'posterior': own}, model.evals
    assert ('kl' in e) == closed
    if 'log_q' not in e:
        assert model.terms(params, own, DATA, jax.random.key(1), {'gamma': 1.})[0].kl is None
        return
    q = e['posterior'](params, carry, DATA)

    def gap(key):
        z = e['sample_q'](params, carry, q, key)
        return e['log_q'](params, carry, q, z) - e['log_prior'](params, carry, z)

    def charged(key):
        return model.terms(params, own, DATA, key, None)[0].kl

    keys = jax.random.split(jax.random.key(1), 2000)
    each, kl = toys.jit(lambda keys: (jax.vmap(gap)(keys),
                                      jax.lax.map(charged, keys[:1 if closed else 2000])))(keys)
    error = (each.std(0) + kl.std(0)) / np.sqrt(len(each))
    assert (np.abs(each.mean(0) - kl.mean(0)) < 5 * error + 1e-4).all()
