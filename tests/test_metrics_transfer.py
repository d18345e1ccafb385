"""Metrics of rewritten sentences and of sums of codes: published numbers, loops, and rewriters
whose numbers are known.
"""
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.stats import spearmanr
from test_judges_text import BAD, GOOD, VOCAB, framed, styled
from test_metrics_text import reciter

from vaebench.judges import language
from vaebench.metrics import (
    METRICS,
    Estimator,
    Judge,
    Settings,
    defined,
    latent_arithmetic,
    measure,
    rewritten,
    style_codes,
    transfer,
    transfer_time,
)
from vaebench.metrics import sentence_pairs as pairs
from vaebench.metrics.qualitative import listings, render
from vaebench.report.figures import spaces, style

KEY = jax.random.key(3)
TRUTH = {'style_words': np.array([GOOD, BAD]), 'stop_words': np.array([6, 7]), 'exact': True}
FLIP = jnp.array([BAD if i == GOOD else GOOD if i == BAD else i for i in range(len(VOCAB))])


def copy(params, carry, batch, label, key, mode):
    return {k: batch[k] for k in ('tokens', 'length')}


def flip(params, carry, batch, label, key, mode):
    return {'tokens': FLIP[batch['tokens']], 'length': batch['length']}


def random_target(params, carry, batch, label, key, mode):
    """A random training sentence of the target label."""
    odds = jnp.log((params['label'] == label[:, None]).astype(float))
    rows = jax.random.categorical(key, odds)
    return {k: params[k][rows] for k in ('tokens', 'length')}


def silent(params, carry, batch, label, key, mode):
    return {'tokens': jnp.zeros_like(batch['tokens']).at[:, 0].set(1).at[:, 1].set(2),
            'length': jnp.ones_like(batch['length'])}


def style_judge():
    """Says label 1 where there is 'good', else 0."""
    return Judge(Estimator('a judge', 'judge-0'), functions={
        'log_probs': lambda tokens, length: np.log(np.where(
            (tokens == GOOD).any(1)[:, None], [.1, .9], [.9, .1]))})


def data(n=60, seed=1, labels=(0, 0, 1)):
    """Sentences of two styles, twice as many of the first, with their references."""
    columns = styled(n, seed, labels)
    flipped = np.asarray(FLIP)[columns['tokens']]
    return columns | {'reference': {'tokens': flipped[:, None],
                                    'length': columns['length'][:, None]}}


def rewriting(f, columns=None, seeds=1, truth=TRUTH, buckets=None, **evals):
    columns, train = columns or data(), styled(300, 9)
    params = {k: jnp.stack([jnp.asarray(v)] * seeds) for k, v in train.items()}
    view = toys.evaluator({'transfer': f, **evals}, params, {}, buckets or [columns], KEY,
                          Settings(batch=16), train=train, vocab=VOCAB, truth=truth)
    # one label may be all there is, but there are two
    label = toys.schema.label(2, ('bad', 'good'))
    view.data = view.data._replace(schema={**view.schema, 'label': label},
                                   judges={**view.data.judges, 'style': style_judge})
    return view


def value(view, name):
    return measure(view, [name])[name].value


ALL = [*transfer.METRICS]


# Fixtures.

SOURCE = 'about 95 species are currently accepted .'
REFERENCES = ('about 95 species are currently known .', 'about 95 species are now accepted .',
              '95 species are now accepted .')


@pytest.mark.parametrize('said, parts, score, hugging_face', [
    ('about 95 you now get in .', (22.1501, 50, 8.3333), 26.8278, 26.9536),
    ('about 95 species are now agreed .', (70.9459, 73.6111, 32.1429), 58.9000, 61.7097),
    ('about 95 species are currently agreed .', (77.1483, 75, 0), 50.7161, 50.8868),
    (SOURCE, (65.6197, 0, 0), 21.8732, 55.2066),
    (REFERENCES[1], None, 75.9361, 78.2914)])
def test_sari_has_the_numbers_of_both_scripts(said, parts, score, hugging_face):
    three = SOURCE.split(), said.split(), [r.split() for r in REFERENCES]
    found = pairs.sari(*three)
    if parts is not None:
        np.testing.assert_allclose(found[:3], parts, rtol=0, atol=5e-5)
    np.testing.assert_allclose([found.score, pairs.sari(*three, hugging_face=True).score],
                               [score, hugging_face], rtol=0, atol=5e-5)


def test_bleu_has_the_numbers_of_sacrebleu_and_nltk():
    said = 'the food is very good here .', 'i love this place .'
    meant = 'the food is really good here .', 'i love that place .'
    exp, signature = pairs.corpus_bleu(said, [meant])
    floor, _ = pairs.corpus_bleu(said, [meant], 'floor')
    np.testing.assert_allclose([exp, floor], [31.9472, 21.3644], rtol=0, atol=5e-5)
    assert signature.startswith('nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|version:')
    # more references, none of them worse
    assert pairs.corpus_bleu(said, [meant, said])[0] == pytest.approx(100)
    assert pairs.corpus_bleu(['4', '5 6'], [['4', '5 6']])[0] == 0     # no four words


def test_cosine_and_overlap_have_their_numbers():
    vectors = np.array([[1., 0, 2], [2, -1, 0], [.5, .5, .5]])
    a, b = pairs.content([[2, 0], [2, 1, 1]], vectors)
    np.testing.assert_allclose(pairs.cosine(a[None], b[None]), [.610079], rtol=0, atol=5e-7)
    ignored = {'the', 'is', 'good', 'bad'}
    both = ['the', 'food', 'is', 'good'], ['the', 'food', 'tasted', 'bad']
    assert pairs.overlap(*both, ignored) == .5
    assert np.isnan(pairs.overlap(['the', 'good'], ['is', 'bad'], ignored))
    assert np.isnan(pairs.content([[], [1]], vectors, [1])).all()


def test_edits_against_the_table():
    rng = np.random.default_rng(0)
    for _ in range(40):
        a, b = (''.join(rng.choice(list('abc '), rng.integers(0, 9))) for _ in range(2))
        table = np.add.outer(np.arange(len(a) + 1), np.arange(len(b) + 1))
        for i, x in enumerate(a, 1):
            for j, y in enumerate(b, 1):
                table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1,
                                  table[i - 1, j - 1] + (x != y))
        assert pairs.edits(a, b) == table[-1, -1]


# Floors and a perfect rewriter.

def test_copying():
    out = measure(rewriting(copy), ALL)
    for name in ('content_cosine', 'content_cosine_rescaled', 'word_overlap'):
        np.testing.assert_allclose(out[name].value, 1, rtol=1e-12)
    np.testing.assert_allclose(out['self_bleu_src'].value, 100, rtol=1e-12)
    assert out['transfer_accuracy'].value == 0
    assert '; copying the source has 0;' in out['transfer_accuracy'].estimator
    assert 0 < out['content_cosine_floor'].value < .95
    for name in ('sari', 'sari_hf'):
        assert f'; copying the source has {out[name].value[0]:.3g};' in out[name].estimator
    for name in ('lf', 'transfer_length'):
        assert f'{out[name].value[0]:.3g}' in out[name].estimator
    assert out['exact_match'].value == 0 < out['token_f1'].value < 1
    assert out['geometric_mean'].value == 0


def test_the_right_rewriting():
    columns = data()
    out = measure(rewriting(flip, columns), ALL)
    for name in ('transfer_accuracy', 'exact_match', 'ref_bleu', 'ref_bleu_method1'):
        np.testing.assert_allclose(out[name].value, 100, rtol=1e-12)
    for name in ('content_cosine', 'word_overlap', 'token_f1'):
        np.testing.assert_allclose(out[name].value, 1, rtol=1e-12)
    assert 0 < out['self_bleu_src'].value < 90 and out['sari'].value > 60
    ppl = out['lf_ppl'].value
    np.testing.assert_allclose(out['geometric_mean'].value, ppl**(-1 / 3), rtol=1e-12)
    for name, found in out.items():
        least, most = METRICS[name].bounds
        assert (least is None or found.value >= least) and (most is None or found.value <= most
                                                            + 1e-9), name


def test_a_random_sentence_of_the_style_has_it_and_nothing_else():
    out = measure(rewriting(random_target, seeds=2), ALL)
    assert (out['transfer_accuracy'].value == 100).all() and (out['word_overlap'].value < .3).all()
    assert (out['self_bleu_src'].value < 10).all() and (out['exact_match'].value == 0).all()
    # no more likeness of content than random pairs have
    assert (np.abs(out['content_cosine_rescaled'].value) < .2).all()


def test_silence_has_no_style():
    assert value(rewriting(silent, styled(20, 1, (1,))), 'transfer_accuracy') == 0
    out = measure(rewriting(silent), ['content_cosine', 'word_overlap', 'transfer_length', 'lf'])
    assert np.isnan(out['content_cosine'].value)
    assert out['content_cosine'].note == '60 of 60 left out'
    assert out['content_cosine'].warning == ['not finite for 2 of 2']
    assert out['word_overlap'].value == out['transfer_length'].value == 0 > out['lf'].value

    def mute(*args):                                # not even </s>
        return jax.tree.map(jnp.zeros_like, copy(*args))

    out = measure(rewriting(mute), ['lf_ppl', 'transfer_accuracy', 'geometric_mean', 'sari'])
    assert np.isnan(out['lf_ppl'].value) and out['lf_ppl'].warning and out['sari'].value < 40
    assert out['transfer_accuracy'].value == 0 and np.isnan(out['geometric_mean'].value)


def test_overlap_and_cosine_are_symmetric_and_bleu_is_not():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9, 4))
    a, b = ([rng.integers(0, 9, rng.integers(4, 8)).tolist() for _ in range(30)]
            for _ in range(2))
    x, y = pairs.content(a, vectors), pairs.content(b, vectors)
    np.testing.assert_array_equal(pairs.cosine(x, y), pairs.cosine(y, x))
    assert [*map(pairs.overlap, a, b)] == [*map(pairs.overlap, b, a)]
    assert [*map(pairs.token_f1, a, b)] == [*map(pairs.token_f1, b, a)]
    said, meant = ([' '.join(map(str, s)) for s in x] for x in (a, b))
    assert pairs.corpus_bleu(said, [meant])[0] != pairs.corpus_bleu(meant, [said])[0]


# Means of directions.

def test_directions_count_alike():
    columns = data(50)
    view, label = rewriting(random_target, columns, seeds=2), columns['label']
    assert 0 < (label == 1).sum() < (label == 0).sum()
    tokens, length = rewritten.transferred(view)
    out = measure(view, ['transfer_length', 'word_overlap', 'lf', 'lf_ppl', 'self_bleu_src'])
    words = length - 1.
    of = lambda x: np.mean([x[:, label == k].mean(1) for k in (0, 1)], 0)
    np.testing.assert_allclose(out['transfer_length'].value, of(words), rtol=1e-12)
    errors = [words[:, label == k].var(1, ddof=1) / (label == k).sum() for k in (0, 1)]
    np.testing.assert_allclose(out['transfer_length'].stderr, np.sqrt(sum(errors)) / 2)

    model = language.fit(*(styled(300, 9)[k] for k in ('tokens', 'length')), len(VOCAB), 3)
    log_p = np.stack([language.log_prob(model, *s).sum(1)
                      for s in zip(tokens, length, strict=True)])
    np.testing.assert_allclose(out['lf'].value, of(log_p) / np.log(10), rtol=1e-12)
    ppl = [np.exp(-log_p[:, label == k].sum(1) / length[:, label == k].sum(1)) for k in (0, 1)]
    np.testing.assert_allclose(out['lf_ppl'].value, np.mean(ppl, 0), rtol=1e-12)

    strings = lambda tokens, length: [' '.join(map(str, s)) for s in pairs.words(tokens, length)]
    meant = np.array(strings(columns['tokens'], columns['length']))
    said = np.array([strings(*s) for s in zip(tokens, length, strict=True)])
    scores = [[pairs.corpus_bleu(s[label == k].tolist(), [meant[label == k].tolist()])[0]
               for k in (0, 1)] for s in said]
    np.testing.assert_allclose(out['self_bleu_src'].value, np.mean(scores, 1), rtol=1e-12)

    source = pairs.words(columns['tokens'], columns['length'])
    shared = np.array([[len(set(a) & set(b) - {4, 5, 6, 7}) / len((set(a) | set(b)) - {4, 5, 6, 7})
                        for a, b in zip(source, pairs.words(*s), strict=True)]
                       for s in zip(tokens, length, strict=True)])
    np.testing.assert_allclose(out['word_overlap'].value, of(shared), rtol=1e-12)


def test_one_direction_is_all_there_is():
    columns = data(30, labels=(0,))
    out = measure(rewriting(flip, columns), ['transfer_length', 'transfer_accuracy'])
    np.testing.assert_allclose(out['transfer_length'].value, (columns['length'] - 1).mean())
    assert out['transfer_accuracy'].value == 100
    assert out['transfer_accuracy'].note == 'bad to good 100'
    to_good = lambda params, carry, batch, *more: random_target(
        params, carry, batch, jnp.ones_like(batch['label']), KEY, 'greedy')
    accuracy = measure(rewriting(to_good), ['transfer_accuracy'])['transfer_accuracy']
    assert accuracy.value == 50 and accuracy.note == 'bad to good 100, good to bad 0'


def test_buckets_change_nothing():
    columns = data(40)
    rows = np.argsort(columns['length'], kind='stable')
    cut = []
    for part in (rows[:25], rows[25:]):
        b = jax.tree.map(lambda x, part=part: x[part], columns)
        b['tokens'] = b['tokens'][:, :b['length'].max() + 1]
        cut.append(b | {'index': part})
    assert cut[0]['tokens'].shape[1] < cut[1]['tokens'].shape[1]
    whole, parts = rewriting(flip, columns), rewriting(flip, buckets=cut)
    for name, found in measure(whole, ALL).items():
        np.testing.assert_allclose(value(parts, name), found.value, rtol=1e-12, err_msg=name)


def test_what_the_data_must_hold():
    bare = {k: v for k, v in data(20).items() if k != 'reference'}
    view = rewriting(flip, bare, truth={})
    names = {n for n in ALL if defined(n, view.evals, view.data.names)}
    assert names == {'transfer_accuracy', 'self_bleu_src', 'lf', 'lf_ppl', 'transfer_length'}
    assert all(measure(view, names).values())
    loose = rewriting(flip, truth={**TRUTH, 'exact': False})
    assert not any(measure(loose, ['exact_match', 'token_f1']).values())
    assert not any(defined(n, {'transfer'}, {'x', 'label'}) for n in ALL)


def test_ids_of_estimators():
    out = measure(rewriting(flip), ALL)
    ids = {name: found.estimator.id for name, found in out.items()}
    assert ids['transfer_accuracy'] == 'judge-0:greedy'
    assert ids['ref_bleu'] == 'bleu-4:references:exp:greedy'
    assert ids['sari'] != ids['sari_hf'] and ids['lf'] == 'kneser-ney-3:greedy'
    assert 'sacreBLEU nrefs:1|' in out['self_bleu_src'].estimator
    # of a sum and of a rate, of a number and of it rescaled; cells compare within one metric
    same = {('lf', 'lf_ppl'), ('content_cosine', 'content_cosine_rescaled')}
    assert {(a, b) for a in ids for b in ids if a < b and ids[a] == ids[b]} == same


def test_the_split_is_rewritten_once(monkeypatch):
    view, calls = rewriting(flip), []
    jit = view.jit
    monkeypatch.setattr(view, 'jit', lambda f, *static: calls.append(f) or jit(f, *static))
    measure(view, ALL)
    assert len(calls) == 1


# Codes of style and content.

def coded(n=80):
    columns = styled(n, 1)
    rng = np.random.default_rng(0)
    columns |= {'told': columns['label'][:, None] + np.float32(.01) * rng.normal(size=(n, 2)),
                'free': rng.normal(size=(n, 3)).astype(np.float32)}
    pick = lambda name: lambda params, carry, batch: params['one'] * batch[name]
    evals = {'style_code': pick('told'), 'content_code': pick('free'), 'encode': pick('told')}
    return columns, toys.evaluator(evals, {'one': jnp.ones(2)}, {}, [columns], KEY)


def test_probes_find_what_codes_tell():
    columns, view = coded()
    out = measure(view, style_codes.METRICS)
    assert (out['style_probe'].value == 100).all() and (out['code_probe'].value == 100).all()
    assert (np.abs(out['content_probe'].value - 50) < 20).all()
    assert out['content_probe'].value.shape == (2,) and out['style_probe'].n == 80
    common = 100 * max(np.bincount(columns['label'])) / 80
    assert out['content_probe'].note == f'the commonest label has {common:.3g}%'
    x, label = np.float64(columns['told']), columns['label']
    far = np.linalg.norm(x[:, None] - x[None], axis=-1)
    own = np.array([far[i][label == label[i]].sum() / ((label == label[i]).sum() - 1)
                    for i in range(80)])
    other = np.array([far[i][label != label[i]].mean() for i in range(80)])
    np.testing.assert_allclose(out['style_silhouette'].value,
                               ((other - own) / np.maximum(own, other)).mean(), rtol=1e-5)
    assert (np.abs(out['content_silhouette'].value) < .1).all()


def test_probes_need_examples_of_both_labels():
    columns = styled(30, 1, labels=(1,)) | {'x': np.ones((30, 2), np.float32)}
    evals = {'style_code': lambda params, carry, batch: batch['x']}
    view = toys.evaluator(evals, {}, {}, [columns], KEY)
    assert not any(measure(view, style_codes.METRICS).values())


def test_parts_of_codes_are_kept_to_be_drawn_with_what_was_measured_of_them():
    rng = np.random.default_rng(3)
    columns = {**data(), 'x': np.float32(rng.normal(size=(60, 3)))}
    evals = {'style_code': lambda params, carry, batch: batch['x'][:, :2] * params['scale']}
    view = toys.evaluator(evals, {'scale': np.float32([1., 2.])}, {}, [columns], KEY)
    values = measure(view, ['style_probe'])
    found = style_codes.spaces(view, values)
    assert set(found) == {'spaces/style', 'spaces/style_told', 'spaces/label'}
    assert found['spaces/style'].shape == (2, 60, 2) and found['spaces/label'].shape == (2, 60)
    np.testing.assert_allclose(found['spaces/style'][1], 2 * found['spaces/style'][0])
    told = found['spaces/style_told']
    np.testing.assert_array_equal(told[:, 0], values['style_probe'].value)
    assert np.isnan(told[:, 1]).all()
    plain = toys.evaluator({'encode': evals['style_code']}, {'scale': np.ones(1)}, {}, [columns],
                           KEY)
    assert style_codes.spaces(plain, {}) == {}


def test_spaces_are_drawn_beside_each_other():
    rng = np.random.default_rng(0)
    arrays = {'spaces/style': rng.normal(size=(40, 2)), 'spaces/content': rng.normal(size=(40, 2)),
              'spaces/label': np.arange(40) % 2, 'spaces/style_told': np.array([99., .25])}
    with style.context():
        fig = spaces.style_and_content(arrays, ('John et al.', ', seed 0'))
    said = [t.get_text() for part in (fig, *fig.axes) for t in part.texts]
    assert any('probe 99.0%, silhouette 0.25' in t for t in said) and 'content' in said
    assert spaces.style_and_content({'spaces/style': arrays['spaces/style']}, ('a', '')) is None


# Time.

def test_time_does_not_count_compilation():
    def edit(params, carry, z, label):
        time.sleep(.3)                              # while it is traced
        return z + label[:, None]

    def encode(params, carry, batch):
        return batch['length'][:, None].astype(jnp.float32)

    view = rewriting(flip, seeds=2, edit=edit, encode=encode)
    out = measure(view, transfer_time.METRICS)
    assert out['added_ms'].n == 60 and out['added_ms'].value.shape == (2,)
    assert (out['added_ms'].value > 0).all() and (out['added_ms'].value < 300 / 60).all()
    assert (out['transfer_ms'].value > 0).all()
    assert out['transfer_ms'].estimator.id == 'wall-clock:transfer:batch-60'


def test_time_is_the_median_to_the_end(monkeypatch):
    times, now = iter([9., 1., 2., 30., 4., 5.]), [0.]
    monkeypatch.setattr(transfer_time.time, 'perf_counter', lambda: now[0])

    def call():
        now[0] += next(times)                       # the first is that of compilation
        return jnp.zeros(1)

    assert transfer_time.median_seconds(call) == 4.


# Sums of codes and lines.

def sums(lists, seconds, thirds, meant):
    """Codes of words: how often each stands there; the code that is nearest is said."""
    every = framed([*lists, *seconds, *thirds, *meant], 9)
    bags = jnp.stack([jnp.bincount(jnp.asarray(row[1:n]), length=len(VOCAB))
                      for row, n in zip(every['tokens'], every['length'], strict=True)]) * 1.

    def encode(params, carry, batch):
        inside = jnp.arange(batch['tokens'].shape[1]) < batch['length'][:, None]
        hot = jax.nn.one_hot(batch['tokens'], len(VOCAB)) * inside[..., None]
        return hot[:, 1:].sum(1)

    def decode(params, carry, z, key, mode):
        row = ((z[:, None] - bags)**2).sum(-1).argmin(1)
        return {k: jnp.asarray(every[k])[row] for k in ('tokens', 'length')}

    reference = framed(meant, 9)
    columns = framed(lists, 9) | {'second': framed(seconds, 9), 'third': framed(thirds, 9),
                                  'reference': {k: v[:, None] for k, v in reference.items()}}
    return toys.evaluator({'encode': encode, 'decode': decode}, {'one': jnp.ones(1)}, {},
                          [columns], KEY, vocab=VOCAB)


def test_analogies_of_bags_of_words():
    firsts, seconds = [[8, 4], [9, 4], [10]], [[8, 5], [9, 5], [10]]
    thirds, meant = [[11, 5], [12, 13, 5], [14]], [[11, 4], [12, 13, 4], [14]]
    out = measure(sums(firsts, seconds, thirds, meant), latent_arithmetic.METRICS)
    # the last has s1 = s2, and is s3
    assert out['analogy_exact'].value == 100 and out['analogy_f1'].value == 1
    assert out['analogy_edits'].value == 0 and out['analogy_exact'].n == 3
    assert out['analogy_exact'].estimator.endswith('greedy decoding; saying s3 has 33.3')


def test_edits_are_of_written_words():
    view = sums([[8]], [[8]], [[GOOD]], [[BAD]])
    view.evals['decode'] = lambda params, carry, z, key, mode: {
        k: jnp.asarray(v) for k, v in framed([[GOOD]] * 1, 9).items()}
    assert value(view, 'analogy_edits') == pairs.edits('good', 'bad') == 3


def lines(lists):
    evals, params, columns = reciter(lists)
    return toys.evaluator(evals, params, {}, [columns], KEY, train=styled(60), vocab=VOCAB)


def test_lines_of_a_perfect_autoencoder():
    rng = np.random.default_rng(0)
    lists = [rng.integers(6, 20, 5).tolist() for _ in range(40)]
    out = measure(lines(lists), latent_arithmetic.METRICS)
    np.testing.assert_allclose(out['line_ends'].value, 100, rtol=1e-12)
    assert out['line_ends'].n == 20 and not out['analogy_exact']
    # neighbors: only two sentences lie on the line, first the one, then the other
    np.testing.assert_allclose(out['line_distinct'].value, 2 / 11, rtol=1e-12)
    np.testing.assert_allclose(out['line_order'].value, spearmanr(
        range(11), [0] * 6 + [1] * 5).statistic, rtol=.1)
    assert out['line_fluency'].value < 0


def test_lines_that_say_the_same_have_no_order():
    lists = [[6, 7, 8, 9, 10]] * 8
    out = measure(lines(lists), ['line_order', 'line_distinct', 'line_ends'])
    assert out['line_order'].value == 0 and out['line_ends'].value == pytest.approx(100)
    np.testing.assert_allclose(out['line_distinct'].value, 1 / 11)
    assert measure(lines([[6], [7, 8]]), ['line_ends'])['line_ends'] is None


# Listings.

def test_rewritten_sentences_are_listed_beside_their_sources():
    columns = data()
    page = render({k: x[0] for k, x in listings(rewriting(flip, columns)).items()}, VOCAB)
    first = page.splitlines()
    assert first[0] == 'Rewritten to the next label'
    row = np.flatnonzero(columns['label'] == 0)[0]
    said = [VOCAB[i] for i in columns['tokens'][row, 1:columns['length'][row]]]
    assert first[1] == f'  from  {" ".join(said)}'
    assert first[2] == '  say   ' + ' '.join('good' if w == 'bad' else w for w in said)
    assert first[3] == first[2].replace('say', 'ref') and first[4] == ''
    assert len(page.split('\n\n')) == 8                     # four of each label
    bare = {k: v for k, v in columns.items() if k != 'reference'}
    page = render({k: x[0] for k, x in listings(rewriting(copy, bare)).items()}, VOCAB)
    assert 'ref' not in page and page.count('say') == 8


def test_analogies_are_listed_with_their_references():
    view = sums([[8, 4]], [[8, 5]], [[11, 5]], [[11, 4]])
    page = render({k: x[0] for k, x in listings(view).items()}, VOCAB)
    assert page.splitlines()[-5:] == ['  s1    w2 good', '  s2    w2 bad', '  s3    w5 bad',
                                      '  say   w5 good', '  ref   w5 good']
