"""Published numbers: as printed, and beside which of ours they may stand."""
import functools

import pandas
import pytest
from test_report import put
from test_results import fake, metric

from vaebench import report
from vaebench.experiment import configs, results, table
from vaebench.experiment.cells import Cells
from vaebench.metrics import METRICS
from vaebench.report import published, references

PTB = {'name': 'ptb', 'sizes': {'train': 42068, 'valid': 3370, 'test': 3761}, 'vocab': 10002}

COLUMNS = ['key', 'dataset', 'label', 'metric', 'name', 'value', 'better', 'unit', 'estimator',
           'ours', 'samples', 'why', 'source', 'place', 'deck']
TABLES = {
    # rows by dataset, values (rows times columns, less the gaps), and their sum as the papers
    # print them
    'A1': ({'yahoo': 12}, 56, 8149.56),
    'A2': ({'switchboard': 4}, 20, 344170.704),
    'A3': ({'ptb': 6, 'yahoo': 6, 'yelp': 6}, 90, 6195.37),
    'A4': ({'ptb': 11}, 55, 2397.88),
    'A5': ({'ptb': 8, 'yahoo': 9, 'yelp': 9}, 130, 8973.2),
    'A6a': ({'wikilarge': 5}, 15, 189.1),
    'A6b': ({'yelp_sentiment': 4}, 12, 3320.9),
    'A7': ({'snli_wae': 8}, 37, 1333.63),
    'A8': ({'yahoo': 20, 'yelp': 20}, 146, 14740.1),
    'A9': ({'yahoo': 11, 'ptb': 11, 'snli': 11}, 93, 6275.5),
    'A10': ({'ptb': 8, 'yelp': 8, 'yahoo': 8}, 96, 7919.6),
    'A11a': ({'short_yelp': 8}, 40, 3405.62),
    'A11b': ({'switchboard': 3}, 21, 1197.62),
    'A11c': ({'switchboard': 3}, 36, 768.17),
    'A12a': ({'yelp_sentiment': 5, 'amazon': 5}, 40, -197.005),
    'A12b': ({'yelp_sentiment': 5}, 20, -46.526),
    'A12c': ({'gender': 3, 'political_slant': 3, 'yelp_sentiment': 3, 'overall': 2,
              'overall_short': 2, 'overall_long': 2}, 27, 782.65),
    'A13': ({'yahoo': 18}, 108, -10503.5),
    'A13b': ({'yelp': 1, 'yahoo': 1, 'short_yelp': 1, 'snli': 1}, 20, 538600.46),
    'I1': ({'mnist_static': 6}, 6, 524.96),
    'I2': ({'nbody_walls': 5}, 9, .8526),
}


def test_published_is_complete():
    found = published.published()
    assert found.keys() == TABLES.keys()
    for name, (blocks, count, total) in TABLES.items():
        rows = found[name].values()
        assert {b: sum(b in r for r in rows) for b in blocks} == blocks
        assert blocks == {b: blocks.get(b) for r in rows for b in r}
        values = [v for r in rows for some in r.values() for v in some]
        assert len(values) == count
        assert sum(v.value for v in values) == pytest.approx(total, abs=1e-6)


def test_every_published_number_says_where_it_stands_and_what_answers_to_it():
    values = [
        v for rows in published.published().values() for r in rows.values()
        for some in r.values() for v in some
    ]
    for v in values:
        assert v.deck in ('000', '001', '002', '000, 001', '') and v.estimator
        assert references.is_known(v.source) and references.short(v.source) in v.paper
        assert (v.ours is None) != (v.why is None)
    assert {v.ours for v in values} - {None} <= METRICS.keys()


@pytest.mark.parametrize(
    ('key', 'texts'),
    [('A1/pre_ae_fb_8/yahoo', '59.51 315.31 32 15.02 330.33'), ('A1/lstm_lm/yahoo', '60.75'),
     ('A1/fbp_3/yahoo', '62.88 328.13 2 3.06 331.19'),
     ('A2/anneal_17/switchboard', '5.71K 69.60K 0.721 0.536 16.82'),
     ('A3/ivae_mi/yelp', '348.7 36.88 11.6 11.0 32'),
     ('A3/beta_vae/ptb', '104.5 117.92 7.50 3.1 5'),
     ('A4/pre_ae_fb/ptb', '96.35 94.52 8.15 32 6.30'),
     ('A5/apo_vae_vp/yahoo', '285.6 46.61 8.1 4.9 32'),
     ('A6a/s2s_mlp/wikilarge', '10.5 17.7 3.7×'),
     ('A6b/emb2emb_fgim/yelp_sentiment', '93.1 18.1 2820.0×'),
     ('A7/wae_s_001/snli_wae', '82.01 84.9 0.058 5.26 9.4'),
     ('A7/corpus/snli_wae', '→5.65 →9.6'), ('A8/cnn_vae/yahoo', '≤332.1 10.0'),
     ('A8/pre_bn_vae_06/yelp', '355.5 6.6 5.9 32.0'), ('A8/vmf_vae/yahoo', '327.4 2.0 32.0'),
     ('A9/davam_512/snli', '10.85 3.52 2.69'), ('A10/bn_vae_07/ptb', '100.2 96.9 5.5 7.2'),
     ('A11a/fb_9/short_yelp', '79.8 84.4 88.8 91.12 94.7'),
     ('A11b/bn_vae/switchboard', '30.67 5.18 8.64 96.64 94.43 84.69 81.75'),
     ('A11c/cvae_bow/switchboard', '2.08 0.73 84% 23% 1.86 0.58 75% 11% 1.54 0.65 46% 8%'),
     ('A12a/style_embedding/amazon', '0.400† 0.930† 0.359 −28.13'),
     ('A12b/vae_mul_adv/yelp_sentiment', '0.912 0.866 0.171 −9.59'),
     ('A12c/none/political_slant', '45.90'), ('A12c/bst/overall_short', '3.11'),
     ('A13/dg_vae_4/yahoo', '−330.4 −318.3 14.3 9.1 11 32'),
     ('A13b/corpus/yelp', '98.01 19997 100K 10K 10K'), ])
def test_published_literals(key, texts):
    assert ' '.join(v.text.split(' ±')[0] for v in published.values(key, 'x')) == texts


def test_published_parts():
    ours = {v.metric: v for v in published.values('A2/control_vae_25', 'switchboard')}
    two = ours['dis_2']
    assert (two.text, two.value, two.spread) == ('83.15K ± 4.00K', 83150., 4000.)
    bound = published.values('A8/cnn_vae', 'yelp')[0]
    assert (bound.value, bound.bound, bound.ours) == (359.1, True, 'elbo')
    assert bound.label == 'CNN-VAE'
    assert published.values('A8/bn_vae_06', 'yahoo')[0].label == 'BN-VAE (0.6) *'
    assert published.values(
        'A13/dg_vae',
        'yahoo')[0].value == -358. and published.number('0.400†') == (.4, None, False)
    length = published.values('A13b/corpus', 'short_yelp')[0]
    assert (length.value, length.spread, length.deck) == (10.96, 3.6, '002')
    assert [published.number(x) for x in ('87%', '3.7×', '−9.84', '5 %', '1,000')] == [
        (87., None, False), (3.7, None, False), (-9.84, None, False), None, None]


@pytest.mark.parametrize(
    ('key', 'number', 'verdict'),
    [
        ('A1/vae', 'elbo', 'elbo'),
        ('A1/vae', 'kl', 'kl'),
        ('A1/vae', 'au', 'au'),
        ('A1/vae', 'ppl', 'ppl_iw'),
        ('A8/bn_vae_06/yahoo', 'nll', 'nll_iw'),
        ('A8/bn_vae_06/yahoo', 'mi', 'mi_full'),
        ('A8/vae/yahoo', 'mi', None),
        ('A8/cnn_vae/yelp', 'nll', 'elbo'),
        ('A9/vae/ptb', 'ppl', 'ppl_iw'),
        ('A2/anneal_17/switchboard', 'dis_2', 'dis_2'),
        ('A7/dae/snli_wae', 'ppl', None),
        ('A7/dae/snli_wae', 'uni_kl', 'uni_kl'),
        ('A7/dae/snli_wae', 'length', 'avg_len'),
        ('A13/vae', 'prior_ll', 'prior_ll'),
        ('A13/beta_vae_01', 'prior_ll', None),
        ('A13/beta_vae_01', 'mi', 'mi_full'),
        ('A13/dg_vae', 'cu', 'cu'),
        ('A11a/vae', 'probe_1000', None),
        ('A3/vae/ptb', 'ppl', None),
        # What the paper printed is no bound: replicas answer, and never an estimate of the
        # likelihood.
        ('A3/ivae/ptb', 'elbo', 'nll_paper'),
        ('A3/ivae_mi/yelp', 'ppl', 'ppl_paper'),
        ('A3/ivae/ptb', 'kl', None),
        ('A3/ivae/ptb', 'mi', 'mi_dual'),
        ('A5/apo_vae/ptb', 'ppl', 'ppl_paper'),
        ('A5/apo_vae/yelp', 'ppl', None),
        ('A5/p_vae/yahoo', 'ppl', None),
        ('A9/davam_512/ptb', 'ppl', 'ppl_paper'),
        ('A9/gavam/snli', 'kl', None),
        ('A10/twr_vae/ptb', 'nll', 'nll_paper'),
        ('A10/twr_vae_sum/yahoo', 'ppl', 'ppl_paper'),
        ('A10/lagging/yahoo', 'mi', None),
        ('A10/bn_vae_07/yelp', 'mi', 'mi_full'),
        ('A10/twr_vae/yelp', 'mi', None),
    ])
def test_published_estimators(key, number, verdict):
    value = next(v for v in published.values(key, 'x') if v.metric == number)
    assert value.ours == verdict and (value.why is None) == (verdict is not None)


def setting_of(key, dataset, **changes):
    """The config of a row in the setting of a published one, with dotted keys changed."""
    out = {}
    for path, value in {**published.values(key, dataset)[0].setting, **changes}.items():
        *parts, last = path.split('.')
        functools.reduce(lambda inner, part: inner.setdefault(part, {}), parts, out)[last] = value
    return out


def compare(value, dataset, metrics, config=None):
    """`published.compare` of records as files hold them; of its own setting, unless told."""
    own = setting_of(f'{value.table}/{value.row}/{value.dataset}', value.dataset)
    result = results.checked(fake(dataset=dataset | {'sizes': dataset.get('sizes')},
                                  metrics=metrics, config=own if config is None else config))
    return published.compare(value, result.dataset, result.metrics, result.config)


def test_verdicts():
    nll = published.values('A8/bn_vae_06/yahoo', 'yahoo')[0]
    data = {'name': 'yahoo', 'split': 'test'}
    ours = {'nll_iw': metric(1., samples=500)}
    assert compare(nll, data, ours) == ('same setting', '')
    full = data | {
        'sizes': {'train': 100_000, 'valid': 10_000, 'test': 10_000}, 'vocab': 20_001
    }
    assert compare(nll, full, ours) == ('same setting', '')
    # exact: no samples
    assert compare(nll, data, {'nll_iw': metric(1.)}) == ('same setting', '')
    for dataset, metrics, why in [
        (data | {'reduced': True}, ours, 'reduced data'),
        (data | {'name': 'yahoo-small'}, ours, 'reduced data'),
        (data | {'sizes': {'train': 100_000, 'test': 500}}, ours, 'reduced data'),
        (data | {'name': 'yahoo_b'}, ours, 'other data: yahoo'),
        (data | {'split': 'valid'}, ours, 'other split'),
        (data, {}, 'nll_iw not measured here'),
        (data, {'nll_iw': metric(1., samples=50)}, '500 importance samples there, 50 here')
    ]:
        verdict, reason = compare(nll, dataset, metrics)
        assert verdict == 'not comparable' and reason.startswith(why)

def test_verdicts_name_what_differs_in_the_setting():
    nll = published.values('A8/bn_vae_06/yahoo', 'yahoo')[0]
    data, ours = {'name': 'yahoo', 'split': 'test'}, {'nll_iw': metric(1., samples=500)}
    for changes, found in [
        ({'hp.warmup': 0.}, ('other setting: warmup 10, here 0', '')),
        ({'hp.gamma': .7, 'optimizer.lr': 1.}, (
            'other setting: gamma 0.6, here 0.7; lr 0.5, here 1', '')),
        ({'hp.gamma': .7, 'optimizer.name': 'adam', 'kit.family': 'B'}, (
            'other setting: gamma 0.6, here 0.7; optimizer sgd, here adam; 1 more',
            'gamma 0.6, here 0.7; optimizer sgd, here adam; family A, here B'))]:
        config = setting_of('A8/bn_vae_06', 'yahoo', **changes)
        assert compare(nll, data, ours, config) == found
    # What is not known is not compared, and said.
    rec = published.values('A9/vae/ptb', 'ptb')[0]
    ours, config = {'rec': metric(1.)}, setting_of('A9/vae', 'ptb', **{'optimizer.lr': .5})
    found = compare(rec, PTB | {'split': 'test'}, ours, config)
    assert found == ('setting unknown', 'not known of it: lr')
    # Data and estimator go first.
    assert compare(rec, PTB | {'split': 'valid'}, ours, config)[0] == 'not comparable'


def test_more_importance_samples_may_stand_beside_fewer():
    nll = published.values('I1/vae_pythae', 'mnist_static')[0]
    data = {'name': 'mnist_static', 'split': 'test'}
    config = setting_of('I1/vae_pythae', 'mnist_static')
    verdict, remarks = compare(nll, data, {'nll_iw': metric(1., samples=1000)}, config)
    assert verdict == 'same setting' and 'same files' in remarks
    assert remarks.startswith('200 importance samples there, 1000 here, which lowers ours')
    found = compare(nll, data, {'nll_iw': metric(1., samples=100)}, config)
    assert found == ('not comparable', '200 importance samples there, 100 here')


def test_keys_of_the_manifest_go_before_those_of_a_result(tmp_path):
    """A number may move to another row after the cells are made."""
    one = fake('vae', table='ptb', dataset=PTB, published=['A9/vae'],
               metrics={'kl': metric(0., 'closed form')}, config=setting_of('A9/fbp', 'ptb'))
    put(tmp_path / 'results', one)
    results.write_manifest(tmp_path, {'tables': [{'table': 'ptb', 'title': 'Penn', 'rows': [
        {'row': 'vae', 'label': 'VAE', 'order': 0, 'hash': one['config_hash'],
         'published': ['A9/fbp']}]}]})
    text, problems = report.render([tmp_path], 'markdown')
    assert problems == [] and 'KL 2.95 (A9, same setting' in text and 'KL 0.00' not in text


def test_the_manifest_has_the_keys_of_its_rows(tmp_path):
    ptb, = table.tables(configs.load('ptb').to_dict())
    kept = {r['row']: r['published'] for r in Cells(ptb, tmp_path).describe(ptb)['rows']}
    assert kept == {row.name: list(row.published) for row in ptb.rows} and kept['fbp_3']


def test_replicas_are_named():
    nll, ppl = published.values('A10/twr_vae/ptb', 'ptb')[:2]
    data = PTB | {'split': 'test'}
    assert compare(ppl, data,
                   {'ppl_iw': metric(60.)}) == ('not comparable', 'ppl_paper not measured here')
    found = compare(ppl, data, {'ppl_iw': metric(60.), 'ppl_paper': metric(41.)})
    assert found == ('same setting',
                     'answers to ppl_paper, a replica of what was printed and no bound')
    assert compare(nll, data, {'nll_paper': metric(86.)})[1].startswith('answers to nll_paper')


def test_numbers_of_dialogue_are_quoted_and_never_compared():
    """They are of other conversations; what people judged, no metric answers to."""
    ours = {'ppl_rec': metric(30.), 'kl': metric(1.), 'bleu_4_recall': metric(10.)}
    for row, human in (('cvae', 'cvae'), ('cvae_bow', 'cvae_bow'), ('bn_vae', 'bn_cvae')):
        found = published.values(f'A11b/{row}', 'dailydialog')
        judged = published.values(f'A11c/{human}', 'dailydialog')
        assert {v.why for v in judged} == {'human judgement'}
        for value in (*found, *judged):
            verdict, why = compare(value, {'name': 'dailydialog', 'split': 'test'}, ours)
            assert verdict == 'not comparable' and why.startswith('other data: switchboard')
        bags = [v for v in found if 'bow' in v.metric]
        assert len(bags) == 4 and all(v.why.startswith('other word vectors') for v in bags)
        assert 'BLEU' in next(v.why for v in found if v.metric == 'bleu_4')


def test_malformed_lines_are_named():
    line = dict.fromkeys(COLUMNS, '') | {
        'key': 'T/r', 'dataset': 'd', 'metric': 'm', 'value': '1.5', 'ours': 'kl',
        'source': 'li2017mmd'}
    frame = lambda *lines: pandas.DataFrame(lines, columns=COLUMNS)
    value, = published.parse(frame(line))['T']['r']['d']
    assert (value.value, value.sizes) == (1.5, {})
    assert value.better is value.samples is value.why is None
    assert value.paper.startswith('Li et al., "MMD GAN: ') and value.paper.endswith('", 2017')
    for lines, message in [
            ([line | {'value': 'x'}], "T/r/d/m: 'x' is no number"),
            ([line, line], 'T/r/d/m: twice'), ([line | {'ours': ''}], 'ours or why'),
            ([line | {'why': 'both'}], 'T/r/d/m: needs ours or why'),
            ([line | {'better': 'more'}], "T/r/d/m: better is 'more'")]:
        with pytest.raises(ValueError, match=message):
            published.parse(frame(*lines))


def test_lines_of_one_column_agree():
    """A table has one source, a metric of it one unit, a row of it one label."""
    frame = pandas.DataFrame(v for rows in published.published().values() for r in rows.values()
                             for some in r.values() for v in some)
    for key, told in ((['table'], ['source', 'paper', 'deck']),
                      (['table', 'metric'], ['name', 'unit', 'better', 'estimator']),
                      (['table', 'row', 'dataset'], ['label'])):
        assert (frame.groupby(key)[told].nunique(dropna=False) == 1).all(axis=None)


def test_published_beside_ours(tmp_path):
    ppl = metric(100., 'importance sampling, S=500', unit='per token')
    put(tmp_path, fake('vae', table='ptb', dataset=PTB, published=['A9/fbp'],
                       metrics={'ppl_iw': ppl, 'kl': metric(0., 'closed form')},
                       config=setting_of('A9/fbp', 'ptb')))
    text, problems = report.render([tmp_path], 'markdown')
    assert problems == []
    assert ('| Rec 98.52 (A9, not comparable [1]); PPL 99.62, KL 2.95 (A9, same setting [2]) |'
            ) in text
    assert '- [1] published: rec not measured here\n' in text
    assert '- [2] published: target inferred from the printed KL of 2.95\n' in text
    assert 'Published: A9: Fang et al.' in text
    for i, change in enumerate(
        ({'reduced': True}, {'name': 'ptb-small'}, {'sizes': {'test': 500}}, {'vocab': 2000})):
        small = put(tmp_path / str(i),
                    fake('vae', table='ptb', dataset=PTB | change, published=['A4/vae']))
        text, _ = report.render([small], 'markdown')
        assert ('| PPL 101.40, Recon 101.28, KL 0.00, AU 0, MI 0.00 '
                '(A4, not comparable [1]) |') in text
        assert '- [1] published: reduced data\n' in text


def test_replicas_never_rank_with_bounds(tmp_path):
    iw, paper = 'importance sampling, S=500', 'replica of what was printed, no bound'
    for row, a, b in (('vae', 101.25, None), ('twr', 103.5, 41.5)):
        more = {} if b is None else {
            'ppl_paper': metric(b, paper, unit='per token', better=None)
        }
        put(
            tmp_path,
            *(fake(row, seed, table='ptb', dataset=PTB, published=['A10/twr_vae'] if b else [],
                   config=setting_of('A10/twr_vae', 'ptb'),
                   metrics={'ppl_iw': metric(a, iw, unit='per token'), **more})
              for seed in (0, 1)))
    text, problems = report.render([tmp_path], 'markdown')
    assert problems == [] and '**101.25**' in text and text.count('**') == 4
    assert 'PPL 40.9 (A10, same setting [2])' in text
    assert ('- [2] published: answers to ppl_paper, a replica of what was printed and no '
            'bound\n') in text


def test_unknown_published_key_is_reported(tmp_path):
    put(tmp_path, fake('vae', dataset=PTB, published=['A4/vea']))
    text, problems = report.render([tmp_path], 'markdown')
    assert len(problems) == 1 and "'A4/vea'" in problems[0] and 'use A4/vae' in problems[
        0] and '| VAE |' in text
