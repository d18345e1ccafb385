"""Rows without latents."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core, networks, schema
from vaebench.errors import UserError

DATA = toys.sentences(20)
COLUMNS = schema.text(tuple('abcdefghi'), 5)


def test_uniform_language_model_has_perplexity_of_its_vocabulary():
    kit = networks.build(COLUMNS, {'name': 'lstm', 'latent': 2, 'embed': 4, 'hidden': 4})
    method = toys.make('lstm_lm', kit)
    batch = toys.all_of(DATA)
    params, carry = method.init(jax.random.key(0), batch)
    params = jax.tree.map(jnp.zeros_like, params)
    nll = -method.evals['score'](params, carry, batch)
    np.testing.assert_allclose(nll, np.asarray(DATA['length']) * np.log(9), rtol=1e-6)
    np.testing.assert_allclose(np.exp(nll.sum() / DATA['length'].sum()), 9, rtol=1e-5)


def test_language_model_minimises_its_score():
    method = toys.make('lstm_lm')
    data = toys.images(20)
    batch = toys.all_of(data)
    state = core.init(method, jax.random.key(0), batch, toys.hp('lstm_lm', lr=1.))
    score = lambda s: float(-method.evals['score'](s.params, s.carry, batch).mean())
    step, before = toys.jit(core.make_step(method.phases[0])), score(state)
    for _ in range(30):
        state, m = step(state, data, jnp.arange(20)[None])
    p = np.asarray(toys.flat(data['x']).mean(0))
    best = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()            # independent pixels, since there is no latent
    assert best - 1e-4 <= score(state) < min(before, best + .05)
    assert float(m['lm/loss']) == float(m['lm/rec'])


def test_source_is_the_corpus_itself():
    known = {**COLUMNS, 'log_p': schema.Field('real', derived=True)}
    method = toys.make('source', dataclasses.replace(toys.kit(), schema=known))
    with pytest.raises(UserError, match="needs a column 'log_p', which the data has not"):
        toys.make('source', dataclasses.replace(toys.kit(), schema=COLUMNS))
    batch = toys.all_of(DATA)
    state = core.init(method, jax.random.key(0), batch, {})
    assert int(state.status) == core.DONE and not method.phases and not state.params
    np.testing.assert_array_equal(method.evals['score'](state.params, state.carry, batch), DATA['log_p'])


def told_few(batch):
    """The loss of a classifier that reads labelled partners alone, and of one that reads all."""
    kit = dataclasses.replace(toys.kit(), schema={**toys.SCHEMA, 'partner': schema.Field('rows')})
    losses = []
    for partners in (True, False):
        made = toys.make('classifier', kit, partners=partners)
        params, carry = made.init(jax.random.key(0), batch)
        player, = made.phases[0].players
        losses.append(float(player.loss(params, carry, batch, toys.ctx(toys.hp('classifier')))[0]))
    return losses


def test_few_labels_are_all_that_a_classifier_of_partners_reads():
    data = toys.labelled(8)
    batch = toys.all_of(data)
    few, every = told_few(batch)
    other = {**batch, 'x': 1 - batch['x'], 'label': (batch['label'] + 1) % toys.CLASSES}
    assert told_few(other)[0] == few and told_few(other)[1] != every
    partner = {**batch['partner'], 'label': (batch['partner']['label'] + 1) % toys.CLASSES}
    assert told_few({**batch, 'partner': partner})[0] != few


def test_a_classifier_of_partners_needs_them():
    with pytest.raises(UserError, match="column 'partner'"):
        toys.make('classifier', toys.kit(), partners=True)
