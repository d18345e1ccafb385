"""The smallest kit, data and protocol that methods run on, in whatever precision is switched
on.
"""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vaebench import core, datasets, metrics, schema
from vaebench.methods import METHODS
from vaebench.networks import common

SIDE, HIDDEN, CLASSES = 2, 5, 3
PIXELS = SIDE * SIDE
SCHEMA = {'x': schema.image((SIDE, SIDE, 1)), 'label': schema.label(CLASSES),
          'factors': schema.Field('factors', (2,))}

jit = functools.partial(jax.jit, compiler_options={'xla_backend_optimization_level': 0})
"""`jax.jit` for programs that run a few times: half the compilation, which is the tests'
cost."""


def linear(n_in, n_out, bias=True, scale=.7):
    """x W + b as a `Net`, W ~ N(0, scale^2)."""
    def init(key):
        w = scale * jax.random.normal(key, (n_in, n_out))
        return {'w': w, 'b': jnp.zeros(n_out)} if bias else {'w': w}

    return core.Net(init, lambda params, x, key=None: x @ params['w'] + params.get('b', 0.))


def mlp(sizes, activation='relu'):
    """Linear layers with tanh between them."""
    layers = [linear(*pair) for pair in zip(sizes[:-1], sizes[1:], strict=True)]

    def apply(params, x, key=None):
        for layer, p in zip(layers[:-1], params[:-1], strict=True):
            x = jnp.tanh(layer.apply(p, x))
        return layers[-1].apply(params[-1], x)

    return core.Net(
        lambda key:
        [f.init(k) for f, k in zip(layers, jax.random.split(key, len(layers)), strict=True)],
        apply)


def flat(x):
    return x.reshape(len(x), -1)


def kit(latent=3):
    """A `Kit` of pure functions for images [B, 2, 2, 1] with a Bernoulli decoder."""
    def encoder(init=None):
        net = linear(PIXELS, HIDDEN)
        return core.Net(net.init, lambda params, batch, key=None: core.Features(
            jnp.tanh(net.apply(params, flat(batch['x'])))))

    def decoder(latent=latent):
        net = linear(latent, PIXELS)

        def log_prob(params, z, batch, key=None):
            x = flat(batch['x'])
            logits = net.apply(params, jnp.zeros((len(x), 0)) if z is None else z)
            return (x * logits - jax.nn.softplus(logits)).sum(-1)

        def generate(params, z, key, mode):
            return {'x': jax.nn.sigmoid(net.apply(params, z)).reshape(-1, SIDE, SIDE, 1)}

        return core.Decoder(net.init, log_prob, generate)

    def gen(latent=latent, norm=False):
        net = linear(latent, PIXELS)

        def apply(params, stats, z, weight=None, train=False):
            return jax.nn.sigmoid(net.apply(params, z)).reshape(-1, SIDE, SIDE, 1), stats

        return core.StatNet(lambda key: (net.init(key), {}), apply)

    def critic(n_out=None, norm=False):
        net = linear(PIXELS, n_out or 1)

        def apply(params, x, weight=None, key=None):
            out = net.apply(params, flat(x))
            return out[:, 0] if n_out is None else out

        return core.Net(net.init, apply)

    def head(n_out, init=None, bias=None):
        return linear(HIDDEN, n_out, bias is not False)

    def corrupt(key, batch, rate):
        return {
            **batch, 'x': batch['x'] * jax.random.bernoulli(key, 1 - rate, batch['x'].shape)
        }

    def pseudo(params, batch, key, k):
        return {'x': batch['x'][jnp.arange(k) % len(batch['x'])]}

    nets = {
        'encoder': encoder, 'head': head, 'decoder': decoder, 'mlp': mlp, 'gen': gen,
        'critic': critic, 'corrupt': corrupt, 'pseudo': pseudo, **common.contexts(SCHEMA)
    }
    return core.Kit(latent, HIDDEN, SCHEMA, nets)


def without(kit, *names):
    """The kit without these networks and columns."""
    keep = lambda given: {k: v for k, v in given.items() if k not in names}
    return dataclasses.replace(kit, nets=keep(kit.nets), schema=keep(kit.schema))


def images(n, side=SIDE, seed=0):
    """{'x': [n, side, side, 1]} of bits that depend on one hidden bit."""
    rng = np.random.default_rng(seed)
    rate = np.where(rng.random((n, 1)) < .5, .1, .9) * np.ones(side * side)
    x = (rng.random((n, side * side)) < rate).reshape(n, side, side, 1).astype(np.float32)
    return {'x': jnp.asarray(x)}


def labelled(n, side=SIDE, seed=0):
    """`images` with 'label' [n] below CLASSES, 'factors' [n, 2] and 'partner' [n] among the
    first CLASSES rows."""
    rows = jnp.arange(n, dtype=jnp.int32) % CLASSES
    factors = jnp.stack([rows, jnp.arange(n, dtype=jnp.int32) % 4], 1)
    return {**images(n, side, seed), 'label': rows, 'factors': factors,
            'partner': schema.Rows(rows)}


def sentences(n, vocab=9, width=7, seed=0):
    """{'tokens': [n, width], 'length': [n], 'log_p': [n]} of random words."""
    rng = np.random.default_rng(seed)
    length = rng.integers(2, width - 1, n)
    tokens = np.zeros((n, width), np.int32)
    for row, t in zip(tokens, length, strict=True):
        row[0], row[1:t], row[t] = 1, rng.integers(3, vocab, t - 1), 2
    return {'tokens': jnp.asarray(tokens), 'length': jnp.asarray(length, jnp.int32),
            'log_p': jnp.asarray(-rng.random(n), jnp.float32)}


POINTS = 4
PARTICLES = {
    'x': {'position': schema.vectors(POINTS), 'velocity': schema.vectors(POINTS),
          'charge': schema.Field('real', (POINTS,))},
    'target': {'position': schema.vectors(POINTS), 'velocity': schema.vectors(POINTS)}}


def particles(n, points=POINTS, seed=0):
    """Random columns of `PARTICLES`."""
    rng = np.random.default_rng(seed)
    vectors = lambda: jnp.asarray(rng.normal(size=(n, points, 3)), jnp.result_type(float))
    charge = jnp.asarray(rng.choice([-1., 1.], (n, points)), jnp.result_type(float))
    return {'x': {'position': vectors(), 'velocity': vectors(), 'charge': charge},
            'target': {'position': vectors(), 'velocity': vectors()}}


STYLES = 2


def styled(n, vocab=9, width=7, seed=0, references=2):
    """`sentences` with 'label' [n] of `STYLES`, 'target', the next row, which is of the other style,
    and 'reference', as many sentences to compare with: tokens [n, R, width], length [n, R]."""
    rows = jnp.arange(n, dtype=jnp.int32)
    more = [sentences(n, vocab, width, seed + 1 + r) for r in range(references)]
    reference = {k: jnp.stack([m[k] for m in more], 1) for k in ('tokens', 'length')}
    return {**sentences(n, vocab, width, seed), 'label': rows % STYLES,
            'target': schema.Rows(rows ^ 1), 'reference': reference}


TOPICS, TURNS = 3, 2


def talks(n, vocab=9, width=7, seed=0):
    """Contexts of `sentences`: 'context' of one or two turns, random tokens behind the last, and 'topic'."""
    rng, rows = np.random.default_rng([seed, 1]), jnp.arange(n, dtype=jnp.int32)
    said = [sentences(n, vocab, width, seed + 10 + u) for u in range(TURNS)]
    told = {k: jnp.stack([s[k] for s in said], 1) for k in ('tokens', 'length')}
    speaker = jnp.asarray(rng.integers(0, 2, (n, TURNS)), jnp.int32)
    return {'context': {**told, 'speaker': speaker, 'turns': 1 + rows % TURNS}, 'topic': rows % TOPICS}


def recipe(steps=20, epoch=10, clip=5., tx=optax.sgd):
    """A `Recipe` with clipping and hp['lr']."""
    return core.Recipe(steps, epoch, 24, lambda hp: optax.chain(optax.clip_by_global_norm(clip),
                                                          tx(hp['lr'] * hp['lr_scale'])))


def hp(name, lr=.1, **numbers):
    """The traced numbers of a registry entry."""
    entry = METHODS[name].hp
    assert set(numbers) <= set(entry), f'{name} has no {set(numbers) - set(entry)}'
    return {
        k: jnp.asarray(v, jnp.float32)
        for k, v in {**entry, 'lr': lr, 'lr_scale': 1., **numbers}.items()
    }


def make(name, kit=None, recipe=None, **options):
    """The method of a registry entry."""
    entry = METHODS[name]
    return entry.factory(kit or toy_kit(), recipe or toy_recipe(),
                         **{**entry.options, **options})


def ctx(hp, key=0, step_key=1, total=0, step=0, inner=0):
    """A `StepInfo`."""
    return core.StepInfo(jax.random.key(key), jax.random.key(step_key), jnp.int32(step),
                         jnp.int32(total), jnp.int32(inner), hp)


def all_of(data):
    """The entire data as one batch."""
    return {
        **core.take(data, jnp.arange(n := schema.count(data))), 'weight': jnp.ones(
            n, jnp.result_type(float))
    }


def moved(before, after):
    """Keys whose parameters are not bit-identical."""
    same = jax.tree.map(lambda a, b: bool((a == b).all()), before, after)
    return {k for k in before if not all(jax.tree.leaves(same[k]))}


def close(a, b, **tolerance):
    """Trees are equal to `np.testing.assert_allclose`."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


toy_kit, toy_recipe = kit, recipe


def columns(data, vocab=None):
    """The schema of arrays as they look: images are [N, H, W, C], points [N, D]."""
    found = {}
    for name, value in data.items():
        shape = () if isinstance(value, dict) else np.shape(value)[1:]
        if name == 'tokens':
            words = tuple(vocab or map(str, range(int(np.max(value)) + 1)))
            found['tokens'] = schema.Field('tokens', (None,), len(words), words)
        elif isinstance(value, dict):
            found[name] = columns(value)
        elif name == 'x':
            found['x'] = {3: schema.image, 1: lambda s: schema.vector(*s)}.get(
                len(shape), lambda s: schema.Field('real', s))(shape)
        elif name == 'label':
            found['label'] = schema.label(int(np.max(value)) + 1)
        elif name == 'length':
            found['length'] = schema.Field('length', (), int(np.max(value)))
        else:
            found[name] = schema.Field('real', shape)
    return found


NOUNS = {3: ('image', 'pixel'), 1: ('point', 'coordinate')}


def readable(buckets, *, vocab=None, space=None, train=None, valid=None, truth=None, **more):
    """A `metrics.Data` of arrays, with nouns as their datasets have them.

    Args:
      buckets: of the evaluated split.
      vocab: words; with or without a training text they make a language judge.
      space: () -> `metrics.Judge` of samples.
      train, valid, truth, **more: as for `metrics.Data`.
    """
    from vaebench import judges
    found = columns(buckets[0], vocab)
    nouns = ('sentence', 'token') if {'tokens', 'length'} & set(found) else NOUNS.get(
        np.ndim(buckets[0].get('x', ())) - 1, ('example', 'value'))
    made, text = {} if space is None else {'space': space}, train
    if 'tokens' in found and vocab and not train:     # a judge that has read nothing
        text = {'tokens': np.zeros((1, 2), np.int32), 'length': np.ones(1, np.int32)}
    if 'tokens' in found and 'tokens' in (text or ()):
        made |= judges.of(datasets.Dataset('toy', {'train': text}, found, None))
    return metrics.Data(buckets, found, train, valid, truth or {}, *nouns, judges=made, **more)


def evaluator(evals, params, carry, buckets, key, settings=None, programs=None, **more):
    """A `metrics.Evaluator` of evals and arrays; `more` is for it, its `metrics.Trained` and
    `readable`.
    """
    run = {k: more.pop(k) for k in ('tick', 'partial') if k in more}
    trained = metrics.Trained(evals, params, carry, key, programs, more.pop('given', ()))
    return metrics.Evaluator(trained, readable(buckets, **more), settings, **run)
