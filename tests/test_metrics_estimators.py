"""Ids of estimators: those that metrics give, and what they add of likelihoods."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_config
import toys
from test_metrics import KEY, S2, linear
from test_metrics import quick as quick  # the fixture
from test_metrics_text import random_text, reciter, spoken

from vaebench.engine import loop
from vaebench.experiment import estimators, results, table
from vaebench.experiment.rows import row
from vaebench.experiment.runner import Runner
from vaebench.metrics import (
    METRICS,
    Estimator,
    Judge,
    Settings,
    decomposition,
    dialogue,
    disentanglement,
    entries,
    equivariance,
    latent_arithmetic,
    likelihood,
    measure,
    prediction,
    representation,
    sparsity,
    style_codes,
    transfer,
    transfer_time,
    unsupervised,
)

SMALL = dict(samples=4, batch=30, images=20, generated=12, unigrams=12, drawn=50, refine=1, points=16)
NEWER = {key for module in (
    decomposition, dialogue, disentanglement, equivariance, latent_arithmetic, prediction, sparsity,
    style_codes, transfer, transfer_time, unsupervised) for key in module.METRICS} | {
        key for key in METRICS if key.startswith('probe_mlp_')}     # than sentences without ids
OF_NATS = {k for k, m in METRICS.items() if any('log_lik' in need for need in m.needs)}
DECODER = Estimator('bernoulli decoder, no normalised likelihood of grey levels',
                    'bernoulli-grey')


def points(n=40, evals=None, **more):
    """A view of the linear model that offers whatever metrics of points ask for."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    every = linear(
        sample=lambda params, carry, key, n, mode: {'x': jax.random.normal(key, (n, 2))},
        sample_prior=lambda params, carry, key, n: jax.random.normal(key, (n, 2)),
        decode=lambda params, carry, z, key, mode: {'x': jnp.tanh(z)},
        dual_mi=lambda params, carry, batch, key: batch['x'][:, 0],
        replica=lambda params, carry, batch, key: (batch['x'][:, 0], batch['x'][:, 1]**2),
        classify=lambda params, carry, batch: jax.nn.log_softmax(batch['x']),
        cluster=lambda params, carry, batch: jax.nn.log_softmax(batch['x']))
    labelled = {'x': x, 'label': np.int32(rng.integers(0, 2, n))}
    columns = {**labelled, 'arclength': x[:, 0], 'height': x[:, 1], 'log_p': x[:, 0],
               'length': np.ones(n, np.int32)}
    train = {k: np.concatenate([v] * 4) for k, v in labelled.items()}
    view = toys.evaluator(every if evals is None else evals(every), S2, {}, [columns], KEY,
                          Settings(**SMALL), train=train,
                          truth={'modes': np.eye(2), 'std': .3}, **more)
    view.data = view.data._replace(item='point', part='coordinate')
    return view


def features(name):
    functions = {'features': lambda x: x.reshape(len(x), -1),
                 'classify': lambda x: np.log([[.9, .1]] * len(x))}
    return lambda: Judge(name, functions=functions)


def images():
    evals = {'sample': lambda params, carry, key, n, mode: {
        'x': jax.random.uniform(key, (n, 4, 4, 1))}}
    x = np.random.default_rng(0).uniform(size=(30, 4, 4, 1)).astype(np.float32)
    name = Estimator("features of the suite's classifier 0123abcd, accuracy 97.0%",
                     'features-0123abcd')
    return toys.evaluator(evals, {'s': jnp.ones(1)}, {}, [{'x': x}], KEY, Settings(**SMALL),
                          valid={'x': x}, space=features(name))


def recited():
    evals, params, data = reciter(random_text(12, least=4))
    return toys.evaluator(evals, params, {}, [data], KEY, Settings(**SMALL))


def without(*names):
    return lambda evals: {k: v for k, v in evals.items() if k not in names}


VIEWS = {
    'points': points, 'images': images, 'recited': recited,
    'spoken': lambda: spoken([random_text(12)], train=random_text(20, 1)),
    'no density': lambda: points(evals=without('log_q')),
    'fitted': lambda: points(evals=lambda evals: {'embed': lambda x, seed: x[:, :1]}),
    'exact': lambda: points(evals=lambda evals: {
        'score': lambda params, carry, batch: batch['x'][:, 0]}),
    'own code': lambda: points(evals=lambda evals: {
        'reconstruct': lambda params, carry, batch: {'x': batch['x']},
        'log_prior': evals['log_prior']}),
    'no prior': lambda: points(evals=lambda evals: {
        'reconstruct': lambda params, carry, batch: {'x': batch['x']}}),
}


@pytest.mark.slow
def test_metrics_give_the_ids_that_their_sentences_had():
    seen, special = set(), {*likelihood.METRICS, *representation.METRICS}
    for name, make in VIEWS.items():
        view = make()
        names = special | (set(METRICS) - seen - NEWER)      # once is enough for the others
        for key, entry in entries(measure(view, names), view, 0).items():
            assert entry['estimator_id'] == estimators.identify(entry['estimator']), (name, key)
            assert type(entry['estimator']) is type(entry['estimator_id']) is str
            seen.add(key)
    too_few = {f'probe_{n}' for n in (500, 1000, 2000, 10000)}
    assert seen == set(METRICS) - too_few - NEWER


def test_likelihoods_name_the_decoder_and_what_it_is_told():
    """A density and a probability, and likelihoods with and without a condition, never rank
    together."""
    names = sorted(OF_NATS) + ['kl', 'mse', 'au']
    plain, decoder, told = (measure(points(**more), names) for more in (
        {}, {'likelihood': DECODER}, {'likelihood': DECODER, 'given': ('label',)}))
    for name in names:
        ids = [m[name].estimator.id for m in (plain, decoder, told)]
        sentences = [m[name].estimator for m in (plain, decoder, told)]
        if name in OF_NATS:
            assert ids[1:] == [f'{ids[0]}:bernoulli-grey', f'{ids[0]}:bernoulli-grey:given-label']
            assert sentences[1:] == [f'{sentences[0]}; {DECODER}',
                                     f'{sentences[0]}; {DECODER}; given the label']
            assert [estimators.identify(s) for s in sentences] == ids
        else:
            assert len({*ids}) == len({*sentences}) == 1
        np.testing.assert_array_equal(plain[name].value, told[name].value)
    assert {'nll_iw', 'elbo', 'rec', 'ess', 'ppl_iw'} <= OF_NATS


def test_an_exact_likelihood_is_conditional_too():
    view = points(evals=lambda evals: {
        'score': lambda params, carry, batch: batch['x'][:, 0]}, given=('label', 'context'))
    nll = measure(view, ['nll_iw'])['nll_iw'].estimator
    assert (nll, nll.id) == ('exact; given the label and the context',
                             'exact:given-label-context')


def test_a_plain_sentence_is_its_own_id():
    assert Estimator.of('largest |correlation|').id == 'largest |correlation|'
    assert Estimator.of(DECODER) is DECODER


@pytest.mark.slow
def test_a_table_says_what_a_conditional_row_is_told(tmp_path, monkeypatch):
    config = tiny_config.get_config().to_dict()
    config['kit']['likelihood'] = 'bernoulli'
    config.update(table={'vae': row('VAE', 'vae'), 'cvae': row('CVAE', 'cvae')}, seeds=1,
                  metrics=('elbo', 'kl'))
    run = Runner(table.tables(config)[0], tmp_path, say=lambda line: None)

    def untrained(trainer, seeds, numbers, options):
        return trainer.init(seeds, numbers), loop.Record([None], [True])

    monkeypatch.setattr(loop, 'run', untrained)
    assert not any(run.run().values())
    found, problems = results.read_all(tmp_path / 'results')
    assert not problems
    ids = {(r.row, k): m.estimator_id for r in found for k, m in r.metrics.items()}
    assert ids == {('vae', 'elbo'): 'one-sample:bernoulli-grey', ('vae', 'kl'): 'closed-form',
                   ('cvae', 'elbo'): 'one-sample:bernoulli-grey:given-label',
                   ('cvae', 'kl'): 'closed-form'}
