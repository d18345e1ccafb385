"""Columns: what they say of themselves, and how nested, linked and stored ones are read."""
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core, datasets, metrics, schema
from vaebench.datasets.base import make
from vaebench.datasets.transforms import unit_interval
from vaebench.errors import UserError
from vaebench.experiment import evaluate
from vaebench.judges import images

COLUMNS = {
    'x': schema.image((2, 3, 1)), 'label': schema.label(3, ('a', 'b', 'c')),
    **schema.text(('<pad>', '<s>', '</s>', '<unk>', 'w'), 4),
    'partner': schema.Field('rows', derived=True), 'log_p': schema.Field('real', derived=True),
    'context': {**schema.text(('<pad>', '<s>', '</s>'), 2), 'place': {'x': schema.vector(2)}}
}
PLACES = ['x', 'label', 'tokens', 'length', 'partner', 'log_p', 'context/tokens',
          'context/length', 'context/place/x']


# Schemas

def test_a_stored_schema_is_read_back():
    stored = json.loads(json.dumps(schema.plain(COLUMNS)))
    assert schema.parse(stored) == COLUMNS
    odd = {'columns': schema.vector(1), 'y': {'columns': schema.vector(2)}}
    assert schema.parse(json.loads(json.dumps(schema.plain(odd)))) == odd


def test_fields_by_place_kind_and_name():
    found = dict(schema.leaves(COLUMNS))
    assert list(found) == PLACES and found['context/place/x'] == schema.vector(2)
    assert schema.of_kind(COLUMNS, 'length') == 'length'
    assert schema.of_kind(COLUMNS, 'vector') is None         # a nested one is another's
    assert schema.field(COLUMNS, 'label').names == ('a', 'b', 'c')
    for name in ('y', 'context'):
        with pytest.raises(UserError, match=f"needs a column '{name}', which the data has not"):
            schema.field(COLUMNS, name)


# Rows of columns

def conditional(n=6, seed=0):
    """Sentences, each told by another, and linked to the row after the next."""
    rng = np.random.default_rng(seed)
    own = {k: np.asarray(v) for k, v in toys.sentences(n, seed=seed).items() if k != 'log_p'}
    told = {'tokens': rng.integers(3, 9, (n, 4)).astype(np.int32),
            'length': rng.integers(1, 4, n).astype(np.int32)}
    partner = schema.Rows(((np.arange(n) + 2) % n).astype(np.int32))
    return {**own, 'context': told, 'partner': partner}


WORDS = tuple('abcdefghi')
TALK = {**schema.text(WORDS, 6), 'context': schema.text(WORDS, 3),
        'partner': schema.Field('rows', derived=True)}


def same(a, b):
    """Nested columns are equal to the bit, their types too."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)
    jax.tree.map(lambda x, y: np.testing.assert_equal(np.dtype(x.dtype), np.dtype(y.dtype)), a, b)


def test_selected_rows_are_those_that_training_takes():
    data, rows = conditional(), np.array([4, 0, 3])
    part = schema.select(data, rows)
    np.testing.assert_array_equal(part['context']['tokens'], data['context']['tokens'][rows])
    linked = data['partner'].index[rows]
    np.testing.assert_array_equal(part['partner']['context']['length'],
                                  data['context']['length'][linked])
    assert schema.count(data) == 6 and schema.count(part) == 3
    taken = core.take(jax.tree.map(jnp.asarray, data), jnp.array([4, 0, 3, -1]))
    assert taken.pop('weight').tolist() == [1, 1, 1, 0]
    same(jax.tree.map(lambda x: x[:3], taken), part)
    assert [name for name, _ in schema.flat(data)] == [
        'tokens', 'length', 'context/tokens', 'context/length', 'partner']
    assert dict(schema.flat(data))['partner'] is data['partner'].index


def test_what_is_decoded_are_batches_and_the_rows_they_link_to():
    def decode(batch):
        return {**batch, 'length': 10 * batch['length']}

    data, idx = conditional(), np.array([5, 1, -1])
    plain, read = (core.take(data, jnp.asarray(idx), f) for f in (None, decode))
    np.testing.assert_array_equal(read['length'], 10 * plain['length'])
    np.testing.assert_array_equal(read['partner']['length'], 10 * plain['partner']['length'])
    same(read['context'], plain['context'])
    view = metrics.Evaluator(TRAINED, metrics.Data([data], TALK, decode=decode))
    same(jax.tree.map(np.asarray, view.batch(data, idx)), jax.tree.map(np.asarray, read))


# A conditional corpus through evaluation

def score(params, carry, batch):
    told = jnp.where(jnp.arange(batch['context']['tokens'].shape[1]) < batch['context']['length'][:, None],
                     batch['context']['tokens'], 0).sum(1)
    return -(params['s'] * batch['length'] + .1 * told)


def retold(params, carry, batch):
    return {'x': batch['context']['length'][:, None] + jnp.zeros((1, 2))}


TRAINED = metrics.Trained({'score': score}, {'s': jnp.array([1., 2.])}, {}, jax.random.key(0))


@pytest.mark.parametrize('cuts', [1, 3, [3]])
def test_nested_columns_reach_evaluation_and_validation(cuts):
    split = conditional(11)
    told = np.where(np.arange(4) < split['context']['length'][:, None],
                    split['context']['tokens'], 0).sum(1)
    want = np.float32([1, 2])[:, None] * split['length'] + .1 * told
    data = make('talk', {'test': split}, TALK, item='sentence', part='token')
    assert data.source.sizes == {'test': 11}
    changed = {**split, 'context': {**split['context'], 'length': split['context']['length'] + 1}}
    assert make('talk', {'test': changed}, TALK).source.sha256 != data.source.sha256
    parts = datasets.buckets({**split, 'index': np.arange(11, dtype=np.int32)}, cuts, data.schema)
    assert len(parts) == (cuts if cuts == 1 else len(parts)) and (cuts == 1 or len(parts) > 1)
    view = metrics.Evaluator(TRAINED, metrics.Data(parts, data.schema, item=data.item),
                             metrics.Settings(batch=4))
    np.testing.assert_allclose(view.terms['nll'], want, rtol=1e-6)
    f = metrics.validator(TRAINED.evals, parts, batch=4)
    np.testing.assert_allclose(f(TRAINED.params, {}, TRAINED.key)['nll'], want.mean(1), rtol=1e-6)


def test_nested_columns_reach_pictures():
    rng = np.random.default_rng(0)
    split = {'x': np.float32(rng.normal(size=(9, 2))),
             'context': {k: v for k, v in conditional(9)['context'].items()},
             'partner': schema.Rows(np.arange(9)[::-1])}
    columns = {'x': schema.vector(2), 'context': TALK['context'], 'partner': TALK['partner']}
    order = rng.permutation(9).astype(np.int32)
    shuffled = {'index': order, 'x': split['x'][order],
                'context': schema.over(lambda v: v[order], split['context'])}
    for bucket in (split, shuffled):
        trained = TRAINED._replace(evals={'reconstruct': retold})
        view = metrics.Evaluator(trained, metrics.Data([bucket], columns))
        arrays = evaluate.artefacts(view, {})
        np.testing.assert_array_equal(arrays['real/x'][0], split['x'])
        np.testing.assert_array_equal(arrays['decoded/x'][1, :, 0], split['context']['length'])
        same(view.head(4)['context'], schema.select(split, np.arange(4))['context'])


# Images that are stored as bytes

def stored(n, seed):
    rng = np.random.default_rng(seed)
    level = rng.integers(0, 2, (n, 1, 1, 1)) * 160 + 20
    x = np.uint8(np.clip(level + rng.integers(-40, 60, (n, 2, 2, 1)), 0, 255))
    return {'x': x, 'label': rng.integers(0, toys.CLASSES, n).astype(np.int32)}


@functools.cache
def both():
    """The same images as bytes that are decoded, and as the floats that loaders make of them."""
    splits = {s: stored(n, i) for i, (s, n) in enumerate({'train': 24, 'valid': 10, 'test': 13}.items())}
    partner = schema.Rows(np.arange(24, dtype=np.int32)[::-1])
    splits['train']['partner'] = partner
    floats = {s: {**c, 'x': c['x'].astype(np.float32) / 255} for s, c in splits.items()}
    columns = {'label': schema.label(toys.CLASSES), 'partner': schema.Field('rows', derived=True)}
    return (datasets.image_dataset('bytes', splits, columns, decode=unit_interval),
            datasets.image_dataset('floats', floats, columns))


def trained_on(data):
    """(state, metrics of the last step) after a few steps, as the engine reads the data."""
    method, train = toys.make('vae'), jax.tree.map(jnp.asarray, data.splits['train'])
    state = core.init(method, jax.random.key(0), core.take(train, jnp.arange(8), data.decode),
                      toys.hp('vae'))
    step = toys.jit(core.make_step(method.phases[0], data.augment, data.decode))
    for i in range(4):
        state, last = step(state, train, (jnp.arange(8)[None] * 5 + 3 * i) % 24)
    return method, state, last


def test_bytes_are_trained_on_like_the_floats_they_stand_for():
    (_, a, last_a), (_, b, last_b) = map(trained_on, both())
    same(a.params, b.params)
    same(last_a, last_b)
    assert float(last_a['vae/rec']) > 0 and toys.moved(
        toys.make('vae').init(core.derive(jax.random.key(0), 0), None)[0], a.params)
    train, floats = (jax.tree.map(jnp.asarray, d.splits['train']) for d in both())
    read = jax.jit(functools.partial(core.take, decode=unit_interval))
    same(read(train, jnp.arange(5)), core.take(floats, jnp.arange(5)))    # partners too


@pytest.mark.slow
def test_bytes_are_validated_and_evaluated_like_floats():
    method, state, _ = trained_on(both()[1])
    params, carry = jax.tree.map(lambda x: x[None], (state.params, state.carry))
    key, out = jax.random.key(1), []
    for data in both():
        test, settings = data.splits['test'], metrics.Settings(samples=6, chunk=3, batch=5)
        f = metrics.validator(method.evals, [data.splits['valid']], batch=4, decode=data.decode)
        readable = metrics.Data([test], data.schema, data.splits['train'], data.splits['valid'],
                                decode=data.decode)
        trained = metrics.Trained(method.evals, params, carry, evaluate.keys(1))
        names = ('nll_iw', 'elbo', 'rec', 'mse', 'frechet', 'frechet_floor', 'kmmd', 'au')
        assert {'x', 'label', 'train/x', 'train/label', 'train/partner'} <= readable.names
        view = metrics.Evaluator(trained, readable, settings)
        out.append((f(params, carry, key), evaluate.evaluate(trained, readable, names, settings),
                    view.field('x'), view.codes_of(data.splits['train']), view.head(3)))
    (valid, (entries, arrays), x, codes, head), others = out
    assert set(valid) >= {'rec', 'elbo', 'au'} and len(entries[0]) == 8
    for name in ('real/x', 'decoded/x', 'sample/x', 'codes'):
        np.testing.assert_array_equal(arrays[name], others[1][1][name])
    assert arrays['real/x'].dtype == np.uint8
    np.testing.assert_array_equal(arrays['real/x'][0], both()[0].splits['test']['x'])
    assert entries == others[1][0]
    same((valid, x, codes, head), (others[0], *others[2:]))


def test_bytes_are_judged_like_floats():
    bare = [d._replace(schema={'x': d.schema['x']}, splits={
        s: {'x': c['x']} for s, c in d.splits.items()}) for d in both()]
    a, b = map(images.judge, bare)
    x = both()[1].splits['test']['x']
    assert a.name == b.name
    np.testing.assert_array_equal(a.features(x), b.features(x))


def test_decoding_may_make_the_column_that_metrics_ask_for():
    """Factors that become images: neither validation nor evaluation sees them otherwise."""
    def draw(batch):
        return {**batch, 'x': batch['factor'][:, None, None, None] / 4 + jnp.zeros((1, 2, 2, 1))}

    split = {'factor': np.arange(4, dtype=np.int32)}
    evals = {'reconstruct': lambda params, carry, batch: {'x': params['s'] * batch['x']}}
    data = metrics.Data([split], {'x': schema.image((2, 2, 1)), 'factor': schema.label(4)}, decode=draw)
    view = metrics.Evaluator(TRAINED._replace(evals=evals), data)
    assert view.data.names == {'x', 'factor'}
    mse = metrics.measure(view, ['mse'])['mse'].value
    np.testing.assert_allclose(mse, [0, (np.arange(4) ** 2 / 16).mean()], rtol=1e-6)
    assert evaluate.artefacts(view, {})['decoded/x'].shape == (2, 4, 2, 2, 1)
