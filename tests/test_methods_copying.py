"""Floors and ceiling of rewriting: sentences that are there already."""
import collections
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from sklearn.feature_extraction.text import TfidfVectorizer

from vaebench import core, metrics, schema
from vaebench.engine import loop
from vaebench.engine.trainer import Settings, Trainer
from vaebench.errors import UserError
from vaebench.methods import copying

VOCAB, WORDS = 12, 6
SCHEMA = {**schema.text(tuple(map(str, range(VOCAB))), WORDS), 'label': schema.label(2),
          'reference': {'tokens': schema.Field('tokens', (2, None), VOCAB), 'length': schema.Field('length', (2,), 7)}}
KIT = core.Kit(2, 4, SCHEMA, {})
# two buckets of other widths, the last batch of each half empty
BUCKETS = [{k: v for k, v in toys.styled(n, VOCAB, width, seed).items() if k in ('tokens', 'length', 'label')}
           for n, width, seed in ((9, 5, 0), (14, 8, 1))]
DATA = toys.all_of({k: v for k, v in toys.styled(10, VOCAB, 8, 5).items() if k not in ('log_p', 'target')})
TRAIN = [(tuple(t[1:n].tolist()), int(y)) for b in BUCKETS for t, n, y in zip(*map(
    np.asarray, (b['tokens'], b['length'], b['label'])), strict=True)]


def trained(factory):
    """transfer(batch, label, seed) after the engine's pass over the training data, and the carry."""
    method = factory(KIT, toys.recipe()._replace(examples=len(TRAIN)))
    engine = Trainer(method, BUCKETS, lambda evals, needs: metrics.validator(evals, BUCKETS, needs), Settings(1, 4), 1)
    state, _ = loop.run(engine, [0], {'lr': .1, 'lr_scale': 1.})
    params, carry = jax.tree.map(lambda x: x[0], (state.params, state.carry))
    return lambda batch, label, seed=0: method.evals['transfer'](
        params, carry, batch, jnp.asarray(label), jax.random.key(seed), 'greedy'), carry


def words(out):
    """Sentences as tuples; they are closed and padded as decoders' are."""
    tokens, length = np.asarray(out['tokens']), np.asarray(out['length'])
    assert tokens.shape[1] == WORDS + 2
    for row, n in zip(tokens, length, strict=True):
        assert row[0] == 1 and row[n] == 2 and not row[n + 1:].any() and (row[1:n] > 2).all()
    return [tuple(row[1:n].tolist()) for row, n in zip(tokens, length, strict=True)]


def test_resizing_pads_cuts_and_closes():
    tokens = jnp.array([[1, 7, 8, 9, 2, 0], [1, 7, 2, 0, 0, 0]])
    for width, want in ((8, [[1, 7, 8, 9, 2, 0, 0, 0], [1, 7, 2, 0, 0, 0, 0, 0]]),
                        (4, [[1, 7, 8, 2], [1, 7, 2, 0]])):
        out = copying.resized(tokens, jnp.array([4, 2]), width)
        assert out['tokens'].tolist() == want and out['length'].tolist() == [min(4, width - 1), 2]


@pytest.mark.parametrize('width', [5, 8, 9])
def test_copy_leaves_sentences_as_they_are(width):
    batch = toys.all_of(toys.styled(6, VOCAB, width))
    out = copying.copy(KIT, toys.recipe()).evals['transfer']({}, {}, batch, batch['label'], None, 'beam')
    assert words(out) == [tuple(t[1:n].tolist()) for t, n in zip(batch['tokens'], batch['length'], strict=True)]


def test_gold_is_the_first_reference_and_needs_the_column():
    out = copying.gold(KIT, toys.recipe()).evals['transfer']({}, {}, DATA, DATA['label'], None, 'greedy')
    first = jax.tree.map(lambda x: x[:, 0], DATA['reference'])
    assert words(out) == [tuple(t[1:n].tolist()) for t, n in zip(first['tokens'], first['length'], strict=True)]
    with pytest.raises(UserError, match="needs a column 'reference'"):
        copying.gold(dataclasses.replace(KIT, schema=toys.without(KIT, 'reference').schema), toys.recipe())


def test_training_sentences_are_kept_once_each_sorted_by_style():
    _, carry = trained(copying.random_target)
    kept = list(zip(words(carry), carry['label'].tolist(), strict=True))
    assert sorted(kept) == sorted(TRAIN) and (np.diff(carry['label']) >= 0).all()
    assert carry['count'].tolist() == [sum(y == k for _, y in TRAIN) for k in (0, 1)]


def test_random_targets_are_uniform_over_the_style_that_is_asked_for():
    transfer, _ = trained(copying.random_target)
    n = 6000
    batch = {k: jnp.repeat(v[:1], n, 0) for k, v in DATA.items() if k in ('tokens', 'length')}
    for style in (0, 1):
        there = collections.Counter(s for s, y in TRAIN if y == style)
        drawn = collections.Counter(words(transfer(batch, np.full(n, style))))
        assert set(drawn) == set(there)
        each = n / there.total()
        for sentence, count in there.items():
            assert abs(drawn[sentence] - count * each) < 5 * np.sqrt(count * each)
    one, two = (words(transfer(DATA, DATA['label'], k)) for k in (1, 2))
    assert one != two


@pytest.mark.parametrize('chunk', [1, 5, copying.CHUNK])
def test_retrieval_is_that_of_scikit_learn(chunk):
    transfer, carry = trained(copying.nearest_target)
    known = [' '.join(map(str, s)) for s in words(carry)]
    asked = [' '.join(map(str, t[1:n].tolist())) for t, n in zip(DATA['tokens'], DATA['length'], strict=True)]
    model = TfidfVectorizer(token_pattern=r'\d+', smooth_idf=True).fit(known)
    similar = (model.transform(asked) @ model.transform(known).T).toarray()
    for style in (0, 1):
        allowed = np.where(np.asarray(carry['label']) == style, similar, -1)
        row = np.asarray(copying.nearest(carry, DATA, jnp.full(10, style), chunk))
        np.testing.assert_allclose(allowed[np.arange(10), row], allowed.max(1), rtol=1e-5)
        answers = words(transfer(DATA, np.full(10, style)))
        assert answers == [tuple(map(int, known[r].split())) for r in row] or chunk != copying.CHUNK


def test_a_training_sentence_is_its_own_nearest():
    transfer, carry = trained(copying.nearest_target)
    batch = {'tokens': carry['tokens'], 'length': carry['length']}
    assert words(transfer(batch, carry['label'])) == words(carry)


def test_a_sentence_without_known_words_still_gets_one_of_the_style():
    transfer, carry = trained(copying.nearest_target)
    batch = {'tokens': jnp.array([[1, 2]]), 'length': jnp.array([1])}
    assert words(transfer(batch, [1]))[0] == words(carry)[int(carry['count'][0])]
