"""What kits offer is what they have, and what methods need is all that they ask for."""
import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import pytest
import toys
from test_contract import BATCH, EVERY, IMAGE, KITS, OPTIONS, STEPS, TEXT

from vaebench import core, networks, schema
from vaebench.errors import UserError
from vaebench.methods import METHODS
from vaebench.methods.build import build, check

BUILT = {
    'lstm': (TEXT, KITS['lstm'][1]),
    'mlp': (IMAGE, KITS['mlp'][1]),
    'conv': (IMAGE, {'name': 'conv', 'latent': 2, 'channels': (2,), 'hidden': 3}),
    **{name: (toys.PARTICLES, {'name': name, 'hidden': 4}) for name in (
        'linear', 'deepset', 'set_transformer', 'egnn', 'tfn', 'se3')},
    **{name: ({**IMAGE, 'x': schema.image((4, 4, 1))},
              {'name': name, 'latent': latent, 'codes': 'regular', 'channels': (4, 4), 'kernel': (3, 2),
               'pools': (), 'hidden': 4, 'up': (4,)}) for name, latent in (('z2', 2), ('p4', 4), ('p4m', 8))},
}
READ = {'x', 'tokens', 'length'}                     # columns among what kits offer
# no maker, no option
BEHAVIOUR = {'decoder.unconditional', 'decoder.steps', 'decoder.unroll', 'encoder.states'}


def offered(name, part):
    """What the kit offers of one of its networks: 'decoder.skip' of 'decoder' is 'skip'."""
    return {o.removeprefix(f'{part}.') for o in networks.KITS[name].offers if o.startswith(f'{part}.')}


def batch(name):
    """A few labelled rows of what the kit reads, and their partners."""
    if BUILT[name][0] is toys.PARTICLES:
        return toys.particles(4)
    rows = toys.labelled(4, BUILT[name][0]['x'].shape[0] if name != 'lstm' else 3)
    if name == 'lstm':
        rows = {**toys.styled(4, 9), **toys.talks(4, 9), **{k: rows[k] for k in ('factors', 'partner')}}
    return rows


def traced(f, *args):
    """Whether f can be traced."""
    try:
        jax.eval_shape(f, *args)
    except Exception:                  # whatever a network that cannot do it says
        return False
    return True


@pytest.mark.parametrize('name', networks.KITS)
def test_a_kit_offers_what_it_has(name):
    kit, offers = networks.build(*BUILT[name]), networks.KITS[name].offers
    assert len(set(offers)) == len(offers)
    assert set(kit.nets) == {o for o in offers if '.' not in o} - READ
    assert READ & set(offers) == {c for c in READ & set(kit.schema) if isinstance(kit.schema[c], schema.Field)}
    for column in READ & set(offers) - {'x'}:
        assert kit.size(column) == kit.schema[column].size
    told = 'label', 'topic', 'context'
    untold = networks.build({k: v for k, v in BUILT[name][0].items() if k not in told}, BUILT[name][1])
    assert not {'context', 'label_context'} & set(untold.nets)
    for other in {'encoder', 'sequence', 'gen', 'critic', 'anything'} - set(kit.nets):
        with pytest.raises(UserError, match=f"needs a network '{other}', which the kit has not"):
            getattr(kit, other)


@pytest.mark.parametrize('name', [name for name, kit in networks.KITS.items() if 'decoder' in kit.offers])
def test_a_kit_offers_what_its_networks_can(name):
    kit, key, latent = networks.build(*BUILT[name]), jax.random.key(0), BUILT[name][1]['latent']
    z = jnp.zeros((4, latent))
    options = set(inspect.signature(kit.nets['decoder']).parameters) - {'latent'}
    assert options == offered(name, 'decoder') - {o.split('.')[1] for o in BEHAVIOUR}

    def without_code():
        dec = kit.decoder(latent=0)
        return dec.log_prob(dec.init(key), None, batch(name))

    def code_per_step():
        dec = kit.decoder()
        return dec.log_prob(dec.init(key), jnp.zeros((4, 7, latent)), batch(name))

    def unrolled():
        dec = kit.decoder()
        params = dec.init(key)
        return dec.forced(params, z, batch(name)), dec.unroll(params, z, 3, key, 1.)

    can = {'unconditional': without_code, 'steps': code_per_step, 'unroll': unrolled}
    assert {k for k, f in can.items() if traced(f)} == offered(name, 'decoder') & set(can)
    enc, dec = kit.encoder(), kit.decoder()
    seen = jax.eval_shape(lambda: enc.apply(enc.init(key), batch(name)))
    assert (seen.states is not None) == ('states' in offered(name, 'encoder'))
    assert seen.last.shape == (4, kit.features) and kit.latent == latent
    assert jax.eval_shape(lambda: dec.log_prob(dec.init(key), z, batch(name))).shape == (4,)
    told = kit.label_context()
    assert told.apply(told.init(key), batch(name)).tolist() == jax.nn.one_hot(
        batch(name)['label'], kit.size('label')).tolist()


def test_other_data_is_refused_by_name():
    mlp = BUILT['mlp'][1]
    with pytest.raises(UserError, match="kit.name='mlp' reads columns of kind image or vector, which the data "
                                        'has not: it has tokens, length, log_p, label, factors, target, '
                                        'reference, context, topic; choose one of lstm'):
        networks.build(TEXT, mlp)
    with pytest.raises(UserError, match="kit.name='conv' reads .* it has x; choose one of mlp"):
        networks.build({'x': schema.vector(2)}, BUILT['conv'][1])
    with pytest.raises(UserError, match="unknown kit 'mlpp'; did you mean 'mlp'"):
        networks.build(IMAGE, {**mlp, 'name': 'mlpp'})
    with pytest.raises(UserError, match='davam needs decoder.attention, encoder.states, length, '
                                        'sequence, which kit.name=conv has not .lstm has'):
        check({'method': 'davam', 'kit': {'name': 'conv'}})
    with pytest.raises(UserError, match='gan needs critic, gen, which kit.name=lstm has not '
                                        '.mlp, conv, z2, p4, p4m has'):
        check({'method': 'gan', 'kit': {'name': 'lstm'}})
    with pytest.raises(UserError, match="needs a column 'label', which the data has not: it has x;"):
        build({'method': 'classifier', 'kit': mlp, 'options': {}}, {'x': IMAGE['x']}, toys.recipe())


# What methods ask for

class Asked(dict):
    """A schema that notes the columns it is asked for."""

    def __init__(self, columns, seen):
        super().__init__(columns)
        self.seen = seen

    def get(self, name):
        self.seen.add(name)
        return super().get(name)


class Seen(core.Features):
    """Features that note whether their states are read."""
    __slots__ = ()
    note = None

    @property
    def states(self):
        type(self).note.add('encoder.states')
        return self[1]


def spying(kit, asked):
    """The kit, and a set of the networks, options, sizes and features that are asked of it."""
    class Noted(Seen):
        __slots__ = ()
        note = asked

    def spied(name, make):
        def call(*args, **options):
            asked.add(name)
            if name == 'decoder':
                asked.update(f'decoder.{o}' for o in options if o != 'latent')
                asked.update({'decoder.unconditional'} if options.get('latent') == 0 else ())
            made = make(*args, **options)
            if name == 'encoder':
                return made._replace(apply=lambda *a, **k: Noted(*made.apply(*a, **k)))
            if name == 'decoder':
                return made._replace(log_prob=functools.partial(log_prob, made),
                                     forced=noted(made.forced), unroll=noted(made.unroll))
            return made

        return call

    def noted(f):
        def call(*args):
            asked.add('decoder.unroll')
            return f(*args)

        return f and call

    def log_prob(made, params, z, batch, key=None):
        per_step = getattr(z, 'ndim', 2) == 3
        asked.update({'decoder.steps'} if per_step else ())
        return made.log_prob(params, z, batch, key)

    nets = {name: spied(name, make) for name, make in kit.nets.items()}
    return dataclasses.replace(kit, nets=nets, schema=Asked(kit.schema, asked))


# entries that could ask for other things
APART = list({(e.factory, e.needs, tuple(e.options.items())): n
              for n, e in METHODS.items() if not n.startswith('f_gan_')}.values())


@pytest.mark.parametrize('name', [*APART, 'f_gan_kl'])
def test_a_method_asks_for_what_it_needs_and_no_more(name):
    """On every kit that fits: what is undeclared, columns too, another kit's data would lack."""
    entry, known = METHODS[name], {o for kit in networks.KITS.values() for o in kit.offers}
    assert set(entry.needs) <= known
    fit = [k for k in EVERY if set(entry.needs) <= set(networks.KITS[k].offers)]
    fit = [k for k in fit if k in KITS] or fit
    for kit in fit if name != 'source' else ['lstm']:    # the one method of a corpus, not of a kit
        asked, stock = set(), batch(kit)
        method = entry.factory(spying(networks.build(*BUILT[kit]), asked), toys.recipe(STEPS),
                               **{**entry.options, **OPTIONS.get(name, {})})
        jax.eval_shape(functools.partial(traced_training, method, name, stock))
        assert asked & known <= set(entry.needs)
        # what is read of a batch is not asked
        assert set(entry.needs) - {'x', 'tokens'} <= asked
    assert fit


def traced_training(method, name, stock):
    """Parameters after the first step of every phase."""
    first = core.take(stock, jnp.arange(BATCH))
    state = core.init(method, jax.random.key(0), first, toys.hp(name))
    for i, phase in enumerate(method.phases):
        state = core.enter(phase, state, first) if i else state
        idx = jnp.zeros((core.batches_per_step(phase), BATCH), jnp.int32)
        state, _ = core.make_step(phase)(state, stock, idx)
    return state.params
