"""Fair tuning: what is tried, what is chosen and why, what results and reports say of it."""
import json
import time

import msgspec
import numpy as np
import pytest
import tiny_config
from test_run import CONFIG, cells, run, start

from vaebench import cli, files, runs
from vaebench.errors import UserError
from vaebench.experiment import config_keys, records, results, spaces, table, tuning, work
from vaebench.experiment.records import Trial
from vaebench.experiment.rows import among, change, linear, log, row, space
from vaebench.experiment.runner import Runner
from vaebench.report import formats, tables
from vaebench.report import tuning as changed
from vaebench.report.cli import main

SIZES = among(1, 2, 3, 4)
BETA = {'method': 'beta_vae', 'hp': {'beta': 4.}, 'options': {'share': 2}, 'epochs': 3,
        'kit': {'name': 'mlp', 'latent': 2}, 'optimizer': {'lr': 1e-2}, 'table_seed': 0}


def rows(**own):
    """Three maps that take no step: two with a space and one without."""
    fixed = {'free': row('free', 'pca', space(size=SIZES)),
             'narrow': row('narrow', 'pca', space(size=among(2, 1))),
             'plain': row('plain', 'pca')}
    return change(fixed, own)


def config(**changes):
    """A table that is read by how far neighbours of codes are neighbours."""
    return config_keys.merge({**tiny_config.get_config().to_dict(), 'metrics': ('trust', 'knn_error'),
                              'primary': 'trust', 'baseline': '', 'seeds': 2, 'tune': 4, 'table': rows()}, changes)


def axes(declared, **changes):
    return spaces.axes(declared, {**BETA, **changes}, 'space of row b')


# ---- what is tried ---------------------------------------------------------------------------


def test_numbers_are_where_the_config_has_them_and_within_their_interval():
    found = axes({'lr': log(1e-3, 1e-1), 'beta': linear(-1., 3.), 'share': among(1, 2, 4),
                  'kit': {'latent': among(2, 8)}, 'epochs': among(3, 5), 'hidden': None})
    assert [a.path for a in found] == [('optimizer', 'lr'), ('hp', 'beta'), ('options', 'share'), ('kit', 'latent'),
                                       ('epochs',)]
    values = spaces.points(found, 200, seed=3)
    lr, beta = (np.array([v[name] for v in values]) for name in ('lr', 'beta'))
    assert lr.min() >= 1e-3 and lr.max() <= 1e-1 and beta.min() >= -1 and beta.max() <= 3
    # a Halton sequence is even: of n points n / 2 within 1 or so are in each half of an axis
    assert abs((lr < 1e-2).sum() - 100) <= 2 and abs((beta < 1).sum() - 100) <= 2
    for name, choices in (('share', (1, 2, 4)), ('kit.latent', (2, 8)), ('epochs', (3, 5))):
        counts = [sum(v[name] == c for v in values) for c in choices]
        assert sum(counts) == 200 and max(counts) - min(counts) <= 10
    for v in values:
        assert v['lr'] == float(f'{v["lr"]:.3g}')
    config = spaces.changed(BETA, found, values[0])
    assert [a.of(config) for a in found] == list(values[0].values()) and BETA['kit']['latent'] == 2
    assert config['kit']['name'] == 'mlp' and spaces.changed(BETA, found, {}) == BETA


def test_ends_of_an_interval_are_its_bounds():
    end = np.nextafter(1., 0.)
    for axis in axes({'lr': log(.0123456, .98765), 'beta': linear(.123456, .2)}):
        assert axis.values[0] <= axis.at(0.) < axis.at(end) <= axis.values[1]


def test_points_are_the_same_every_time_and_more_of_them_begin_with_the_same():
    found = axes({'lr': log(1e-3, 1e-1), 'beta': log(.1, 10.), 'share': among(1, 2)})
    values = spaces.points(found, 16, seed=0)
    assert values == spaces.points(found, 16, seed=0) and values[:5] == spaces.points(found, 5, seed=0)
    assert values != spaces.points(found, 16, seed=1)
    # what rows have in common they try at the same values
    assert [v['lr'] for v in values] == [v['lr'] for v in spaces.points(found[:1], 16, seed=0)]
    assert spaces.points(found, 0, seed=0) == [] and spaces.points((), 2, seed=0) == [{}, {}]


@pytest.mark.parametrize('declared, message', [
    ({'gamma': log(1, 2)}, "unknown name in the space of row b: 'gamma'"),
    ({'dataset': {'examples': among(1, 2)}}, "unknown name in the space of row b: 'dataset'"),
    ({'dataset': among(1, 2)}, "unknown name in the space of row b: 'dataset'"),
    ({'seeds': among(1, 2)}, "unknown name in the space of row b: 'seeds'"),
    ({'kit': among('mlp', 'cnn')}, "unknown name in the space of row b: 'kit'"),
    ({'beta': 4.}, 'space of row b: beta=4.0: give log(low, high), linear(low, high) or among(a, b)'),
    ({'beta': log(1., float('inf'))}, "beta=('log', 1.0, inf): give log(low, high)"),
    ({'beta': ('cubic', 1., 2.)}, 'give log(low, high)'), ({'beta': ()}, 'beta=(): give log(low, high)'),
    ({'beta': linear(2., 2.)}, 'the interval is empty; give the lower end first'),
    ({'lr': log(0., 1.)}, 'lr=(\'log\', 0.0, 1.0): a log scale begins above 0'),
    ({'kit': {'latent': linear(2, 8)}}, "kit.latent=('linear', 2, 8): it is compiled in, so give choices"),
    ({'share': among(2)}, 'give among two choices or more'), ({'share': among(2, 2)}, 'each once')])
def test_a_space_that_says_nothing_is_one_line(declared, message):
    with pytest.raises(UserError) as raised:
        axes(declared)
    assert message in str(raised.value) and '\n' not in str(raised.value)


def test_every_row_with_a_space_has_as_many_trials_and_the_first_is_the_row_as_written():
    made, = table.tables(config(space={'lr': log(1e-3, 1e-1)}, table={'plain': space(lr=None)}))
    tried = tuning.trials(made)
    names = [tuning.row_of(r.name) for r in tried.rows]
    assert names == ['free'] * 4 + ['narrow'] * 4 and tried.seeds == (tuning.FIRST,) == tried.rows[3].seeds
    assert tuning.FIRST not in range(1000)          # a row has at most so many
    for r in tried.rows:
        assert (r.config['metrics'], r.config['evaluation']['split'], r.published) == (('trust',), 'valid', ())
    asked = {r.name: r for r in made.rows}
    first = tried.rows[4]
    assert first.name == 'narrow.t0' and first.train_hash == asked['narrow'].train_hash != tried.rows[5].train_hash
    assert [r.config['optimizer']['lr'] for r in tried.rows[:4]] == [
        r.config['optimizer']['lr'] for r in tried.rows[4:]]
    assert 'evaluation' in asked['free'].config and 'split' not in asked['free'].config['evaluation']


def test_tuning_leaves_hashes_alone():
    before, = table.tables(config(tune=0, space={}, table={n: {'space': {}} for n in rows()}))
    after, = table.tables(config(space={'lr': log(1e-3, 1.)}))
    assert [r.config_hash for r in before.rows] == [r.config_hash for r in after.rows]
    assert tuning.trials(before) is None and tuning.chosen(before, 'nowhere') == (before, set())


@pytest.mark.parametrize('changes, message', [
    ({'primary': ''}, 'it names no primary metric; name one with --config.primary'),
    ({'primary': 'kl'}, 'primary=kl has no better end'),
    ({'table': {n: space(size=None) for n in ('free', 'narrow')}}, 'tune=4: no row of tiny declares a space'),
    ({'tune': -1}, 'tune=-1 in the config: give a number in [0, 1000]'),
    ({'table': {'free': space(kit=dict(latent=among(1, 0)))}}, 'kit.latent=0 in row free.t')])
def test_what_cannot_be_tuned_is_one_line_before_anything_is_tried(changes, message, tmp_path):
    with pytest.raises(UserError) as raised:
        work.ready([Runner(t, tmp_path, say=print) for t in table.tables(config(**changes))])
    assert message in str(raised.value) and not any(tmp_path.iterdir())


# ---- what is chosen --------------------------------------------------------------------------


def trial(value, why=None):
    return Trial(setting={}, value=value, values=(value,), why=why)


@pytest.mark.parametrize('better, metric, values, choice', [
    ('lower', 'elbo', (3., 1., 2.), 1), ('higher', 'mig', (1., 3., 2.), 1),
    ('lower', 'elbo', (1., 1., 2.), 0), ('higher', 'mig', (0., 3., 3.), 1),      # ties
    ('lower', 'c2st', (.1, .9, .45), 2),                                         # nearest to a half
    ('lower', 'elbo', (None, 5., 7.), 1), ('lower', 'elbo', (None, None), 0)])
def test_the_best_by_the_tables_rule_wins(better, metric, values, choice):
    assert tuning.best([trial(v) for v in values], metric, better) == choice


def test_failures_lose_and_warnings_lose_to_what_has_none():
    assert tuning.best([trial(9.), trial(1., 'weights degenerate'), trial(None, 'diverged')], 'elbo', 'lower') == 0
    assert tuning.best([trial(None, 'diverged'), trial(4., 'odd'), trial(3., 'odd')], 'elbo', 'lower') == 2


def test_a_record_says_what_its_choice_is_of():
    tried = [msgspec.structs.asdict(trial(1.))]
    fields = {'metric': 'elbo', 'better': 'lower', 'split': 'valid', 'seeds': [1], 'space': {'lr': ['log', 1, 2]},
              'trials': tried, 'choice': 0}
    assert msgspec.convert(fields, records.Tuning).space == {'lr': ('log', 1, 2)}
    with pytest.raises(msgspec.ValidationError, match='choice 1 of 1 trials'):
        msgspec.convert({**fields, 'choice': 1}, records.Tuning)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**fields, 'split': 'test'}, records.Tuning)


# ---- a table from end to end -----------------------------------------------------------------


@pytest.fixture(scope='module')
def tuned(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tuned')
    return folder, runs.run(config(), folder)


def found(folder, name='results'):
    return {(r.row, r.seed): r for r in results.read_all(folder / name)[0]}


def test_results_hold_space_trials_and_choice_and_have_the_winners_numbers(tuned):
    folder, done = tuned
    assert not done.missing and not done.problems
    own, tried = found(folder), found(folder, 'tuning/results')
    assert len(own) == 6 and len(tried) == 8 and {seed for _, seed in tried} == {tuning.FIRST}
    for name in ('free', 'narrow'):
        record = own[name, 0].tuning
        values = [tried[f'{name}.t{i}', tuning.FIRST].metrics['trust'].value for i in range(4)]
        assert [t.value for t in record.trials] == values and record == own[name, 1].tuning
        assert record.choice == np.argmax(values) and len(set(values)) > 1
        sizes = [tried[f'{name}.t{i}', tuning.FIRST].config['options'].get('size') for i in range(4)]
        assert [t.setting for t in record.trials] == [{'size': n} for n in sizes] and sizes[0] is None
        assert own[name, 0].config['options'].get('size') == sizes[record.choice]
        assert own[name, 0].config_hash == files.config_hash(config_keys.numbers(own[name, 0].config))
    assert own['free', 0].tuning.space == {'size': SIZES} and own['free', 0].tuning.choice > 0
    assert own['plain', 0].tuning is None and 'tuning' not in json.loads(
        next((folder / 'results').glob('plain.s0.*.json')).read_text())


def test_nothing_is_chosen_by_what_the_test_split_says(tuned):
    own, tried = (found(tuned[0], name) for name in ('results', 'tuning/results'))
    assert {r.dataset.split for r in tried.values()} == {'valid'}
    assert {r.dataset.split for r in own.values()} == {'test'}
    assert {tuple(r.metrics) for r in tried.values()} == {('trust',)}


def stamps(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob('results/*.json')}


def test_again_it_tries_nothing_and_more_trials_go_on_from_there(tuned, tmp_path):
    import shutil
    folder = tmp_path / 'copy'
    shutil.copytree(tuned[0], folder)
    before = stamps(folder)
    runs.run(config(), folder)
    assert stamps(folder) == before
    runs.run(config(tune=6), folder)
    after = stamps(folder)
    trials = {p for p in after if 'tuning' in p.parts}
    assert len(trials - set(before)) == 4
    assert all(before[p] == after[p] for p in trials & set(before))
    assert {len(r.tuning.trials) for r in found(folder).values() if r.tuning} == {6}
    # the numbers are those of before, so these cells were not made again: they only say more now
    old, new = found(tuned[0])['narrow', 0], found(folder)['narrow', 0]
    assert old.times == new.times and old.metrics == new.metrics and old.tuning != new.tuning


def test_results_that_were_there_untuned_are_kept_where_the_config_wins(tmp_path):
    own = config(table={'free': space(size=None, lr=log(1e-3, 1e-1))})
    first = runs.run(own, tmp_path, rows='free', overrides={'tune': 0}).cells
    assert first[0].tuning is None
    later = runs.run(own, tmp_path, rows='free').cells
    assert later[0].tuning.choice == 0               # no rate moves a map that takes no step: a tie
    assert [msgspec.structs.replace(c, tuning=None) for c in later] == list(first)


def test_of_several_seeds_the_mean_chooses(tmp_path):
    runs.run(config(tune=2, tune_seeds=2, seeds=1), tmp_path)
    tried = found(tmp_path, 'tuning/results')
    record = found(tmp_path)['free', 0].tuning
    assert record.seeds == (1000, 1001) and len(tried) == 8
    for i, each in enumerate(record.trials):
        assert each.values == tuple(tried[f'free.t{i}', s].metrics['trust'].value for s in record.seeds)
        assert each.value == sum(each.values) / 2


def test_a_trial_of_which_a_seed_failed_has_no_value(tuned):
    done = found(tuned[0], 'tuning/results')['free.t1', tuning.FIRST]
    failed = msgspec.structs.replace(done, status='failed', reason='diverged', metrics={})
    assert tuning._trial([done, failed], 'trust', {'size': 1}) == Trial(
        setting={'size': 1}, value=None, values=(done.metrics['trust'].value, None), why='diverged')
    bare = msgspec.structs.replace(done, metrics={})
    assert tuning._trial([bare], 'trust', {}).why == 'no trust'


def test_a_stopped_run_goes_on_to_the_same_choice(tuned, tmp_path):
    made, = table.tables(config())
    def run_until(count):
        runner = Runner(made, tmp_path, say=print, stop=lambda: len(found(tmp_path, 'tuning/results')) >= count)
        work.ready([runner])
        return runner, work.run([runner], {made.name: made})
    runner, (end,) = run_until(3)
    assert end == {'busy': [], 'broken': [], 'out': True} and runner.status() == (0, 0, 6)
    assert len(found(tmp_path, 'tuning/results')) == 3
    _, (end,) = run_until(99)
    assert end == {'busy': [], 'broken': [], 'out': False}
    assert {k: r.tuning for k, r in found(tmp_path).items()} == {k: r.tuning for k, r in found(tuned[0]).items()}


def test_what_another_process_tries_is_waited_for_by_the_rerun_alone(tmp_path):
    made, = table.tables(config())
    runner = Runner(made, tmp_path, say=print)
    work.ready([runner])
    assert runner.trials.home == runner.home == tmp_path      # judges are made once for both
    taken = runner.trials.lock_path(runner.trials.table.rows[0], tuning.FIRST)
    with files.lock(taken):
        end, = work.run([runner], {made.name: made})
    assert end == {'busy': ['free'], 'broken': [], 'out': False} and runner.status() == (4, 0, 2)
    assert not any(runs.run(config(), tmp_path).problems) and len(found(tmp_path)) == 6


def test_a_trial_that_cannot_be_breaks_its_row_alone(tmp_path):
    own, said = config(table={'free': space(size=among(1, 10**6))}), []
    made, = table.tables(own)
    runner = Runner(made, tmp_path, say=said.append)
    work.ready([runner])
    end, = work.run([runner], {made.name: made})
    assert said and all(line.startswith('free.t') and 'other rows go on' in line for line in said)
    assert end == {'busy': [], 'broken': ['free'], 'out': False} and runner.status() == (4, 0, 2)


def test_several_tables_are_tuned_by_one_flag(tmp_path):
    one = {k: v for k, v in config().items() if k != 'tune'}
    several = {'name': 'both', 'tune': 3, 'tables': {
        'a': {**one, 'name': 'a'}, 'b': {**one, 'name': 'b', 'batch': 16, 'table': {'plain': rows()['plain']}}}}
    done = runs.run(several, tmp_path, seeds=1)
    assert {(c.table, c.row, bool(c.tuning)) for c in done.cells} == {
        ('a', 'free', True), ('a', 'narrow', True), ('a', 'plain', False), ('b', 'plain', False)}


def test_the_dry_run_lists_trials_and_writes_nothing(tmp_path, capsys):
    path = tmp_path / 'spaces.py'
    path.write_text(f'def get_config():\n    return {config(tune=0)!r}\n')
    assert cli.main(['vaebench', f'--config={path}', '--tune=2', '--dry_run', f'--workdir={tmp_path / "w"}',
                     '--compilation_cache=']) == 0
    said = capsys.readouterr().out
    assert said.count('seed 1000  missing') == 4 and '4 missing' in said and '6 missing' in said
    assert not (tmp_path / 'w').exists()


# ---- what reports say ------------------------------------------------------------------------


def test_tables_show_what_was_chosen_and_mark_what_was_not_tuned(tuned, capsys):
    folder, _ = tuned
    (made,), problems = tables.collect([folder], style='board')
    size = found(folder)['free', 0].config['options']['size']
    said = {r.row: r.tuned for r in made.rows if r.runs}
    assert problems == [] and said == {'free': f'tuned: size {size}', 'plain': 'untuned',
                                       'narrow': 'tuned: as configured size default'}
    assert any('the best of 4 trials each by trust' in line for line in made.about)
    for form, write in formats.FORMATS.items():
        text = write([made])
        assert f'size {size}' in text and 'untuned' in text, form
    assert 'untuned' in formats.to_html([made])
    assert formats.read_json(formats.to_json([made])) == [made]
    assert main(['vaebench-report', f'--results={folder}']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100


def test_a_table_without_tuning_says_nothing_of_it(tmp_path):
    runs.run(config(tune=0), tmp_path, seeds=1)
    (made,), _ = tables.collect([tmp_path])
    assert {r.tuned for r in made.rows} == {''} and not any('trial' in line for line in made.about)
    assert main(['vaebench-report', f'--results={tmp_path}', '--tuning']) == 2


def test_the_view_ranks_rows_before_and_after(tuned, capsys):
    folder, _ = tuned
    (view,), problems = changed.collect([folder])
    own = found(folder)
    assert problems == [] and {r.row for r in view.rows} == {'free', 'narrow'}
    values = {name: own[name, 0].tuning for name in ('free', 'narrow')}
    test = {name: np.mean([own[name, s].metrics['trust'].value for s in (0, 1)]) for name in values}
    for stage, of in (('before', lambda n: values[n].trials[0].value), ('final', test.get),
                      ('after', lambda n: values[n].trials[values[n].choice].value)):
        for r in view.rows:
            assert r.cells[stage].summary.mean == pytest.approx(of(r.row), abs=1e-12)
            assert r.cells[f'rank {stage}'].summary.mean == 1 + sum(of(n) > of(r.row) for n in values)
    assert [r.row for r in view.rows] == ['free', 'narrow']
    assert 'Of 2 rows 1 changed their numbers, and 1 their rank. First before free and narrow; after' in view.about[0]
    assert 'on the test split' in view.about[1] and view.about[-1] == 'Untuned, so not ranked: plain.'
    for form, write in formats.FORMATS.items():
        assert 'rank before' in write([view]), form
    assert formats.read_json(formats.to_json([view])) == [view]
    assert main(['vaebench-report', f'--results={folder}', '--tuning', '--table=tiny']) == 0
    text = capsys.readouterr().out
    assert 'rank before' in text and max(map(len, text.splitlines())) <= 100


def test_ranks_leave_out_what_has_no_value():
    assert changed.ranks([2., None, 1., 2.], 'elbo', 'lower') == [2, None, 1, 2]
    assert changed.ranks([2., None, 1., 2.], 'mig', 'higher') == [1, None, 3, 1]
    assert changed.ranks([.1, .9, .45], 'c2st', 'lower') == [2, 2, 1]


@pytest.mark.parametrize('flags', [['--against=x'], ['--aggregate'], ['--columns=trust'], ['--figures=x'], ['--cite']])
def test_the_view_goes_with_a_table_alone(flags, tuned, capsys):
    assert main(['vaebench-report', f'--results={tuned[0]}', '--tuning', *flags]) == 2
    assert '--tuning goes with a table' in capsys.readouterr().err


@pytest.mark.slow
def test_training_rows_are_tuned_killed_and_tuned_on(tmp_path):
    """Rows that train: killed among the trials and again among the seeds, they end as in one go."""
    flags = f'{CONFIG}:spaces', '--tune=4', '--config.rows=vae,beta_vae,pre_ae_fb'
    run(*flags, f'--workdir={tmp_path / "whole"}')
    killed = tmp_path / 'killed'
    for part in ('tuning/results', 'results'):
        process = start(*flags, f'--workdir={killed}')
        while process.poll() is None and not list((killed / part).glob('*.json')):
            time.sleep(.01)
        alive = process.poll() is None
        process.kill()
        process.communicate()
        assert alive, 'it ended before it could be killed'
    run(*flags, f'--workdir={killed}')
    for part in ('', 'tuning'):
        assert cells(killed / part) == cells(tmp_path / 'whole' / part)
    own = found(killed)
    assert own['vae', 0].tuning == found(tmp_path / 'whole')['vae', 0].tuning
    for name in ('vae', 'beta_vae'):
        record = own[name, 0].tuning
        assert min(t.value for t in record.trials) == record.trials[record.choice].value <= record.trials[0].value
        assert own[name, 0].config['optimizer']['lr'] == record.trials[record.choice].setting['lr']
