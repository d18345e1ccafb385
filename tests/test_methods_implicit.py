"""iVAE and APo-VAE: what the dual players see, and the exact densities behind the implicit
posteriors.
"""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy import stats

from vaebench import core
from vaebench.errors import UserError
from vaebench.losses import adversarial
from vaebench.methods import geometry, implicit, posteriors, priors
from vaebench.ops import distributions, divergences, poincare

DATA, SMALL = toys.images(12), {'hidden': (6,)}


def started(**options):
    """Method, params, carry, batch."""
    method = toys.make('ivae', **SMALL, **options)
    batch = toys.all_of(DATA)
    return method, *method.init(jax.random.key(3), batch), batch


def value(method, player, params, carry, batch, **ctx):
    """Loss and aux of a player."""
    loss, (_, aux) = method.phases[0].players[player].loss(params, carry, batch,
                                                           toys.ctx(toys.hp('ivae'), **ctx))
    return loss, aux


@pytest.mark.slow
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
    z = jax.vmap(lambda k: method.evals['sample_q'](p, c, q, k)[0])(jax.random.split(
        jax.random.key(0), 20000))
    cov = p['noise'].T @ p['noise']
    np.testing.assert_allclose(np.cov(z.T), cov, atol=5 * float(cov.max()) / 20000**.5)
    np.testing.assert_allclose(z.mean(0), method.evals['encode'](p, c, batch)[0], atol=.01)


@pytest.mark.parametrize('marginal', [pytest.param(False, marks=pytest.mark.slow), True])
def test_both_dual_functions_learn_whatever_the_model_uses(marginal):
    method, p, c, batch = started(marginal=marginal)
    dual, model = method.phases[0].players
    assert dual.trains == ('nu_xz', 'nu_z') and dual.updates == 5 and not dual.fresh_batches
    grads = jax.grad(lambda p: value(method, 0, p, c, batch)[0])(p)
    assert all(jnp.abs(grads[n][-1]['w']).max() > 0 for n in dual.trains)
    used = jax.grad(lambda p: value(method, 1, p, c, batch, total=100)[0])(p)
    assert [bool(jnp.abs(used[n][-1]['w']).max() > 0)
            for n in dual.trains] == [not marginal, marginal]
    assert not set(dual.trains) & set(model.trains)


def test_model_loss_is_reconstruction_plus_mean_nu():
    method, p, c, batch = started(marginal=True)
    p = {**p, 'nu_z': jax.tree.map(jnp.zeros_like, p['nu_z'])}
    p['nu_z'][-1]['b'] += 3.
    loss, aux = value(method, 1, p, c, batch, total=1000)
    assert float(loss) == pytest.approx(float(aux['rec']) + 3, rel=1e-6)
    p['nu_z'][-1]['b'] += 100.
    assert float(value(method, 1, p, c, batch, total=1000)[0]) == pytest.approx(
        float(aux['rec']) + 20, rel=1e-6)
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
        return jax.grad(
            lambda noise: value(method, 0, {**p, 'noise': noise}, c, batch, **ctx)[0])(
                p['noise'])

    a = through_codes(key=0, step_key=1, inner=0)
    np.testing.assert_array_equal(a, through_codes(key=7, step_key=1, inner=3))
    assert jnp.abs(a - through_codes(key=0, step_key=2)).max() > 1e-4
    assert float(value(method, 0, p, c, batch, key=0)[0]) != float(
        value(method, 0, p, c, batch, key=7)[0])
    q = method.evals['posterior'](p, c, batch)
    z = method.evals['sample_q'](p, c, q, core.derive(jax.random.key(1), 1, 1))
    rec = -method.evals['log_lik'](p, c, z, batch).mean()
    assert float(value(method, 1, p, c, batch, key=9)[1]['rec']) == pytest.approx(
        float(rec), rel=1e-6)


def test_no_gradient_reaches_the_encoder_through_the_features_of_nu():
    method, p, c, batch = started()
    # z no longer depends on the features
    blind = {**p, 'head': jax.tree.map(jnp.zeros_like, p['head'])}
    grads = jax.grad(
        lambda enc: value(method, 1, {**blind, 'enc': enc}, c, batch, total=1000)[0])(p['enc'])
    assert all((g == 0).all() for g in jax.tree.leaves(grads))
    assert jnp.abs(
        jax.grad(lambda enc: value(method, 1, {**p, 'enc': enc}, c, batch)[0])(
            p['enc'])['w']).max() > 0


def test_nu_learning_rate_ignores_the_decay():
    method, p, c, batch = started()
    tx = method.phases[0].players[0].tx
    grads = {n: jax.tree.map(jnp.ones_like, p[n]) for n in ('nu_xz', 'nu_z')}
    for scale in (1., .5):
        t = tx({**toys.hp('ivae'), 'lr_scale': scale})
        step = t.update(grads, t.init(grads))[0]
        np.testing.assert_allclose(step['nu_z'][0]['w'], -1e-5, rtol=1e-4)


@pytest.mark.slow
def test_dual_estimate_learns_the_kl():
    """The best function of a fixed Gaussian: the dual rises to the exact KL and not above it by
    more than noise.
    """
    method, p, c, batch = started(noise_scale=.8)
    # one posterior for all
    p = {**p, 'enc': jax.tree.map(jnp.zeros_like, p['enc'])}
    state = core.init(method, jax.random.key(0), batch,
                      {**toys.hp('ivae', lr=0.), 'nu_lr': jnp.float32(.02)})
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
    want = jax.vmap(lambda z, m: jax.scipy.stats.multivariate_normal.logpdf(
        z, m, p['noise'].T @ p['noise']))(z, q['mean'])
    np.testing.assert_allclose(method.evals['log_q'](p, c, q, z), want, rtol=1e-3, atol=1e-3)
    assert 'log_q_dims' not in method.evals
    np.testing.assert_allclose(method.evals['log_prior'](p, c, z),
                               distributions.normal_log_prob(z), rtol=1e-6)


# APo-VAE: the same players in the Poincare ball.

BATCH = 6
RAMP = {'beta': 1., 'beta_start': 0., 'warmup': 0., 'delay': 0., 'period': 0.}
HP = {**RAMP, 'lr': .1, 'lr_scale': 1., 'nu_lr': 1e-3, 'prior_lr': 1e-2}


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def hyperbolic(kit=None, **options):
    """Method, params, carry, batch of an APo-VAE on all different images."""
    method = implicit.apo_vae(kit or toys.kit(), toys.recipe(), **{**SMALL, **options})
    bits = (jnp.arange(1, BATCH + 1)[:, None] >> jnp.arange(4)) & 1
    batch = toys.all_of({'x': bits.reshape(BATCH, 2, 2, 1).astype(float)})
    return method, *method.init(jax.random.key(3), batch), batch


def play(method, name, params, carry, batch, **ctx):
    """Loss, its gradient and aux of the player of that name."""
    player = {p.name: p for p in method.phases[0].players}[name]
    (loss, (_, aux)), grads = jax.value_and_grad(player.loss, has_aux=True)(
        params, carry, batch, toys.ctx({k: jnp.asarray(v)
                                        for k, v in HP.items()}, **ctx))
    return loss, grads, aux


def test_apo_players_and_what_they_move():
    method, p, *_ = hyperbolic()
    dual, model = method.phases[0].players
    assert dual.updates == 1 and dual.trains == ('nu_xz', 'nu_z') and set(
        model.trains) == {'enc', 'head', 'dec'}
    method, p, *_ = hyperbolic(pseudo=2)
    dual, prior, model = method.phases[0].players
    assert prior.trains == ('pseudo',) and set(model.trains) == {'enc', 'head', 'dec'}
    assert {n for f in (dual, prior, model) for n in f.trains} == set(p)


@pytest.mark.slow
def test_apo_loss_is_its_formula(double):
    """rec + nu([log_0 z; h]) at z = exp_mu((lambda_0 / lambda_mu) v)."""
    method, p, c, batch = hyperbolic(c=.7)
    x = toys.flat(batch['x'])
    h = jnp.tanh(x @ p['enc']['w'] + p['enc']['b'])
    u, raw = jnp.split(h @ p['head']['w'] + p['head']['b'], 2, -1)
    mean, s = poincare.exp0(u, .7), jax.nn.softplus(raw) + geometry.THIN
    v = s * jax.random.normal(core.derive(jax.random.key(1), 1, 1), u.shape)
    z = poincare.exp_map(mean, 2 / poincare.conformal(mean, .7) * v, .7)
    lift = poincare.gyroplane(z, p['dec']['lift']['normal'], p['dec']['lift']['offset'], .7)
    rec = -(x *
            (logits := lift @ p['dec']['dec']['w']) - jax.nn.softplus(logits)).sum(-1).mean()
    nu = toys.kit().mlp((8, 6, 1))
    seen = jnp.concatenate([poincare.log0(z, .7), h], -1)
    loss, _, aux = play(method, 'vae', p, c, batch)
    np.testing.assert_allclose([aux['rec'], loss],
                               [rec, rec + nu.apply(p['nu_xz'], seen).mean()], rtol=1e-9)
    other = poincare.wrapped_sample(jax.random.key(0), jnp.zeros((BATCH, 3)), 1., .7, 'apo')
    drawn = jnp.concatenate([poincare.log0(other, .7), h], -1)
    want = (nu.apply(p['nu_xz'], seen) - jnp.exp(nu.apply(p['nu_xz'], drawn)) + 1).mean()
    np.testing.assert_allclose(play(method, 'dual', p, c, batch)[2]['dual'], want, rtol=1e-9)


@pytest.mark.slow
def test_apo_without_curvature_is_the_dual_autoencoder_of_a_gaussian(double):
    """Every loss and gradient, from the same draws."""
    kit = toys.kit()
    base = posteriors.gaussian(kit)

    def apply(params, carry, features, weight=None, hp=None):
        q, carry = base.apply(params, carry, features)
        return {**q, 'log_var': 2 * jnp.log(jax.nn.softplus(q['log_var']) + geometry.THIN)
                }, carry

    linear = core.Net(geometry.gyroplanes(3, 3).init, lambda p, z: 4 * (z @ p['normal'].T - (
        p['normal'] * p['offset']).sum(-1)))
    flat = implicit.dual_autoencoder(kit, toys.recipe(), base._replace(apply=apply),
                                     decoder=geometry.with_input_layer(kit.decoder(), linear),
                                     updates=1, **SMALL)
    for curvature, off in ((0., 1e-9), (1e-7, 1e-4)):
        method, p, c, batch = hyperbolic(c=curvature)
        for name in ('dual', 'vae'):
            loss, grads, aux = play(method, name, p, c, batch)
            want = play(flat, name, p, c, batch)
            toys.close((loss, grads), want[:2], atol=off)
        assert aux['clipped'] == 0


def optimal(kit, c, params):
    """The kit whose dual functions are the best ones: nu(z, x) = log q(z|x) / p(z), p the
    mixture of all posteriors.
    """
    posterior = geometry.wrapped_normal(kit, c, 'apo')

    def mlp(sizes, activation='relu'):
        def apply(p, seen):
            z, last = poincare.exp0(seen[:, :kit.latent], c), seen[:, kit.latent:]
            if not last.size:
                return jnp.zeros((len(z), 1))                # the aggregate is the prior

            def log_q(features):
                return posterior.log_q(params,
                                       posterior.apply(params, {}, core.Features(features))[0],
                                       z)

            inputs = kit.encoder().apply(params['enc'], params['pseudo']).last
            every = jax.vmap(lambda h: log_q(jnp.broadcast_to(h, last.shape)))(inputs)
            return (log_q(last) - jax.nn.logsumexp(every, 0) + jnp.log(len(inputs)))[:, None]

        return core.Net(lambda key: {}, apply)

    return kit.replace(mlp=mlp)


@pytest.mark.slow
def test_optimal_dual_with_the_data_as_pseudo_inputs_is_the_kl_from_the_aggregate(double):
    """Mutual information: mean KL(q(.|x) || q_agg), here by the exact densities of other
    draws."""
    kit, c = toys.kit(), .7
    _, p, carry, batch = hyperbolic(kit, c=c, pseudo=BATCH)
    p = {**p, 'pseudo': {'x': batch['x']}}
    method = implicit.apo_vae(optimal(kit, c, p), toys.recipe(), c=c, pseudo=BATCH)
    loss = method.phases[0].players[0].loss
    numbers = {k: jnp.asarray(v) for k, v in HP.items()}

    @toys.jit
    def both(key):
        a, b = jax.random.split(key)
        ctx = toys.ctx(numbers)._replace(key=a, step_key=b)
        z = method.evals['sample_q'](p, carry, q, a)
        gap = method.evals['log_q'](p, carry, q, z) - method.evals['log_prior'](p, carry, z)
        aux = loss(p, carry, batch, ctx)[1][1]
        return aux['dual'], aux['dual_marginal'], gap.mean()

    q = method.evals['posterior'](p, carry, batch)
    dual, marginal, kl = (np.asarray(v)
                          for v in jax.vmap(both)(jax.random.split(jax.random.key(0), 4000)))
    assert abs(dual.mean() - kl.mean()) < 4 * ((dual.var() + kl.var()) / 4000)**.5
    assert np.abs(marginal).max() < 1e-12 and .3 < kl.mean() < np.log(BATCH)


@pytest.mark.parametrize('direction, sign', [('descend', -1.), ('ascend', 1.)])
@pytest.mark.slow
def test_pseudo_inputs_follow_the_dual_estimate(direction, sign):
    """A step along the player's gradient lowers E_q nu - E_p e^nu, unless its printed sign is
    asked for.
    """
    method, p, c, batch = hyperbolic(pseudo=3, direction=direction)
    move = {f.name: f for f in method.phases[0].players}['prior']
    loss, grads, _ = play(method, 'prior', p, c, batch)
    posterior, prior = geometry.wrapped_normal(toys.kit(), .1, 'apo'), priors
    drawn = prior.vamp(toys.kit(), posterior, 3).sample(p, jax.random.key(0), BATCH)
    h = jnp.tanh(toys.flat(batch['x']) @ p['enc']['w'] + p['enc']['b'])
    value = toys.kit().mlp((8, 6, 1)).apply(p['nu_xz'],
                                            jnp.concatenate([poincare.log0(drawn, .1), h], -1))
    assert float(loss) == pytest.approx(sign * float(jnp.exp(value).mean()), rel=1e-5)
    assert jnp.abs(grads['pseudo']['x']).max() > 0 and move.trains == ('pseudo',)

    def dual(pseudo):
        return float(play(method, 'dual', {**p, 'pseudo': pseudo}, c, batch)[2]['dual'])

    moved = jax.tree.map(lambda x, g: x - .1 * g / jnp.linalg.norm(g), p['pseudo'],
                         grads['pseudo'])
    assert sign * (dual(moved) - dual(p['pseudo'])) > 0


@pytest.mark.slow
def test_descending_pseudo_inputs_lessen_the_gap_between_prior_and_posterior():
    """The best dual functions: their prior player brings the mixture to the posteriors, ascent
    drives it away.
    """
    kit, c, after = toys.kit(), .1, {}
    base, p, carry, batch = hyperbolic(kit, c=c, pseudo=2)
    numbers = {k: jnp.asarray(v) for k, v in HP.items()}
    keys = jax.random.split(jax.random.key(0), 200)

    def gap(pseudo):
        params = {**p, 'pseudo': pseudo}
        q = base.evals['posterior'](params, carry, batch)

        def one(key):
            z = base.evals['sample_q'](params, carry, q, key)
            return (base.evals['log_q'](params, carry, q, z) -
                    base.evals['log_prior'](params, carry, z)).mean()

        return jax.vmap(one)(keys).mean()

    for direction in ('descend', 'ascend'):
        def loss(pseudo, key, fixed, direction=direction):
            method = implicit.apo_vae(optimal(kit, c, fixed), toys.recipe(), c=c, pseudo=2,
                                      direction=direction)
            player = method.phases[0].players[1]
            return player.loss({**p, 'pseudo': pseudo}, carry, batch,
                               toys.ctx(numbers)._replace(key=key))[0]

        def slope(pseudo, loss=loss):
            return jax.vmap(lambda key: jax.grad(loss)
                            (pseudo, key, {**p, 'pseudo': pseudo})['x'])(keys).mean(0)

        def step(pseudo, _, slope=slope):
            return {'x': pseudo['x'] - .1 * slope(pseudo)}, None

        after[direction] = toys.jit(
            lambda x, step=step: gap(jax.lax.scan(step, x, None, 20)[0]))(p['pseudo'])
    before = float(toys.jit(gap)(p['pseudo']))
    assert after['descend'] < before - .05 and after['ascend'] > before + .05


def test_replica_is_reconstruction_plus_the_dual_estimate():
    """Constant dual functions: nu = .5 gives .5 - e^.5 + 1; one word per image; an example
    alone is an example.
    """
    method, p, c, batch = started()
    p = {**p, **{n: jax.tree.map(jnp.zeros_like, p[n]) for n in ('nu_xz', 'nu_z')}}
    q, key = method.evals['posterior'](p, c, batch), jax.random.key(2)
    nats, words = method.evals['replica'](p, c, batch, key)
    assert words.tolist() == [1] * 12
    rec = jnp.stack([
        -method.evals['log_lik'](p, c, method.evals['sample_q'](p, c, q, core.derive(k, 0)),
                                 batch) for k in jax.random.split(key, implicit.DRAWS)
    ]).mean(0)
    np.testing.assert_allclose(nats, rec, rtol=1e-5)
    p['nu_xz'][-1]['b'] += .5
    np.testing.assert_allclose(method.evals['replica'](p, c, batch, key)[0],
                               rec + 1.5 - np.exp(.5), rtol=1e-5)
    np.testing.assert_allclose(method.evals['dual_mi'](p, c, batch, key), 1.5 - np.exp(.5),
                               rtol=1e-5)
    p['nu_z'][-1]['b'] += .25
    np.testing.assert_allclose(method.evals['dual_mi'](p, c, batch, key),
                               .25 - np.exp(.5) + np.exp(.25), rtol=1e-5)
    one = {k: v[:1] for k, v in batch.items()}
    assert method.evals['replica'](p, c, one, key)[0].shape == (1,)
    length = {**one, 'length': jnp.array([7])}
    assert method.evals['replica'](p, c, length, key)[1].tolist() == [7.]


@pytest.mark.slow
def test_replica_breaks_the_bound_that_the_true_kl_keeps():
    """Dual functions that have learnt nothing estimate 0, and a model that heeds them is far
    from its prior.
    """
    method, _, _, batch = started(noise_scale=.02)
    state = core.init(method, jax.random.key(3), batch,
                      {**toys.hp('ivae', lr=1.), 'nu_lr': jnp.float32(0.)})
    state = state._replace(
        params={
            **state.params,
            **{n: jax.tree.map(jnp.zeros_like, state.params[n])
               for n in ('nu_xz', 'nu_z')}
        })
    idx = jnp.broadcast_to(jnp.arange(12), (100, 1, 12))
    (p, c, *_), _ = toys.jit(core.make_block(method.phases[0]))(state, DATA, idx,
                                                                jnp.int32(100))
    q, e = method.evals['posterior'](p, c, batch), method.evals

    def log_lik(key):
        return e['log_lik'](p, c, e['sample_prior'](p, c, key, 12), batch)

    draws = toys.jit(jax.vmap(log_lik))(jax.random.split(jax.random.key(0), 20000))
    nll = float((np.log(20000) - jax.nn.logsumexp(draws, 0)).mean())
    replica = float(jax.vmap(lambda key: e['replica'](p, c, batch, key)[0])(
        jax.random.split(jax.random.key(1), 20)).mean())
    assert replica < nll - .5 < nll < replica + float(e['kl'](p, c, q).mean())


def test_gradient_at_the_best_dual_function_is_that_of_the_kl(double):
    """d/d(mean, scale) E_q nu at nu = log q / p, held fixed, is dKL; q = N(1, .25): KL .81815,
    without + 1 -.18185.
    """
    mean, log_var, n = jnp.array([1.]), jnp.log(jnp.array([.25])), 200000
    e, drawn = jax.random.normal(jax.random.key(0), (2, n, 1))

    def best(z):
        return distributions.normal_log_prob(z, mean,
                                             log_var) - distributions.normal_log_prob(z)

    value = adversarial.dual_kl(best(mean + .5 * e), best(drawn))
    assert abs(float(value.mean()) - .81815) < 4 * float(value.std()) / n**.5 + 1e-5
    assert float(divergences.normal_kl(mean, log_var)) == pytest.approx(.81815, abs=1e-5)
    assert abs(float(value.mean()) - 1 - -.18185) < 4 * float(value.std()) / n**.5 + 1e-5
    got = jax.grad(lambda m, v: best(m + jnp.exp(v / 2) * e).mean(), (0, 1))(mean, log_var)
    want = jax.grad(divergences.normal_kl, (0, 1))(mean, log_var)
    np.testing.assert_allclose(jnp.concatenate(got), jnp.concatenate(want), atol=.03)


def test_dual_never_exceeds_the_kl(double):
    """Whatever nu: quadrature over q = N(1, .25) and p = N(0, 1)."""
    z = np.linspace(-9, 9, 20001)
    q, p = stats.norm(1, .5).pdf(z), stats.norm.pdf(z)
    rng = np.random.default_rng(0)
    for scale in (.1, 1., 5.):
        a, b, wave = scale * rng.normal(size=(3, 50, 1))
        nu = jnp.asarray(a + b * z + wave * np.sin(3 * z))
        none = jnp.zeros_like(nu)
        of_q, of_p = adversarial.dual_kl(nu, none - jnp.inf) - 1, adversarial.dual_kl(none, nu)
        terms = of_q * q + of_p * p
        assert (terms.sum(-1) * (z[1] - z[0]) <= .81815).all()


def test_unknown_direction_is_refused():
    with pytest.raises(UserError, match='ascend'):
        implicit.apo_vae(toys.kit(), toys.recipe(), direction='up')
