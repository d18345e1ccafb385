"""Parameters are chosen by what training ends up minimizing."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core, metrics
from vaebench.engine import loop, trainer

DATA = toys.images(24)
OBJECTIVES = {
    'vae': {'warmup': 2.}, 'beta_vae': {'beta': .1, 'warmup': 2.}, 'ae': {},
    'capacity_vae': {'capacity': 3., 'beta': 5.}, 'bn_vae': {'warmup': 2.},
    'dg_vae': {'beta': .5}, 'dg_vmf': {'beta': .5}, 'wae_mmd': {'beta': 7.},
    'wae_s': {'beta': 7., 'kl_weight': .3}, 'info_vae': {'alpha': .3, 'mmd': 6.},
    'mmd_vae': {'mmd': 6.}, 'beta_tcvae': {'alpha': .5, 'beta': 4., 'gamma': 2.},
    'dip_vae_i': {'lambda_od': 3., 'lambda_d': 7.}, 'dip_vae_ii': {'lambda_od': 3., 'lambda_d': 7.},
}


@pytest.mark.parametrize('name', OBJECTIVES)
def test_a_criterion_is_the_loss_at_the_end_of_its_schedules(name):
    """Of the means that a training step shows, the criterion makes its loss."""
    method, batch = toys.make(name), toys.all_of(DATA)
    hp, phase = toys.hp(name, **OBJECTIVES[name]), method.phases[0]
    params, carry = method.init(jax.random.key(5), batch)
    ctx = toys.ctx(hp, total=10**6)
    loss, (_, aux) = toys.jit(phase.players[0].loss)(params, carry, batch, ctx)
    assert float(phase.select.value(hp, aux)) == pytest.approx(float(loss), rel=1e-6)
    names = {k: k for k in hp} | {k: k for k in aux} | {'weight': 0}
    assert set(phase.select.formula.replace('|', ' ').replace('(', ' ').replace(')', ' ')
               .replace('+', ' ').replace('-', ' ').replace('1', ' ').split()) <= set(names)


@pytest.mark.parametrize('name', ['wae_gan', 'control_vae'])
def test_criteria_of_what_moves_meanwhile(name):
    """Of an adversary and a controller the criterion takes what stands at validation."""
    hp, select = toys.hp(name), toys.make(name).phases[0].select
    valid = {'rec': 5., 'kl': 2., 'fool': .7}
    want = {'wae_gan': lambda: 5. + hp['beta'] * .7,
            'control_vae': lambda: 5. + abs(2. - hp['target'])}[name]()
    assert float(select.value(hp, valid)) == pytest.approx(float(want))


def test_validation_measures_penalties_of_whole_batches():
    """A mean over batches is one over examples, whatever slots are empty; codes are drawn."""
    def penalty(params, carry, batch, q, z, key):
        return {'x': core.mean(batch['x'], batch), 'z': core.mean(z, batch)}

    evals = {
        'posterior': lambda params, carry, batch: {'mean': params * batch['x']},
        'sample_q': lambda params, carry, q, key: q['mean'] + 0 * jax.random.normal(key),
        'log_lik': lambda params, carry, z, batch: -z,
        'penalties': penalty}
    x = np.random.default_rng(0).normal(size=257) + 2
    data = [{'x': jnp.asarray(x[:200])}, {'x': jnp.asarray(x[200:])}]
    f = metrics.validator(evals, data, batch=64)
    out = f(jnp.array([1., 3.]), (), jax.random.key(0))
    np.testing.assert_allclose(out['x'], [x.mean()] * 2, rtol=1e-5)
    np.testing.assert_allclose(out['z'], [x.mean(), 3 * x.mean()], rtol=1e-5)
    np.testing.assert_allclose(out['rec'], out['z'], rtol=1e-5)


def chosen(select, values, keep='best'):
    """What a toy run keeps whose one parameter counts its epochs, and whose validation is
    `values`, name -> [epochs].
    """
    def loss(params, carry, batch, ctx):
        return params['x'], (carry, {})                      # SGD at -1 adds 1 a step

    player = core.Player('p', loss, ('x',), toys.recipe(clip=1e9).optimizer)
    method = core.Method(lambda key, data: ({'x': jnp.zeros(())}, ()),
                         (core.Phase('main', (player,), 4, select=select),), {})

    class Validation:
        @staticmethod
        def function(params, carry, *inputs):
            at = params['x'].astype(int) - 1
            return {k: jnp.asarray(v)[at] for k, v in values.items()}

        @staticmethod
        def inputs(size, key):
            return (key,)

    made = trainer.Trainer(method, [{'x': jnp.zeros((4, 1))}], lambda evals, needs: Validation(),
                           trainer.Settings(4, 4, block=1, keep=keep), 2)
    state, record = loop.run(made, (0, 1), {'lr': -1., 'lr_scale': 1., 'beta': np.array([.1, 1.])})
    return state.params['x'].tolist(), record


def test_each_seed_is_chosen_by_its_own_numbers():
    """A group may differ in hp: with a weight of 0.1 the last epoch wins, with 1 the first."""
    curve = {'rec': [10., 8., 6., 5.], 'kl': [0., 4., 8., 12.]}
    select = core.Criterion('rec + beta kl', lambda hp, v: v['rec'] + hp['beta'] * v['kl'])
    kept, record = chosen(select, curve)
    assert kept == [4., 1.]
    assert record.parameters(0) == [{'phase': 'main', 'kept': 'best', 'by': 'rec + beta kl'}]
    shown = [e.valid['objective'] for e in record.curves]
    np.testing.assert_allclose(shown, [[10., 10.], [8.4, 12.], [6.8, 14.], [6.2, 17.]], rtol=1e-6)
    kept, record = chosen('kl', curve)
    assert kept == [1., 1.] and record.parameters(1)[0]['by'] == 'kl'
    kept, record = chosen('', curve)
    assert kept == [4., 4.] and record.parameters(1)[0] == {'phase': 'main', 'kept': 'last',
                                                            'by': ''}


def test_a_quantity_that_validation_does_not_give_is_no_silent_choice():
    with pytest.raises(KeyError, match='elbo'):
        chosen('elbo', {'rec': [1., 2., 3., 4.]})
