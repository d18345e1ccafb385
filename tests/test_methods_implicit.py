"""iVAE: what the dual players see, and the exact Gaussian behind the implicit posterior."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core
from vaebench.errors import UserError
from vaebench.methods import posteriors
from vaebench.ops import distributions

DATA, SMALL = toys.images(12), {'hidden': (6,)}


def started(**options):
    """Method, params, carry, batch."""
    method = toys.make('ivae', **SMALL, **options)
    batch = toys.all_of(DATA)
    return method, *method.init(jax.random.key(3), batch), batch


def value(method, player, params, carry, batch, **ctx):
    """Loss and aux of a player."""
    loss, (_, aux) = method.phases[0].players[player].loss(params, carry, batch, toys.ctx(toys.hp('ivae'), **ctx))
    return loss, aux


def test_exact_kl_is_its_monte_carlo_estimate():
    method, p, c, batch = started(noise=5)
    q = method.evals['posterior'](p, c, batch)

    def draw(key):
        z = method.evals['sample_q'](p, c, q, key)
        return (method.evals['log_q'](p, c, q, z) - method.evals['log_prior'](p, c, z)).mean()

    draws = toys.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), 4000))
    want = float(method.evals['kl'](p, c, q).mean())
    assert abs(float(draws.mean()) - want) < 4 * float(draws.std()) / 4000**.5


def test_samples_have_the_posteriors_moments():
    method, p, c, batch = started()
    q = method.evals['posterior'](p, c, batch)
    z = jax.vmap(lambda k: method.evals['sample_q'](p, c, q, k)[0])(jax.random.split(jax.random.key(0), 20000))
    cov = p['noise'].T @ p['noise']
    np.testing.assert_allclose(np.cov(z.T), cov, atol=5 * float(cov.max()) / 20000**.5)
    np.testing.assert_allclose(z.mean(0), method.evals['encode'](p, c, batch)[0], atol=.01)


@pytest.mark.parametrize('marginal', [False, True])
def test_both_dual_functions_learn_whatever_the_model_uses(marginal):
    method, p, c, batch = started(marginal=marginal)
    dual, model = method.phases[0].players
    assert dual.trains == ('nu_xz', 'nu_z') and dual.inner == 5 and not dual.fresh
    grads = jax.grad(lambda p: value(method, 0, p, c, batch)[0])(p)
    assert all(jnp.abs(grads[n][-1]['w']).max() > 0 for n in dual.trains)
    used = jax.grad(lambda p: value(method, 1, p, c, batch, total=100)[0])(p)
    assert [bool(jnp.abs(used[n][-1]['w']).max() > 0) for n in dual.trains] == [not marginal, marginal]
    assert not set(dual.trains) & set(model.trains)


def test_model_loss_is_reconstruction_plus_mean_nu():
    method, p, c, batch = started(marginal=True)
    p = {**p, 'nu_z': jax.tree.map(jnp.zeros_like, p['nu_z'])}
    p['nu_z'][-1]['b'] += 3.
    loss, aux = value(method, 1, p, c, batch, total=1000)
    assert float(loss) == pytest.approx(float(aux['rec']) + 3, rel=1e-6)
    p['nu_z'][-1]['b'] += 100.
    assert float(value(method, 1, p, c, batch, total=1000)[0]) == pytest.approx(float(aux['rec']) + 20, rel=1e-6)
    assert np.isfinite(float(value(method, 0, p, c, batch)[0]))


def test_dual_value_of_a_constant_function():
    """nu = a everywhere gives a - exp(a) + 1."""
    method, p, c, batch = started()
    p = {**p, **{n: jax.tree.map(jnp.zeros_like, p[n]) for n in ('nu_xz', 'nu_z')}}
    p['nu_xz'][-1]['b'] += .5
    loss, aux = value(method, 0, p, c, batch)
    assert float(aux['dual']) == pytest.approx(1.5 - np.exp(.5), abs=1e-6)
    assert float(aux['dual_marginal']) == pytest.approx(0, abs=1e-6)
    assert float(loss) == pytest.approx(np.exp(.5) - 1.5, abs=1e-6)


def test_codes_are_those_of_the_step_and_prior_draws_are_fresh():
    method, p, c, batch = started()

    def through_codes(**ctx):
        return jax.grad(lambda noise: value(method, 0, {**p, 'noise': noise}, c, batch, **ctx)[0])(p['noise'])

    a = through_codes(key=0, step_key=1, inner=0)
    np.testing.assert_array_equal(a, through_codes(key=7, step_key=1, inner=3))
    assert jnp.abs(a - through_codes(key=0, step_key=2)).max() > 1e-4
    assert float(value(method, 0, p, c, batch, key=0)[0]) != float(value(method, 0, p, c, batch, key=7)[0])
    q = method.evals['posterior'](p, c, batch)
    z = method.evals['sample_q'](p, c, q, core.derive(jax.random.key(1), 1, 1))
    rec = -method.evals['log_lik'](p, c, z, batch).mean()
    assert float(value(method, 1, p, c, batch, key=9)[1]['rec']) == pytest.approx(float(rec), rel=1e-6)


def test_no_gradient_reaches_the_encoder_through_the_features_of_nu():
    method, p, c, batch = started()
    blind = {**p, 'head': jax.tree.map(jnp.zeros_like, p['head'])}        # z no longer depends on the features
    grads = jax.grad(lambda enc: value(method, 1, {**blind, 'enc': enc}, c, batch, total=1000)[0])(p['enc'])
    assert all((g == 0).all() for g in jax.tree.leaves(grads))
    assert jnp.abs(jax.grad(lambda enc: value(method, 1, {**p, 'enc': enc}, c, batch)[0])(p['enc'])['w']).max() > 0


def test_nu_learning_rate_ignores_the_decay():
    method, p, c, batch = started()
    tx = method.phases[0].players[0].tx
    grads = {n: jax.tree.map(jnp.ones_like, p[n]) for n in ('nu_xz', 'nu_z')}
    for scale in (1., .5):
        t = tx({**toys.hp('ivae'), 'lr_scale': scale})
        step = t.update(grads, t.init(grads))[0]
        np.testing.assert_allclose(step['nu_z'][0]['w'], -1e-5, rtol=1e-4)


def test_dual_estimate_learns_the_kl():
    """The best function of a fixed Gaussian: the dual rises to the exact KL and not above it by more than noise."""
    method, p, c, batch = started(noise_scale=.8)
    p = {**p, 'enc': jax.tree.map(jnp.zeros_like, p['enc'])}              # one posterior for all
    state = core.init(method, jax.random.key(0), batch, {**toys.hp('ivae', lr=0.), 'nu_lr': jnp.float32(.02)})
    state = state._replace(params=p)
    data = {'x': jnp.tile(DATA['x'], (32, 1, 1, 1))}
    n, size = 400, 384
    idx = jnp.broadcast_to(jnp.arange(size), (n, 1, size))
    state, m = toys.jit(core.make_block(method.phases[0]))(state, data, idx, jnp.int32(n))
    exact, got = float(m['vae/kl'][-1]), float(m['dual/dual_marginal'][-150:].mean())
    assert got <= exact + .05
    assert got > .75 * exact


def test_noise_smaller_than_the_code_is_refused():
    with pytest.raises(UserError, match='at least 3'):
        posteriors.linear_implicit(toys.kit(), noise=2)


def test_log_q_is_the_full_gaussian():
    method, p, c, batch = started()
    q = method.evals['posterior'](p, c, batch)
    z = method.evals['sample_q'](p, c, q, jax.random.key(0))
    want = jax.vmap(lambda z, m: jax.scipy.stats.multivariate_normal.logpdf(z, m, p['noise'].T @ p['noise']))(
        z, q['mean'])
    np.testing.assert_allclose(method.evals['log_q'](p, c, q, z), want, rtol=1e-3, atol=1e-3)
    assert 'log_q_dims' not in method.evals
    np.testing.assert_allclose(method.evals['log_prior'](p, c, z), distributions.normal_log_prob(z), rtol=1e-6)
