"""Styles taken from content: heads and adversaries, styles of labels, and decoders of styles."""
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sacrebleu
import toys
from sklearn.linear_model import LogisticRegression

from vaebench import core, networks, schema
from vaebench.errors import UserError
from vaebench.losses import adversarial
from vaebench.methods import METHODS, style_heads, style_transfer

VOCAB, BATCH = 9, 8
WORDS = ('<pad>', '<s>', '</s>', '<unk>', *'abcde')
SCHEMA = {**schema.text(WORDS, 5), 'label': schema.label(2)}
NET = {'name': 'lstm', 'latent': 3, 'embed': 4, 'hidden': 5, 'family': 'B', 'dropout': .2}
STYLED = {k: v for k, v in toys.styled(24, VOCAB).items() if k not in ('log_p', 'target', 'reference')}


KIT = networks.build(SCHEMA, NET)


@functools.cache
def built(name, tx, options):
    """(method, its compiled `core.init`) of an entry."""
    method = toys.make(name, KIT, toys.recipe(tx=tx), **dict(options))
    return method, toys.jit(functools.partial(core.init, method))


def made(name, lr=.05, tx=optax.sgd, numbers=None, **options):
    """(method, first state, its numbers) of an entry."""
    method, init = built(name, tx, tuple(options.items()))
    hp = toys.hp(name, lr=lr, **(numbers or {}))
    return method, init(jax.random.key(0), batch(), hp), hp


def batch(rows=None):
    return core.take(STYLED, jnp.arange(BATCH) if rows is None else jnp.asarray(rows))


def player(method, name):
    return {p.name: p for p in method.phases[-1].players}[name]


STEPS = {}


def stepped(phase, state, rows=None):
    """The state after a step on those rows, and its metrics."""
    rows = jnp.arange(BATCH, dtype=jnp.int32) if rows is None else jnp.asarray(rows, jnp.int32)
    idx = jnp.broadcast_to(rows, (core.batches_per_step(phase), len(rows)))
    which = tuple(p.loss for p in phase.players)
    if which not in STEPS:
        STEPS[which] = toys.jit(core.make_step(phase))
    return STEPS[which](state, STYLED, idx)


def of(method, state, name, *inputs):
    """An eval, compiled; sentences are greedy."""
    greedy = name in ('transfer', 'decode')
    inputs = inputs + (None, 'greedy') * greedy
    f = method.evals[name]
    return toys.jit(lambda p, c, *i: f(p, c, *i, *inputs[len(i):]))(
        state.params, state.carry, *(inputs[:-2] if greedy else inputs))


# John et al.

RIVALS = 'adversary_style', 'adversary_content'


@pytest.mark.parametrize('name', RIVALS)
def test_no_gradient_of_a_discriminator_reaches_the_encoder(name):
    method, state, hp = made('john_vae', style=1)

    def loss(params):
        return player(method, name).loss(params, state.carry, batch(), toys.ctx(hp))[0]

    grads = toys.jit(jax.grad(loss))(state.params)
    moving = {k for k, g in grads.items() if any((x != 0).any() for x in jax.tree.leaves(g))}
    assert moving == {name}


@pytest.mark.slow
def test_players_move_in_turn_and_the_autoencoder_sees_new_discriminators():
    """A step is the steps of its players one after another, and each moves its own alone."""
    method, first, _ = made('john_vae', style=1)
    phase = method.phases[0]
    whole, _ = stepped(phase, first)
    state = first
    for p in phase.players:
        alone = phase._replace(players=(p,))
        after, _ = stepped(alone, state._replace(total=first.total, step=first.step))
        assert toys.moved(state.params, after.params) == set(p.trains)
        state = after
    assert [p.name for p in phase.players] == [*RIVALS, 'ae']
    toys.close(whole.params, state.params, rtol=1e-6, atol=1e-7)
    stale, _ = stepped(alone, first)
    gap = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), stale.params['enc'], whole.params['enc'])
    assert max(jax.tree.leaves(gap)) > 1e-8


def test_entropy_lies_between_0_and_log_k_and_is_largest_of_equal_logits():
    logits = 9 * jax.random.normal(jax.random.key(0), (100, 5))
    value = adversarial.entropy(logits)
    assert (value >= 0).all() and (value <= math.log(5)).all()
    np.testing.assert_allclose(adversarial.entropy(jnp.full(5, 3.)), math.log(5), rtol=1e-6)
    p = jax.nn.softmax(logits[0])
    np.testing.assert_allclose(value[0], -(p * jnp.log(p)).sum(), rtol=1e-4)


def test_bag_of_words_is_the_share_of_kept_words():
    words = style_heads.content_words(KIT, ('b', 'never seen', 7))
    assert words.tolist() == [WORDS.index(w) for w in 'ace']
    sentences = ['a a b c e e e', 'b d', 'a <unk> b']
    share, counted = style_heads.bag_of_words(words, VOCAB, KIT.codec.read(sentences))
    np.testing.assert_allclose(share, [[2 / 6, 1 / 6, 3 / 6], [0, 0, 0], [1, 0, 0]], rtol=1e-6)
    assert counted.tolist() == [1, 0, 1]
    with pytest.raises(UserError, match='exclude fewer'):
        style_heads.content_words(KIT, tuple('abcde'))


def test_a_head_that_cannot_tell_loses_log_k_and_a_masked_sentence_nothing():
    heads = style_heads.build_heads(KIT, 1, tuple(style_heads.HEADS), ('b', 'd'))
    z, two = jnp.ones((2, 3)), {**KIT.codec.read(['a c', 'b']), 'label': jnp.array([0, 1])}
    nothing = {k: jax.tree.map(jnp.zeros_like, h.net.init(jax.random.key(0))) for k, h in heads.items()}
    for name, head in heads.items():
        k = {'label': 2, 'words': 3}[style_heads.HEADS[name].target]
        share = 1. if k == 2 else .5               # the second sentence has no content
        np.testing.assert_allclose(head.loss(nothing[name], z, two), share * math.log(k), rtol=1e-6)
        np.testing.assert_allclose(head.entropy(nothing[name], z, two), share * math.log(k), rtol=1e-6)


def test_each_head_reads_its_part_alone():
    heads = style_heads.build_heads(KIT, 1, tuple(style_heads.HEADS))
    for name, head in heads.items():
        gradient = jax.grad(lambda z, h=head: h.loss(h.net.init(jax.random.key(1)), z, batch()))(
            jnp.ones((BATCH, 3)))
        read = 'style' if (gradient[:, :1] != 0).any() else 'content'
        assert read == style_heads.HEADS[name].part
        assert not gradient[:, 1:].any() if read == 'style' else not gradient[:, :1].any()


def test_a_vae_without_variance_and_rate_is_the_deterministic_autoencoder():
    point, first, hp = made('john_dae', style=1)
    free, second, more = made('john_vae', style=1, numbers={'kl_style': 0., 'kl_content': 0.})
    head = first.params['head']
    narrow = {'kernel': jnp.pad(head['kernel'], ((0, 0), (0, 3))),
              'bias': jnp.concatenate([head['bias'], jnp.full(3, -80.)])}
    params = {**first.params, 'head': narrow}
    want = toys.jit(player(point, 'ae').loss)(first.params, first.carry, batch(), toys.ctx(hp))
    got = toys.jit(player(free, 'ae').loss)(params, second.carry, batch(), toys.ctx(more))
    np.testing.assert_allclose(got[0], want[0], rtol=1e-6)
    assert float(got[1][1]['kl']) > 10


def test_styles_of_labels_are_the_means_of_a_loop():
    method, state, _ = made('john_vae', style=2)
    fold, found = method.phases[0].summary, method.phases[0].summary.init()
    rows = np.r_[np.arange(21), -1, -1, -1].reshape(3, 8)
    for part in rows:
        found = toys.jit(fold.update)(found, state.params, state.carry, batch(part))
    carry = fold.finish(found, state.params, state.carry)
    codes = of(method, state, 'style_code', batch(range(21)))
    for label in range(2):
        own = [c for c, y in zip(np.asarray(codes), STYLED['label'][:21], strict=True) if y == label]
        np.testing.assert_allclose(carry['styles'][label], np.mean(own, 0), rtol=1e-4, atol=1e-6)
    state = state._replace(carry=carry)
    z, other = of(method, state, 'encode', batch()), jnp.ones(BATCH, int)
    moved = of(method, state, 'edit', z, other)
    assert (moved[:, 2:] == z[:, 2:]).all() and (moved[:, :2] == carry['styles'][1]).all()
    toys.close(of(method, state, 'transfer', batch(), other), of(method, state, 'decode', moved))


def test_loss_is_the_formula():
    method, state, hp = made('john_vae', style=1, numbers={'warmup': 0.})
    loss, (_, aux) = toys.jit(player(method, 'ae').loss)(state.params, state.carry, batch(), toys.ctx(hp))
    want = (aux['rec'] + .03 * aux['style_kl'] + .03 * aux['content_kl'] + 10 * aux['multitask_style_loss']
            + 3 * aux['multitask_content_loss'] - aux['adversary_style_entropy']
            - .03 * aux['adversary_content_entropy'])
    np.testing.assert_allclose(loss, want, rtol=1e-5)
    np.testing.assert_allclose(aux['style_kl'] + aux['content_kl'], aux['kl'], rtol=1e-5)
    chosen = method.phases[0].select
    np.testing.assert_allclose(
        chosen.value(hp, aux), want + aux['adversary_style_entropy'] + .03 * aux['adversary_content_entropy'],
        rtol=1e-5)
    assert chosen.formula == ('rec + multitask_style multitask_style_loss + multitask_content '
                              'multitask_content_loss + kl_style style_kl + kl_content content_kl')


def test_weight_of_the_rate_reaches_its_end():
    method, state, hp = made('john_vae', style=1, numbers={'warmup': 2.})
    loss = toys.jit(player(method, 'ae').loss)
    for total, low, high in ((0, 0., .01), (10, .49, .51), (20, 1., 1.), (999, 1., 1.)):
        aux = loss(state.params, state.carry, batch(), toys.ctx(hp, total=total))[1][1]
        assert low <= float(aux['beta']) <= high


@pytest.mark.parametrize('name', [n for n in METHODS if METHODS[n].factory is style_transfer.john])
def test_rows_of_the_ablation_have_their_heads_and_numbers(name):
    method, state, hp = made(name, style=1)
    heads = METHODS[name].options.get('heads', tuple(style_heads.HEADS))
    assert set(state.params) == {'enc', 'head', 'dec', *heads}
    assert set(heads) == set(hp) & set(style_heads.HEADS)
    assert ('kl' in method.evals) == ('kl_style' in hp)


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match='style=3 and content share 3 dimensions'):
        made('john_vae', style=3)
    with pytest.raises(UserError, match="unknown head 'adversary_styl'; did you mean"):
        made('john_vae', style=1, heads=('adversary_styl',))
    bare = networks.build({k: v for k, v in SCHEMA.items() if k != 'label'}, NET)
    with pytest.raises(UserError, match="needs a column 'label'"):
        toys.make('john_vae', bare, style=1)


# A style per embedding, and per decoder

def test_style_embedding_is_the_label_s_vector_beside_what_the_sentence_gives():
    method, state, _ = made('style_embedding', style=1)
    z = of(method, state, 'encode', batch())
    assert (z[:, 0] == state.params['styles'][STYLED['label'][:BATCH], 0]).all()
    other = {**batch(), 'label': 1 - batch()['label']}
    moved = of(method, state, 'edit', z, other['label'])
    np.testing.assert_array_equal(moved, of(method, state, 'encode', other))


def test_a_decoder_learns_from_its_own_style_alone():
    method, state, _ = made('multi_decoder', tx=optax.adam)
    after, _ = stepped(method.phases[0], state, [0, 2, 4, 6])
    same = jax.tree.map(lambda a, b: (a == b).reshape(2, -1).all(1), state.params['dec'], after.params['dec'])
    assert np.all([leaf[1] for leaf in jax.tree.leaves(same)])
    assert not np.any([leaf[0] for leaf in jax.tree.leaves(same)])
    assert 'adversary_style' in toys.moved(state.params, after.params)


def test_many_decoders_are_each_the_one_of_its_label():
    method, state, _ = made('multi_decoder')
    one = KIT.decoder()
    z = of(method, state, 'encode', batch())
    got = of(method, state, 'log_lik', z, batch())
    text = of(method, state, 'transfer', batch(), batch()['label'])
    own = [jax.tree.map(lambda x, k=k: x[k], state.params['dec']) for k in range(2)]
    nats = [toys.jit(one.log_prob)(p, z, batch()) for p in own]
    words = [toys.jit(one.generate)(p, z)['tokens'] for p in own]
    for i, k in enumerate(np.asarray(batch()['label'])):
        np.testing.assert_allclose(got[i], nats[k][i], rtol=1e-5)
        assert text['tokens'][i].tolist() == words[k][i].tolist()


def test_arae_codes_have_length_1_and_their_noise_dies_away():
    method, state, hp = made('arae_multi_decoder', numbers={'decay': .5}, width=3, hidden=(6,))
    loss, carry, seen = toys.jit(player(method, 'ae').loss), state.carry, []
    for _ in range(3):
        value, (carry, _) = loss(state.params, carry, batch(), toys.ctx(hp))
        seen.append(float(value))
    assert float(carry['posterior']['share']) == .125 and len(set(seen)) == 3
    q = of(method, state, 'posterior', batch())
    np.testing.assert_allclose(jnp.linalg.norm(q['mean'], axis=-1), 1, rtol=1e-5)
    z = of(method, state, 'sample_q', q, jax.random.key(0))
    np.testing.assert_array_equal(z, q['mean'])


def test_arae_classifier_and_encoder_want_opposite_labels():
    method, state, hp = made('arae_multi_decoder', width=3, hidden=(6,))
    flat = {**state.params, 'classifier': jax.tree.map(jnp.zeros_like, state.params['classifier'])}
    flat['classifier']['layer1']['bias'] = jnp.array([0., 1.])
    ones = {**batch(), 'label': jnp.ones(BATCH, int)}
    told, lured = (toys.jit(player(method, n).loss)(flat, state.carry, ones, toys.ctx(hp))[0]
                   for n in ('classifier', 'flip'))
    np.testing.assert_allclose(told, math.log1p(math.exp(-1)), rtol=1e-5)
    np.testing.assert_allclose(lured, math.log1p(math.exp(1)), rtol=1e-5)


# Trained

STYLES = (['bad', 'awful', 'ugly', 'poor', 'bland', 'cold'], ['good', 'great', 'lovely', 'fine', 'tasty', 'warm'])
NOUNS = (['food', 'soup', 'bread', 'cake', 'tea', 'wine'], ['room', 'desk', 'door', 'roof', 'wall', 'lamp'])
FORMS = ('the {n} was {s} .', 'i think the {n} is very {s} .', 'their {m} {n} is {s} and {t} .',
         'we had a {s} {n} today .', 'this {m} {n} seems {s} to me .')
NEUTRAL = ['red', 'old', 'small', 'local', 'usual', 'new']
HELP = 'multitask_style', 'multitask_content'
FIGHT = *HELP, 'adversary_style'
FUNCTION = sorted({w for form in FORMS for w in form.split() if '{' not in w})


def sentences(n, share, seed):
    """n sentences and their labels; a noun is of its style's half with probability `share`."""
    rng, out = np.random.default_rng(seed), []
    labels = rng.integers(0, 2, n)
    for y in labels:
        half = y if rng.random() < share else 1 - y
        words = {'n': rng.choice(NOUNS[half]), 'm': rng.choice(NEUTRAL)}
        out.append(rng.choice(FORMS).format(s=rng.choice(STYLES[y]), t=rng.choice(STYLES[y]), **words))
    return out, labels


VOCABULARY = ('<pad>', '<s>', '</s>', '<unk>', *sorted({*FUNCTION, *NEUTRAL, *sum(STYLES, []), *sum(NOUNS, [])}))


@functools.cache
def trained(heads, steps=2000):
    """(kit, method, state, training batch, test batch) of a VAE with these heads on the grammar."""
    small = networks.build({**schema.text(VOCABULARY, 9), 'label': schema.label(2)}, {
        **NET, 'latent': 24, 'embed': 32, 'hidden': 64})
    recipe = core.Recipe(steps, 63, 4000, lambda hp: optax.chain(
        optax.clip_by_global_norm(5.), optax.adam(hp['lr'])))
    method = METHODS['john_vae'].factory(small, recipe, style=4, heads=heads,
                                         exclude=(*FUNCTION, *sum(STYLES, [])))
    hp = toys.hp('john_vae', lr=3e-3, adversary_style=10., critic_lr=3e-3, warmup=5.)
    pools = [{**small.codec.read(text), 'label': jnp.asarray(y, jnp.int32)}
             for text, y in (sentences(4000, .8, 1), sentences(500, .8, 2))]
    state = core.init(method, jax.random.key(0), core.take(pools[0], jnp.arange(64)), hp)
    idx = np.random.default_rng(0).integers(0, 4000, (steps, 1, 64))
    state, _ = jax.jit(core.make_block(method.phases[0]))(state, pools[0], jnp.asarray(idx, jnp.int32),
                                                          jnp.int32(steps))
    fold = method.phases[0].summary
    found = fold.update(fold.init(), state.params, state.carry, pools[0])
    return small, method, state._replace(carry=fold.finish(found, state.params, state.carry)), *pools


def probe(method, state, part, train, test):
    """Accuracy of a logistic regression of the label on a part of the code."""
    x, y = (np.asarray(method.evals[part](state.params, state.carry, pool)) for pool in (train, test))
    fitted = LogisticRegression(max_iter=2000).fit(x, np.asarray(train['label']))
    return fitted.score(y, np.asarray(test['label']))


@pytest.mark.slow
def test_an_adversary_takes_the_style_out_of_the_content():
    helped, fought = trained(HELP)[1:], trained(FIGHT)[1:]
    assert probe(*fought[:2], 'style_code', *fought[2:]) >= .95
    with_, without = (probe(*run[:2], 'content_code', *run[2:]) for run in (fought, helped))
    assert with_ <= without - .1, (with_, without)


@pytest.mark.slow
def test_transfer_flips_style_words_and_the_own_style_keeps_more():
    small, method, state, _, test = trained(FIGHT)
    source, text = small.codec.write(test), {}
    for name, label in (('own', test['label']), ('other', 1 - test['label'])):
        text[name] = small.codec.write(jax.jit(method.evals['transfer'], static_argnums=5)(
            state.params, state.carry, test, label, jax.random.key(0), 'greedy'))
    bleu = {k: sacrebleu.corpus_bleu(v, [source], tokenize='none').score for k, v in text.items()}
    assert bleu['own'] > bleu['other'] + 5, bleu
    flipped = [bool({*new.split()} & {*STYLES[1 - y]}) and not {*new.split()} & {*STYLES[y]}
               for new, y in zip(text['other'], np.asarray(test['label']), strict=True)]
    assert np.mean(flipped) > .95
