"""The one list of config keys: what it decides, fills in and refuses."""
import pytest
import tiny_config

from vaebench import metrics
from vaebench.engine.trainer import Settings
from vaebench.errors import UserError
from vaebench.experiment import config_keys, configs, table
from vaebench.experiment.rows import change, seeds


def rows(**changes):
    config = tiny_config.get_config().to_dict()
    return {row.name: row for row in table.tables(config_keys.merge(config, changes))[0].rows}


def test_keys_of_the_schema_are_those_of_the_engine():
    assert tuple(config_keys.fields(config_keys.Evaluation)) == metrics.Settings._fields
    others = {'epochs', 'batch', 'block', 'seeds_by', 'mesh', 'stream', 'micro', 'precision'}
    assert {*config_keys.fields(config_keys.Protocol)} | others <= set(Settings._fields)


def test_every_key_of_a_row_decides_one_thing_and_says_what_it_is():
    decided = [config_keys.decided_by(x) for x in ('parameters', 'numbers', 'speed')]
    assert sorted(sum(decided, ())) == sorted(config_keys.fields(config_keys.Row))
    kinds = (config_keys.Table, config_keys.Row, config_keys.Tables, config_keys.Entry,
             config_keys.Named, config_keys.Kit, config_keys.Optimizer, config_keys.Protocol,
             config_keys.Evaluation)
    for kind in kinds:
        for name, field in config_keys.fields(kind).items():
            assert field.metadata['help'].endswith('.'), name


OTHER = {
    'dataset': {'examples': 100}, 'cuts': 2, 'kit': {'latent': 3}, 'epochs': 5, 'batch': 16,
    'block': 2, 'optimizer': {'lr': .1}, 'protocol': {'patience': 2}, 'table_seed': 1,
    'method': 'anneal', 'hp': {'beta': 2.}, 'options': {'share': 2},
    'evaluation': {'samples': 9}, 'metrics': ('elbo',), 'group': 1, 'seeds_by': 'map',
    'mesh': 'auto', 'save_every': 1., 'stream': 'on', 'memory_gb': 2., 'remat': 'on', 'micro': 8,
    'precision': 'bf16', 'title': 'Other', 'seeds': 3, 'columns': ('elbo',),
    'primary': 'elbo', 'baseline': 'beta_vae'}


@pytest.mark.parametrize('key', OTHER)
def test_a_hash_changes_with_what_it_is_of_and_with_nothing_else(key):
    before = rows()['vae']
    own = {key: OTHER[key]}
    if key in ('method', 'hp', 'options'):
        own = {'table': {'vae': own}}
    after = rows(**own)['vae']
    known = config_keys.fields(config_keys.Table) | config_keys.fields(config_keys.Row)
    decides = known[key].metadata['decides']
    assert (after.train_hash != before.train_hash) == (decides == 'parameters')
    assert (after.config_hash != before.config_hash) == (decides != 'speed')


def test_what_is_compiled_is_all_but_rates_numbers_and_names():
    before = rows()['vae'].config
    shared = {'table_seed', 'method', 'hp', 'evaluation', 'metrics', 'group', 'save_every',
              'memory_gb', 'title', 'seeds', 'columns', 'primary', 'baseline', 'optimizer'}
    for key, value in {**OTHER, 'clip': None}.items():
        changed = {key: value} if value is not None else {'optimizer': {key: 1.}}
        after = config_keys.compiled(config_keys.merge(before, changed))
        assert (after != config_keys.compiled(before)) == (key not in shared), key


def test_what_a_config_leaves_out_is_filled_in_and_what_it_says_stays():
    tables = {'a': {'name': 'a', 'protocol': {'patience': 3}}, 'b': {'seeds': 4}}
    full = config_keys.filled({'name': 'both', 'tables': tables})
    assert (full['rows'], full['seeds'], full['tables']['b']['seeds']) == ('', 2, 4)
    assert full['tables']['a']['protocol'] == {
        'keep': 'best', 'patience': 3, 'first_epoch': 15, 'factor': .5, 'decays': 5}
    assert full['tables']['a']['evaluation'] == {}
    assert tables['a'] == {'name': 'a', 'protocol': {'patience': 3}}


@pytest.mark.parametrize('change, message', [
    ({'epoch': 3}, "unknown key in the config 'epoch'; did you mean 'epochs'"),
    ({'epochs': 'x'}, "epochs='x' in the config: give a whole number"),
    ({'epochs': 2.5}, 'epochs=2.5 in the config: give a whole number'),
    ({'epochs': True}, 'epochs=True in the config: give a whole number'),
    ({'save_every': '1'}, "save_every='1' in the config: give a number"),
    ({'metrics': 'elbo'}, "metrics='elbo' in the config: give a list of names"),
    ({'kit': 'mlp'}, "kit='mlp' in the config: give a mapping"),
    ({'optimizer': {'rate': .1}}, "unknown key in the config 'optimizer.rate'; did you mean"),
    ({'optimizer': {'lr': 'high'}}, "optimizer.lr='high' in the config: give a number"),
    ({'protocol': {'keep': 'first'}}, "protocol.keep='first' in the config: give best or last"),
    ({'primary': 'nll'}, "unknown metric 'nll'; did you mean 'nll_iw'"),
    ({'baseline': 'va'}, "unknown row for a baseline 'va'; did you mean 'vae'"),
    ({'name': 'my table'}, "name='my table' in the config: give letters, digits and _"),
    ({'name': '../up'}, "name='../up' in the config: give letters"),
    ({'name': 'x' * 101}, 'give letters, digits and _ + = . -, at most 100'),
    ({'title': 'a\nb'}, "in the config: give one line of printable text"),
    ({'kit': {'dropout': 2.}}, 'kit.dropout=2.0 in the config: give a number in [0, 1)'),
    ({'kit': {'dropout': -.5}}, 'kit.dropout=-0.5'), ({'kit': {'dropout': 1}}, 'kit.dropout=1'),
    ({'kit': {'hidden': (16, 0)}}, 'kit.hidden=0 in the config: give 1 or more'),
    ({'optimizer': {'lr': -1.}}, 'optimizer.lr=-1.0 in the config: give more than 0'),
    ({'optimizer': {'lr': 0.}}, 'optimizer.lr=0.0'),
    ({'optimizer': {'lr': float('nan')}}, 'optimizer.lr=nan'),
    ({'optimizer': {'clip': -1.}}, 'optimizer.clip=-1.0 in the config: give 0 or more'),
    ({'optimizer': {'b1': 1.}}, 'optimizer.b1=1.0'),
    ({'protocol': {'patience': -1}}, 'protocol.patience=-1'),
    ({'table_seed': -1}, 'table_seed=-1 in the config: give a number in [0, 4294967295]'),
    ({'save_every': -1.}, 'save_every=-1.0'),
    ({'seeds': 10**6}, 'seeds=1000000 in the config: give a number in [1, 1000]'),
    ({'metrics': ('elbo', 'kl', 'elbo')}, "metrics in the config names 'elbo' twice"),
    ({'metrics': ('elbo', 3)}, 'metrics[1]=3 in the config: give a text'),
    ({'columns': ('elbo', 'elbo')}, "columns in the config names 'elbo' twice"),
    ({'columns': ('elbo', 'nothere')}, "unknown metric 'nothere'"),
    ({'only_seeds': '2'}, 'only_seeds=2: give some of the seeds 0 to 1, such as 0,1'),
    ({'only_seeds': '1-2'}, 'only_seeds=1-2: give some of the seeds'),
    ({'dataset': {'examples': 2**64}}, 'row vae: 18446744073709551616... is too large'),
    ({'dataset': {'options': object()}}, 'row vae: object cannot be written to a result file'),
])
def test_what_a_config_cannot_say_is_one_line_with_a_way_out(change, message):
    with pytest.raises(UserError) as raised:
        rows(**change)
    assert message in str(raised.value) and '\n' not in str(raised.value)


@pytest.mark.parametrize('change, message', [
    ({'override': {}}, "unknown key in row vae 'override'; did you mean 'overrides'"),
    ({'overrides': {'epoch': 1}}, "unknown override of row vae: 'epoch'; did you mean 'epochs"),
    ({'overrides': {'seeds': 1}}, "unknown override of row vae: 'seeds'"),
    ({'overrides': {'epochs': 'x'}}, "epochs='x' in row vae: give a whole number"),
    ({'hp': {'beta': 'x'}}, "hp.beta='x' in row vae: give a number"),
    ({'hp': {'bet': 1.}}, "unknown hp of row vae: 'bet'; did you mean 'beta'"),
    ({'hp': {'beta': float('nan')}}, 'hp.beta=nan in row vae: give a finite number'),
    ({'overrides': {'kit': {'dropout': 3.}}}, 'kit.dropout=3.0 in row vae'),
    ({'label': 'a\x1b[1m'}, 'in row vae: give one line of printable text'),
])
def test_what_a_row_cannot_say_names_the_row(change, message):
    with pytest.raises(UserError) as raised:
        rows(table={'vae': change})
    assert message in str(raised.value)


@pytest.mark.parametrize('key', ['name', 'title', 'dataset', 'kit', 'metrics', 'table'])
def test_a_required_key_that_is_missing_is_named(key):
    config = tiny_config.get_config().to_dict()
    del config[key]
    with pytest.raises(UserError, match=f'no {key} in the config: '):
        table.tables(config)


@pytest.mark.parametrize('name', ['my row', 'é', 'a/b', 'a,b', '.hidden', '', 'x' * 101, 3])
def test_a_row_whose_name_no_file_could_have_is_refused(name):
    config = tiny_config.get_config().to_dict()
    config['table'] = {name: {'method': 'vae'}, 'vae': {'method': 'vae'}}
    with pytest.raises(UserError, match='in table in the config: give letters, digits and _'):
        table.tables(config)


@pytest.mark.parametrize('change, message', [
    ({'tables': {}}, 'the config has no table'),
    ({'tables': []}, r'tables=\[\]: give a mapping'),
    ({'tables': {'a': None}}, 'tables.a is None: give a mapping'),
    ({'tables': {'a': {'name': 'a', 'table': {}}}}, 'no dataset in tables.a'),
    ({'tables': {'a b': {}}}, "the name 'a b' in tables: give letters"),
])
def test_tables_that_cannot_be(change, message):
    with pytest.raises(UserError, match=message):
        table.tables({'name': 'both', **change})


def test_tables_need_rows_and_names_of_their_own():
    tiny = tiny_config.get_config().to_dict()
    with pytest.raises(UserError, match='table tiny has no row'):
        table.tables({**tiny, 'table': {}, 'baseline': ''})
    with pytest.raises(UserError, match='two tables have the name tiny'):
        table.tables({'name': 'both', 'tables': {'a': tiny, 'b': tiny}})


def test_one_job_may_take_one_seed_of_many():
    config = {**tiny_config.get_config().to_dict(), 'seeds': 9}
    (one,), (every,) = table.tables({**config, 'only_seeds': '7'}), table.tables(config)
    assert one.seeds == (7,) and every.seeds == tuple(range(9))
    assert [r.config_hash for r in one.rows] == [r.config_hash for r in every.rows]
    both = {'name': 'both', 'tables': {'a': config}, 'only_seeds': '3, 0'}
    assert table.tables(both)[0].seeds == (0, 3)


def test_settings_are_chosen_on_the_validation_split():
    config = tiny_config.get_config().to_dict()
    (usual,), (valid,) = table.tables(config), table.tables({**config, 'split': 'valid'})
    assert [r.config['evaluation'].get('split') for r in valid.rows] == ['valid'] * 4
    assert all('split' not in r.config['evaluation'] for r in usual.rows)
    assert [r.train_hash for r in valid.rows] == [r.train_hash for r in usual.rows]
    assert not {r.config_hash for r in valid.rows} & {r.config_hash for r in usual.rows}
    both, = table.tables({'name': 'both', 'tables': {'a': config}, 'split': 'valid'})
    assert [r.config_hash for r in both.rows] == [r.config_hash for r in valid.rows]
    with pytest.raises(UserError, match='split'):
        table.tables({**config, 'split': 'train'})


def test_a_row_may_have_seeds_of_its_own():
    config = {**tiny_config.get_config().to_dict(), 'seeds': 2}
    name, *others = config['table']
    config['table'] = change(config['table'], {name: seeds(4)})
    of = lambda table: {r.name: r.seeds for r in table.rows}
    found, = table.tables(config)
    assert found.seeds == (0, 1)
    assert of(found) == {name: (0, 1, 2, 3), **dict.fromkeys(others, (0, 1))}
    assert {r.config_hash for r in found.rows} == {r.config_hash for r in table.tables({
        **config, 'table': change(config['table'], {name: seeds(9)})})[0].rows}
    given, = table.tables({**config, 'seeds': 3}, {'seeds': 3})
    assert set(of(given).values()) == {(0, 1, 2)}
    both = {'name': 'both', 'seeds': 3, 'tables': {'a': config}}
    assert set(of(table.tables(both, {'seeds': 3})[0]).values()) == {(0, 1, 2)}
    some, = table.tables({**config, 'only_seeds': '1,3'})
    assert of(some) == {name: (1, 3), **dict.fromkeys(others, (1,))}
    with pytest.raises(UserError, match='only_seeds=4: give some of the seeds 0 to 3'):
        table.tables({**config, 'only_seeds': '4'})
    with pytest.raises(UserError, match='seeds'):
        table.tables({**config, 'table': change(config['table'], {name: {'seeds': 0}})})


def test_methods_of_packages_are_entries(monkeypatch):
    from vaebench import methods
    monkeypatch.setattr(methods, 'find', lambda name: {'hp': {}})
    with pytest.raises(UserError, match='method vae of an installed package is no methods.Ent'):
        rows()


def test_several_tables_share_the_filter_and_the_seeds_of_the_command_line():
    config = configs.load('quickstart').to_dict()
    given = {'seeds': 5, 'tables.images.epochs': 3}
    text, images = table.tables({**config, 'rows': 'source,vae'}, given)
    assert [r.name for r in text.rows] == ['source', 'vae']
    assert [r.name for r in images.rows] == ['vae']
    assert text.seeds == images.seeds == (0, 1, 2, 3, 4)
    assert (text.rows[1].config['epochs'], images.rows[0].config['epochs']) == (6, 3)
    with pytest.raises(UserError, match="unknown key 'table'; did you mean 'tables'"):
        table.tables({**config, 'table': {}})
