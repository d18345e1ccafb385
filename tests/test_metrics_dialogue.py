"""Metrics of responses to a context: loops over what they compare, published conventions, and
responders whose numbers are known.
"""
import itertools
from collections import Counter, defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import toys
from sacrebleu.metrics.bleu import BLEU
from test_judges_text import framed
from test_metrics import quick as quick  # the fixture

from vaebench.experiment import columns as groups
from vaebench.metrics import METRICS, Estimator, Judge, Settings, defined, dialogue, measure
from vaebench.metrics import sentence_pairs as pairs
from vaebench.metrics.qualitative import listings, render
from vaebench.metrics.responses import HIDDEN, SAMPLES, responses, wanted
from vaebench.metrics.sentences import ended

KEY = jax.random.key(3)
VOCAB = ('<pad>', '<s>', '</s>', '<unk>', *'abcdefghijklmnop')
# what may be said of each topic, which the last word of the context names
SETS = [[[6, 7, 8, 9]], [[7, 7, 10], [11]], [[6, 12, 13], [14, 15], [15, 14, 6, 6, 6]],
        [[16], [17, 16], [18, 17, 16], [19, 18, 17, 16], [19], [19, 16], [16, 19]]]
WIDTH, SPLIT = 9, 24
EXACT = {'exact': True}
ALL = [*dialogue.METRICS]
SAMPLED = [name for name in ALL if not name.endswith('_greedy')]
PROGRAMS = defaultdict(dict)                         # compiled once for a responder


def data(n=SPLIT, seed=0, most=7):
    """Contexts of one to three turns, responses, and all that are valid, repeated in turn."""
    rng = np.random.default_rng(seed)
    topic, turns = rng.integers(0, len(SETS), n), rng.integers(1, 4, n)
    said = framed([SETS[k][rng.integers(len(SETS[k]))] for k in topic], WIDTH)
    context = {'tokens': np.zeros((n, 4, 5), np.int32), 'length': np.zeros((n, 4), np.int32),
               'speaker': np.zeros((n, 4), np.int32), 'turns': turns.astype(np.int32)}
    for i, (k, m) in enumerate(zip(topic, turns, strict=True)):
        for u in range(m):
            context['tokens'][i, u, :4] = [1, 5, 6 + k, 2]
            context['length'][i, u], context['speaker'][i, u] = 3, (m - u) % 2 == 0
    valid = framed([SETS[k][r % len(SETS[k])] for k in topic for r in range(most)], WIDTH)
    reference = {k: v.reshape(n, most, *v.shape[1:]) for k, v in valid.items()}
    return said | {'context': context, 'reference': reference,
                   'label': (topic % 2).astype(np.int32)}


def table(sets=SETS):
    """The sets as parameters of a responder."""
    most = max(map(len, sets))
    packed = framed([s[r % len(s)] for s in sets for r in range(most)], WIDTH)
    shaped = {k: v.reshape(len(sets), most, *v.shape[1:]) for k, v in packed.items()}
    return shaped | {'count': np.array([len(s) for s in sets])}


def _topic(batch):
    context = batch['context']
    rows = jnp.arange(len(context['turns']))
    return context['tokens'][rows, context['turns'] - 1, 2] - 6


def chosen(params, topic, row):
    return {k: params[k][topic, row] for k in ('tokens', 'length')}


def uniform(params, carry, batch, key, mode):
    """One of the valid responses, each as likely; the first where greedy."""
    topic = _topic(batch)
    row = jax.random.randint(key, topic.shape, 0, params['count'][topic])
    return chosen(params, topic, row if mode == 'sample' else 0 * row)


def stock(params, carry, batch, key, mode):
    return chosen(params, _topic(batch), 0)


def cheat(params, carry, batch, key, mode):
    return {k: batch[k] for k in ('tokens', 'length')}


def noise(params, carry, batch, key, mode):
    """Four random words."""
    words = jax.random.randint(key, (len(batch['weight']), 4), 5, len(VOCAB))
    tokens = jnp.pad(words, ((0, 0), (1, WIDTH - 5)), constant_values=1)
    tokens = tokens.at[:, 5].set(2).at[:, 6:].set(0)
    return {'tokens': tokens, 'length': jnp.full(len(words), 5)}


def silent(params, carry, batch, key, mode):
    out = chosen(params, _topic(batch), 0)
    return {'tokens': jnp.zeros_like(out['tokens']).at[:, 0].set(1).at[:, 1].set(2),
            'length': jnp.ones_like(out['length'])}


VECTORS = np.random.default_rng(5).normal(size=(len(VOCAB), 6))
VECTORS[[0, 1, 2, 3, 11]] = 0                        # 'h' has none


def act_judge():
    """Says act 1 where there is the word 'c', else 0."""
    return Judge(Estimator('a judge', 'judge-0'), functions={'log_probs': lambda tokens, length: (
        np.log(np.where((tokens == 6).any(1)[:, None], [.1, .9], [.9, .1])))})


def view_of(respond, columns=None, seeds=1, truth=EXACT, buckets=None, key=KEY, batch=SPLIT, **more):
    params = jax.tree.map(lambda x: np.stack([x] * seeds), table())
    evals = {'respond': respond, **more.pop('evals', {})}
    programs = PROGRAMS[respond] if len(evals) == 1 else None
    view = toys.evaluator(evals, params, {}, buckets or [columns or data()], key,
                          Settings(batch=batch), programs, vocab=VOCAB, truth=truth,
                          **more)
    words = Judge(Estimator('vectors', 'vectors'), functions={'vectors': lambda: VECTORS})
    made = {**view.data.judges, 'style': act_judge, 'words': lambda: words}
    view.data = view.data._replace(judges=made)
    return view


def said(view, mode='sample'):
    """Lists of ids [G][C][N]."""
    return [[[row[row >= 0].tolist() for row in own] for own in seed]
            for seed in ended(*responses(view, mode))]


def meant(columns):
    """The different references of every context."""
    words = ended(columns['reference']['tokens'], columns['reference']['length'])
    return [list(dict.fromkeys(tuple(r[r >= 0].tolist()) for r in rows)) for rows in words]


# Likeness of two sentences.

def plain_bleu(hypothesis, reference, order):
    """Sentence BLEU as the papers' formula has it."""
    precisions = []
    for n in range(1, min(order, len(hypothesis)) + 1):
        grams = [Counter(zip(*(s[i:] for i in range(n)), strict=False))
                 for s in (hypothesis, reference)]
        matches = (grams[0] & grams[1]).total()
        if n == 1 and not matches:
            return 0.
        precisions.append((matches or .1) / grams[0].total())
    if not precisions:
        return 0.
    short = min(1., np.exp(1 - len(reference) / len(hypothesis)))
    return short * np.prod(precisions)**(1 / len(precisions))


def some_sentences(n, seed, least=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(4, 8, rng.integers(least, 9)).tolist() for _ in range(n)]


def bleu_of(a, b, longest=4):
    return pairs.sentence_bleu(*(ended(**framed(s)) for s in (a, b)), longest)


def test_bleu_against_a_loop_and_sacrebleu():
    a, b = some_sentences(30, 1), some_sentences(20, 2, 1)
    out = bleu_of(a, b)
    assert out.shape == (4, 30, 20)
    for order in range(1, 5):
        want = [[plain_bleu(x, y, order) for y in b] for x in a]
        np.testing.assert_allclose(out[order - 1], want, rtol=1e-12)
        theirs = BLEU(tokenize='none', smooth_method='floor', smooth_value=.1,
                      max_ngram_order=order, effective_order=True)
        text = lambda s: ' '.join(map(str, s))
        want = [[theirs.sentence_score(text(x), [text(y)]).score / 100 for y in b[:5]]
                for x in a if x]
        np.testing.assert_allclose(out[order - 1, [bool(x) for x in a], :5], want, rtol=1e-9)
    assert (out >= 0).all() and (out <= 1).all()


def test_bleu_of_a_sentence_with_itself_is_one_however_short():
    every = [[4], [4, 5], [4, 4, 4], [5, 4, 6, 4, 5]]
    out = bleu_of(every, every)
    np.testing.assert_allclose(out[:, range(4), range(4)], 1, rtol=1e-15)
    assert (bleu_of([[]], every) == 0).all() and (bleu_of([[9, 9]], every) == 0).all()
    # by hand: two of three words, one of two pairs, no three in a row; as long
    third = bleu_of([[4, 5, 6]], [[4, 5, 9]])[:, 0, 0]
    np.testing.assert_allclose(third[:3], [2 / 3, (2 / 3 / 2)**.5, (2 / 3 / 2 * .1)**(1 / 3)])
    assert third[3] == third[2]                              # it has no four words


def test_bleu_of_many_contexts_is_that_of_each():
    a, b = some_sentences(12, 3), some_sentences(9, 4)
    a, b = (ended(**framed(s)) for s in (a, b))
    out = pairs.sentence_bleu(a.reshape(3, 4, -1), b.reshape(3, 3, -1))
    each = [pairs.sentence_bleu(x, y) for x, y in zip(
        a.reshape(3, 4, -1), b.reshape(3, 3, -1), strict=True)]
    np.testing.assert_array_equal(out, np.stack(each, 1))


def test_precision_and_recall_against_loops():
    rng = np.random.default_rng(0)
    x, counted = rng.random((5, 10, 4)), rng.random((5, 4)) < .7
    counted[0] = False
    precision, recall = pairs.precision_and_recall(x, counted)
    assert np.isnan(precision[0]) and np.isnan(recall[0])
    for i in range(1, 5):
        there = np.flatnonzero(counted[i])
        best = [max(x[i, h, r] for r in there) for h in range(10)]
        np.testing.assert_allclose(precision[i], np.mean(best))
        np.testing.assert_allclose(recall[i], np.mean([max(x[i, :, r]) for r in there]))
    one = np.ones((5, 1), bool)
    precision, recall = pairs.precision_and_recall(x[..., :1], one)
    np.testing.assert_allclose(precision, x[..., 0].mean(1))     # one reference: mean and best
    np.testing.assert_array_equal(recall, x[..., 0].max(1))
    # more samples cover no less, and their order tells nothing
    grows = [pairs.precision_and_recall(x[:, :k], counted)[1][1:] for k in range(1, 11)]
    assert all((a <= b).all() for a, b in itertools.pairwise(grows))
    mixed = pairs.precision_and_recall(x[:, rng.permutation(10)], counted)
    np.testing.assert_allclose(mixed[0][1:], pairs.precision_and_recall(x, counted)[0][1:])


def test_bags_of_words_by_hand():
    vectors = np.array([[0., 0., 0.], [1., -5., 2.], [3., 4., -2.], [-4., 0., 1.]])
    means, extremes = pairs.bags([[1, 2], [3, 1, 1], [0, 2], [0], []], vectors)
    np.testing.assert_allclose(means[:3], [[2, -.5, 0], [-2 / 3, -10 / 3, 5 / 3], [3, 4, -2]])
    # largest magnitude, its sign kept; of 2 and -2 the positive one; never the plain largest
    assert extremes[:3].tolist() == [[3, -5, 2], [-4, -5, 2], [3, 4, -2]]
    assert np.isnan(means[3:]).all() and np.isnan(extremes[3:]).all()


# Responders that are known.

def test_what_is_valid_and_how_much_of_it_is_said():
    columns, out = data(), measure(view_of(uniform, seeds=2), ALL)
    assert (out['valid_precision'].value == 100).all()
    np.testing.assert_allclose(out['bleu_4_precision'].value, 100, rtol=1e-12)
    found, sets = said(view_of(uniform)), meant(columns)
    hit = [len({*map(tuple, own)} & {*valid}) / len(valid)
           for own, valid in zip(found[0], sets, strict=True)]
    np.testing.assert_allclose(out['valid_recall'].value, 100 * np.mean(hit), rtol=1e-12)
    chance = np.mean([1 - (1 - 1 / len(s))**SAMPLES for s in sets])
    assert 50 < 100 * np.mean(hit) < 100 and abs(np.mean(hit) - chance) < .05
    assert f'uniform draws of them have {100 * chance:.3g}' in out['valid_recall'].estimator
    assert out['bleu_4_recall'].value[0] >= out['valid_recall'].value[0]
    # greedy: one and the same
    one = 100 * np.mean([1 / len(s) for s in sets])
    np.testing.assert_allclose(out['valid_recall_greedy'].value, one, rtol=1e-12)
    again = measure(view_of(stock), ['valid_recall', 'valid_precision'])
    np.testing.assert_allclose(again['valid_recall'].value, one, rtol=1e-12)
    assert again['valid_precision'].value == 100


def test_the_expected_recall_of_uniform_draws():
    columns = data(400)
    out = measure(view_of(uniform, columns, batch=400), ['valid_recall'])['valid_recall']
    chance = 100 * np.mean([1 - (1 - 1 / len(s))**SAMPLES for s in meant(columns)])
    assert abs(out.value[0] - chance) < 4 * out.stderr[0] < 4


def test_every_likeness_against_loops():
    columns, view = data(), view_of(noise, seeds=2)
    out, sets = measure(view, SAMPLED), meant(columns)
    assert all(v.value.shape == (2,) and np.isfinite(v.value).all() for v in out.values())
    for likeness in ('bleu_1', 'bleu_3', 'bleu_4', 'a_bow', 'e_bow'):
        for g, seed in enumerate(said(view)):
            parts = [by_loops(likeness, own, valid)
                     for own, valid in zip(seed, sets, strict=True)]
            kept = [p for p in parts if p is not None]
            for part, want in zip(dialogue.PARTS, np.mean(kept, 0), strict=True):
                scale = 100 if likeness.startswith('bleu') else 1
                np.testing.assert_allclose(out[f'{likeness}_{part}'].value[g], scale * want,
                                           rtol=1e-10)


def bag(words, extreme):
    x = np.array([VECTORS[w] for w in words if VECTORS[w].any()])
    if not len(x):
        return None
    return x[np.abs(x).argmax(0), range(x.shape[1])] if extreme else x.mean(0)


def by_loops(likeness, own, valid):
    """(precision, recall) of one context; None where no reference counts."""
    def like(a, b):
        if likeness.startswith('bleu'):
            return plain_bleu(a, b, int(likeness[-1]))
        x, y = (bag(s, likeness == 'e_bow') for s in (a, b))
        return 0. if x is None else max(0., x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    if not likeness.startswith('bleu'):
        valid = [r for r in valid if bag(r, False) is not None]
    if not valid:
        return None
    return (np.mean([max(like(h, r) for r in valid) for h in own]),
            np.mean([max(like(h, r) for h in own) for r in valid]))


def test_the_response_that_is_there_is_the_one_reference():
    columns = {k: v for k, v in data().items() if k != 'reference'}
    view = view_of(noise, columns, truth={})
    out = measure(view, SAMPLED)
    assert not any(v for k, v in out.items() if k.startswith('valid_'))
    likeness = [[plain_bleu(h, sentences_of(columns)[c], 2) for h in own]
                for c, own in enumerate(said(view)[0])]
    np.testing.assert_allclose(out['bleu_2_precision'].value, 100 * np.mean(likeness))
    np.testing.assert_allclose(out['bleu_2_recall'].value, 100 * np.max(likeness, 1).mean())
    assert 'against the one response that is there' in out['bleu_2_recall'].estimator
    assert out['bleu_2_recall'].estimator.id == 'bleu-2:method-1:recall:sampled-10:one'


def sentences_of(columns):
    return [r[r >= 0].tolist() for r in ended(columns['tokens'], columns['length'])]


def test_references_that_are_repeated_count_once():
    """Whatever the number of places that the column has."""
    few, many = (measure(view_of(noise, data(most=m)), SAMPLED) for m in (7, 9))
    for name in SAMPLED:
        np.testing.assert_allclose(few[name].value, many[name].value, rtol=1e-12)
    assert wanted(view_of(noise)).counted.sum(1).tolist() == [len(s) for s in meant(data())]


def test_contexts_without_a_reference_are_left_out():
    columns = data()
    columns['reference']['tokens'][:5] = 0
    columns['reference']['length'][:5] = 0
    rest = jax.tree.map(lambda x: x[5:], columns)
    out = measure(view_of(stock, columns), ['bleu_4_recall', 'valid_precision', 'a_bow_recall'])
    want = measure(view_of(stock, rest), [*out])
    for name, found in out.items():
        np.testing.assert_allclose(found.value, want[name].value)
        assert found.n <= SPLIT - 5 and f'of {SPLIT} contexts left out' in found.note
    columns['reference']['length'][:] = 0
    assert measure(view_of(stock, columns), ['bleu_4_recall'])['bleu_4_recall'] is None


def test_silence():
    out = measure(view_of(silent), SAMPLED)
    for name in SAMPLED:
        if out[name] is not None:
            assert out[name].value == 0, name


# Draws.

def test_draws_follow_the_key_and_nothing_else():
    view = view_of(uniform, seeds=2)
    tokens, length = responses(view)
    assert tokens.shape == (2, SPLIT, SAMPLES, WIDTH) and length.shape == tokens.shape[:3]
    np.testing.assert_array_equal(tokens[0], tokens[1])           # common random numbers
    for other in (view_of(uniform, batch=3), view_of(uniform, buckets=in_buckets(data()))):
        np.testing.assert_array_equal(responses(other)[0][0], tokens[0])
    assert (responses(view_of(uniform, key=jax.random.key(4)))[0][0] != tokens[0]).any()
    # samples differ among themselves, and so do contexts of one topic
    topics = np.asarray(_topic(data()))
    rows = tokens[0][topics == 3]
    assert all(len(np.unique(own, axis=0)) > 1 for own in rows)
    assert len({own.tobytes() for own in rows}) == len(rows)


def in_buckets(columns):
    rows = np.argsort(columns['length'], kind='stable')
    return [jax.tree.map(lambda x, at=at: x[at], columns) | {'index': at}
            for at in (rows[:9], rows[9:])]


def test_buckets_change_nothing():
    whole, parts = view_of(noise), view_of(noise, buckets=in_buckets(data()))
    found, cut = measure(whole, SAMPLED), measure(parts, SAMPLED)
    for name in SAMPLED:
        np.testing.assert_allclose(cut[name].value, found[name].value, rtol=1e-12)


def test_responses_are_drawn_once_of_each_mode(monkeypatch):
    view, calls = view_of(uniform), []
    jit = view.jit
    monkeypatch.setattr(view, 'jit', lambda f, *static: calls.append(static) or jit(f, *static))
    measure(view, ALL)
    assert calls == [('sample',), ('greedy',)]


def test_the_response_is_hidden():
    assert measure(view_of(cheat), ['valid_precision'])['valid_precision'].value == 0
    seen = {}

    def look(params, carry, batch, key, mode):
        seen.update(batch)
        return uniform(params, carry, batch, key, mode)

    responses(view_of(look))
    assert {'tokens', 'length', 'label', 'reference', 'context'} <= set(seen)
    columns = data()

    def keep(params, carry, batch, key, mode):
        total = sum(jnp.abs(x).sum() for k in HIDDEN for x in jax.tree.leaves(batch[k]))
        out = uniform(params, carry, batch, key, mode)
        return {**out, 'length': out['length'] + total}

    kept = responses(view_of(keep, columns))[1]
    np.testing.assert_array_equal(kept, responses(view_of(uniform, columns))[1])


# Acts, diversity, length.

def test_acts():
    columns = data()
    columns['label'][3] = -1                          # nobody said
    view = view_of(uniform, columns)
    out = measure(view, ['act_accuracy'])['act_accuracy']
    known = columns['label'] >= 0
    right = [[(6 in h) == bool(y) for h in own]
             for own, y in zip(said(view)[0], columns['label'], strict=True)]
    np.testing.assert_allclose(out.value, 100 * np.mean(np.array(right)[known]))
    there = np.array([(6 in s) == bool(y) for s, y in zip(
        sentences_of(columns), columns['label'], strict=True)])[known].mean()
    assert f'by a judge; the responses that are there have {100 * there:.3g}' in out.estimator
    assert out.n == SPLIT - 1 and out.note.startswith('1 of 24 contexts left out')
    assert out.estimator.id == 'act:judge-0:sampled-10'


def test_diversity_against_loops():
    columns, view = data(), view_of(uniform)
    out, found = measure(view, SAMPLED), said(view)[0]
    grams = lambda s, n: [*zip(*(s[i:] for i in range(n)), strict=False)]
    for n in (1, 2):
        row = [w for own in found for h in own for w in h]
        assert out[f'response_dis_{n}'].value == len({*grams(row, n)})
        inter, intra = [], []
        for own in found:
            every = [g for h in own for g in grams(h, n)]
            inter.append(len({*every}) / len(every) if every else 0)
            long = [len({*grams(h, n)}) / len(grams(h, n)) for h in own if len(h) >= n]
            intra.append(np.mean(long) if long else 0)
        np.testing.assert_allclose(out[f'response_dis_{n}_inter'].value, np.mean(inter))
        np.testing.assert_allclose(out[f'response_dis_{n}_intra'].value, np.mean(intra))
    np.testing.assert_allclose(out['response_length'].value,
                               np.mean([len(h) for own in found for h in own]))
    mean = (columns['length'] - 1).mean()
    assert f'are there have {mean:.3g}' in out['response_length'].estimator
    # one response over and over is a tenth as rich
    one = measure(view_of(stock, columns), ['response_dis_1_inter', 'response_dis_1_intra'])
    np.testing.assert_allclose(10 * one['response_dis_1_inter'].value,
                               one['response_dis_1_intra'].value)


# What the data must hold, and what tables show.

def test_what_the_data_must_hold():
    columns = data(12)
    names = lambda view: {n for n in ALL if defined(n, view.evals, view.data.names)}
    assert names(view_of(uniform, columns)) == set(ALL)
    for column, gone in (('label', 'act_accuracy'), ('reference', 'valid'), ('context', '')):
        bare = {k: v for k, v in columns.items() if k != column}
        left = names(view_of(uniform, bare))
        assert left == {n for n in ALL if not n.startswith(gone)}
    assert not any(defined(n, {'sample', 'decode'}, view_of(uniform).data.names) for n in ALL)
    loose = measure(view_of(uniform, columns, truth={'exact': False}), SAMPLED)
    assert {n for n, v in loose.items() if v is None} == {*groups.VALID} & {*ALL}
    assert 'up to 7 references' in loose['bleu_4_recall'].estimator


def test_ids_tell_conventions_apart():
    out = measure(view_of(uniform), ALL)
    ids = [(k.split('_greedy')[0].removesuffix('_precision').removesuffix('_recall'),
            v.estimator.id) for k, v in out.items()]
    assert len({*ids}) == len(ids) == len(ALL)
    bow = out['e_bow_precision'].estimator
    assert 'raw cosine' in bow and 'largest magnitude' in bow and 'vectors' in bow.id
    assert 'mean over references' in out['a_bow_recall'].estimator
    assert all(METRICS[n].bounds[0] == 0 for n in ALL)


def test_columns_for_readers():
    every = {*groups.DIALOGUE, *groups.VALID, *groups.MORE_DIALOGUE}
    assert every <= set(METRICS) and len(groups.DIALOGUE) <= groups.MOST
    assert not {*groups.DIALOGUE, *groups.VALID} & {*groups.MORE_DIALOGUE}
    floors = {n for n in ALL if 'precision' in n or 'dis' in n or 'act' in n}
    assert floors <= groups.UNRANKED and not groups.UNRANKED & {n for n in ALL if 'recall' in n}


def test_perplexities_say_what_they_are_given():
    """A toy with rec 2 nats a token and KL 3 nats a response."""
    evals = {
        'posterior': lambda params, carry, batch: {'mean': jnp.zeros((len(batch['weight']), 1))},
        'sample_q': lambda params, carry, q, key: q['mean'],
        'log_lik': lambda params, carry, z, batch: -2. * batch['length'],
        'kl': lambda params, carry, q: 3. + q['mean'][:, 0]}
    columns, told = data(), ('context', 'topic')
    out = measure(view_of(uniform, columns, evals=evals, given=told),
                  ['ppl_rec', 'ppl_elbo', 'elbo', 'kl'])
    np.testing.assert_allclose(out['ppl_rec'].value, np.exp(2), rtol=1e-6)
    total = columns['length'].sum()
    np.testing.assert_allclose(out['ppl_elbo'].value, np.exp(2 + 3 * SPLIT / total), rtol=1e-6)
    for name in ('ppl_rec', 'ppl_elbo', 'elbo'):
        assert out[name].estimator.endswith('; given the context and the topic')
        assert out[name].estimator.id.endswith(':given-context-topic')
    exact = measure(view_of(uniform, columns, given=('context',), evals={
        'score': lambda params, carry, batch: -2. * batch['length']}), ['ppl_elbo', 'ppl_rec'])
    assert exact['ppl_elbo'].estimator.endswith('nll: exact; given the context')
    assert exact['ppl_rec'] is None


# Listings.

def test_responses_are_listed_beside_the_valid_ones():
    columns, view = data(), view_of(uniform, seeds=2)
    arrays = listings(view)
    assert {k: x.shape[:3] for k, x in arrays.items()} == {
        'listing/response': (2, 6, 3), 'listing/response_of': (2, 6, 11),
        'listing/response_who': (2, 6, 11)}
    page = render({k: x[0] for k, x in arrays.items()}, VOCAB)
    title, _, rest = page.partition('\n')
    assert title == 'Sampled responses (say) to they and self, who responds; ref: valid ones'
    text = lambda ids: ' '.join(VOCAB[i] for i in ids)
    topic = np.asarray(_topic(columns))
    for i, block in enumerate(rest.rstrip('\n').split('\n\n')):
        m, valid = columns['context']['turns'][i], meant(columns)[i]
        turns = [f'  {"self" if (m - u) % 2 == 0 else "they"}  {text([5, 6 + topic[i]])}'
                 for u in range(m)]
        want = turns + [f'  ref   {text(s)}' for s in valid]
        want += [f'  say   {text(h)}' for h in said(view)[0][i][:3]]
        assert block.split('\n') == want


def test_nothing_is_listed_of_conversations_of_people():
    assert listings(view_of(uniform, truth={'exact': False})) == {}
    assert listings(view_of(uniform, truth={})) == {}
    bare = {k: v for k, v in data().items() if k != 'reference'}
    assert listings(view_of(uniform, bare)) == {}
