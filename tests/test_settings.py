"""Settings of published numbers: read from their file, and compared with those of rows."""
import functools
import itertools

import jax
import pandas
import pytest
from test_networks import text_kit

from vaebench.experiment import configs, table
from vaebench.report import published, settings

COLUMNS = 'key', 'dataset', 'like', 'setting', 'note'
PAPERS = 'ptb', 'yahoo', 'yelp', 'snli', 'short_yelp', 'mnist:static'
EPOCHS = 'epochs'
"""Differs wherever a table trains for fewer epochs than the papers did."""
SA, FLOW = 'beta_start warmup period', 'beta_start warmup period optimizer lr'
EXPLAINED = {
    # keys: (what may differ beside the epochs, what is not known, why)
    'A1/anneal A8/vae': ('beta_start lr patience', '', "He et al.'s run, the row is Li et al.'s"),
    'A3/beta_vae/yahoo A3/beta_vae/yelp A8/beta_vae': ('lr patience', '', 'He et al., as above'),
    'A3/sa_vae/yahoo A8/sa_vae A5/sa_vae/yelp': (
        'family init_scale patience', SA,
        "He et al. run it on their network, the row is Kim et al.'s"),
    'A3/sa_vae/ptb': ('lr warmup optimizer patience', '', "Fang et al.'s run"),
    'A3/cyclical': ('beta_start warmup', '', "Fang et al.'s cycles, the row's are Fu et al.'s"),
    'A3/ivae A3/ivae_mi': ('warmup lr init_scale', '', 'its ramp ends after 9 epochs; it starts '
                           'and trains slower on the larger corpora'),
    'A8/pre_cyclical': ('patience', '', 'decays that load the best parameters break its cycles'),
    'A9/pre_ae_fb/ptb': ('target', '', 'no row is at 3'),
    'A10/twr_vae A10/twr_vae_mean A10/twr_vae_sum': (
        'family embed eps weight_decay', '', 'a network of its own, here that of the table'),
    'A13/bow_vae': ('reduce activation hidden', '', "the row is Zhao et al.'s"),
    'A7/dae': ('optimizer lr batch latent', '', 'sizes of its own, here those of the table'),
    'A7/wae_d_3 A7/wae_d_10 A7/wae_s_0 A7/wae_s_001 A7/wae_s_01': ('batch latent', SA, 'likewise'),
    'I1/vae_pythae': ('lr hidden', '', 'another network and rate'),
    'I1/vamp I1/vamp_pythae': ('optimizer lr hidden warmup', '', 'likewise'),
    # nothing differs, but not all is known
    'A9/vae A1/vae': ('', 'lr', "He et al.'s run or Li et al.'s own"),
    'A4/vae A9/anneal A9/lagging': ('', 'beta_start lr', 'likewise'),
    'A1/cyclical A9/cyclical': ('', 'beta_start warmup period lr', 'likewise'),
    'A8/vmf_vae A8/pre_vmf_vae': ('', SA, 'its KL is constant'),
    'A8/fb_4 A8/fb_5 A8/cnn_vae A4/fb A4/pre_ae_fb A4/cyclical A4/lagging A4/flow_prior A4/mog_vae '
    'A4/vamp_vae A5/vmf_vae A5/p_vae A5/apo_vae A5/apo_vae_vp A9/gavam A9/davam_q A9/davam_128 '
    'A9/davam_512 A10/bn_vae_07 A11a/ae A11a/vae A11a/lagging A11a/delta_vae A11a/bn_vae_07 '
    'A11a/cyclical I1/vae': ('', FLOW, 'not published'),
    'A4/flow_prior_fb A4/mog_vae_fb A4/vamp_vae_fb A11a/fb_9 A11a/pre_ae_fb_6': (
        '', f'{FLOW} target', 'not published'),
    'A10/sa_vae/ptb': ('', f'{FLOW} family', 'whose run it is is not known'),
}
BY_KEY = {key: told for keys, told in EXPLAINED.items() for key in keys.split()}


@functools.cache
def rows(name):
    """{row: (its config, keys that it answers to, dataset)} of a config's tables."""
    return {row.name: (row.config, row.published, found.config['dataset']['name'])
            for found in table.tables(configs.load(name).to_dict()) for row in found.rows}


def differing(name, row, key):
    """Names what of a published number's setting a row does not have, but for the epochs."""
    config, _, dataset = rows(name)[row]
    setting = published.values(key, dataset)[0].setting
    return names(settings.differences(setting, config)) - {EPOCHS}


def names(phrases):
    return {phrase.split()[0] for phrase in phrases}


@pytest.mark.parametrize('name', PAPERS)
def test_rows_have_the_settings_of_their_published_numbers_or_it_is_explained(name):
    """At the size of the papers; a difference that is not listed above fails."""
    for row, (config, keys, dataset) in rows(name).items():
        for key in keys:
            differ, lost, _ = BY_KEY.get(f'{key}/{dataset}', BY_KEY.get(key, ('', '', '')))
            assert differing(name, row, key) <= set(differ.split()), (row, key)
            fields = published.values(key, dataset)[0].setting
            assert set(settings.unknown(fields, config)) <= set(lost.split()), (row, key)


def test_only_keys_that_rows_answer_to_are_explained():
    known = {k for name in PAPERS for _, keys, dataset in rows(name).values()
             for key in keys for k in (key, f'{key}/{dataset}')}
    assert BY_KEY.keys() <= known


@pytest.mark.parametrize(('name', 'row', 'key'), [
    ('yahoo', 'anneal', 'A13/vae'), ('yahoo', 'beta_04_anneal', 'A13/beta_vae_04'),
    ('yahoo', 'beta_02_anneal', 'A13/beta_vae_02'), ('yahoo', 'fbp_9', 'A1/fbp_9'),
    ('yahoo', 'cyclical_20', 'A8/cyclical'), ('yelp', 'cyclical_20', 'A8/cyclical'),
    ('yahoo', 'skip_vae_0', 'A8/skip_vae'), ('yahoo', 'pre_ae_fb_4', 'A8/pre_fb_4'),
    ('ptb', 'fbp_3', 'A9/fbp'), ('snli', 'fbp_9', 'A9/fbp'), ('ptb', 'fb', 'A4/fb'),
    ('yahoo', 'fbp', 'A8/fb_4'), ('yelp', 'fb', 'A8/fb_4'), ('ptb', 'beta_05_anneal',
                                                          'A3/beta_vae')])
def test_numbers_stand_beside_the_one_row_of_their_setting(name, row, key):
    assert [other for other, (_, keys, _) in rows(name).items() if key in keys] == [row]
    assert not differing(name, row, key)


@pytest.mark.parametrize(('name', 'row', 'key', 'differ'), [
    ('yahoo', 'vae', 'A13/vae', {'warmup'}),
    ('yahoo', 'beta_02', 'A13/beta_vae_02', {'warmup'}),
    ('ptb', 'fbp', 'A9/fbp', {'target'}), ('snli', 'fbp', 'A9/fbp', {'target'}),
    ('yahoo', 'fb', 'A8/fb_4', {'method'}), ('ptb', 'pre_ae_fb_8', 'A9/pre_ae_fb', {'target'}),
    ('yahoo', 'vae', 'A8/vae', {'beta_start', 'warmup', 'lr', 'patience'})])
def test_other_rows_are_told_apart(name, row, key, differ):
    assert differing(name, row, key) == differ


def test_lines_are_of_published_rows_or_others_refer_to_them():
    lines, tables = settings.known(), published.published()
    referred = {name for line in lines.values() for name in line.like}
    for key, dataset in lines:
        head, _, row = key.partition('/')
        measured = tables.get(head, {}).get(row, {})
        assert key in referred or measured, key
        assert not dataset or dataset in measured or not measured, (key, dataset)
    assert all(line.like or line.fields or line.note for line in lines.values())


def test_keys_are_those_of_configs():
    """One that no row has could never agree, but where it is left to its default."""
    every = [config for name in PAPERS for config, _, _ in rows(name).values()]
    used = {key for line in settings.known().values() for key in line.fields}
    lone = {key for key in used if not any(settings.differences({key: '?'}, row)[0] !=
                                           f'{settings.short(key)} ?, here unset'
                                           for row in every)}
    assert lone <= {'options.activation', 'optimizer.eps', 'optimizer.weight_decay'}


def test_differences_are_the_keys_that_differ():
    """Every subset of a setting changed, every subset of it known."""
    theirs = {'hp.warmup': '10', 'optimizer.name': 'sgd', 'kit.family': 'A', 'batch': '32'}
    same = {'hp.warmup': 10., 'optimizer.name': 'sgd', 'kit.family': 'A', 'batch': 32}
    other = {'hp.warmup': 0., 'optimizer.name': 'adam', 'kit.family': 'B', 'batch': 64}
    subsets = [set(s) for n in range(5) for s in itertools.combinations(theirs, n)]
    for changed, known in itertools.product(subsets, subsets):
        config = {'hp': {}, 'optimizer': {}, 'kit': {}}
        for key, value in {**same, **{k: other[k] for k in changed}}.items():
            inner, _, last = key.rpartition('.')
            (config[inner] if inner else config)[last] = value
        fields = {k: v for k, v in theirs.items() if k in known}
        assert settings.differences(fields, config) == [
            f'{settings.short(k)} {theirs[k]}, here {settings.text(other[k])}'
            for k in fields if k in changed]
        lost = {'hp.warmup', 'optimizer.name', 'kit.family'} - known
        assert set(settings.unknown(fields, config)) == {settings.short(k) for k in lost}


def test_a_key_that_a_config_leaves_out_has_its_default():
    assert settings.differences({'kit.family': 'A', 'hp.target': '8'}, {'hp': {}}) == [
        'target 8, here unset']
    left, named, other = (jax.eval_shape(text_kit(**more).head(2).init, jax.random.key(0))
                          for more in ({}, {'family': 'A'}, {'family': 'B'}))
    assert jax.tree.structure(left) == jax.tree.structure(named) != jax.tree.structure(other)


def frame(*lines):
    return pandas.DataFrame([dict(zip(COLUMNS, line, strict=True)) for line in lines])


def test_settings_are_taken_over_and_changed():
    lines = settings.parse(frame(
        ('net', 'ptb', '', 'kit.hidden=256', 'not inherited'),
        ('base', '', 'net', 'optimizer.lr=1 batch=32', ''),
        ('ramp', '', '', 'hp.warmup=10 batch=64', ''),
        ('A1/vae', '', 'base ramp', 'optimizer.lr=.50', 'of all'),
        ('A1/vae', 'ptb', '', 'hp.target=8', 'of one')))
    found = settings.resolve(lines, 'A1/vae', 'ptb')
    # its own line, that of all datasets, then what these are like: the later goes over
    assert dict(found.fields) == {'hp.target': '8', 'optimizer.lr': '0.5', 'hp.warmup': '10',
                                  'batch': '64', 'kit.hidden': '256'}
    assert list(found.fields)[:2] == ['hp.target', 'optimizer.lr']
    assert found.note == 'of one; of all'
    assert dict(settings.resolve(lines, 'A1/vae', 'snli').fields) == {
        'optimizer.lr': '0.5', 'hp.warmup': '10', 'batch': '64'}
    assert settings.resolve(lines, 'A1/anneal', 'ptb') == ({}, '')


@pytest.mark.parametrize(('lines', 'message'), [
    ([('A1/vae', '', '', 'warmup', '')], "A1/vae: 'warmup' is no key=value"),
    ([('A1/vae', 'ptb', '', 'warmup=', '')], "A1/vae/ptb: 'warmup=' is no key=value"),
    ([('A1/vae', '', 'li', '', '')], 'A1/vae: like li, which is not there'),
    ([('A1/vae', '', '', 'batch=1', '')] * 2, 'A1/vae: twice')])
def test_malformed_lines_are_named(lines, message):
    with pytest.raises(ValueError, match=message):
        settings.parse(frame(*lines))
