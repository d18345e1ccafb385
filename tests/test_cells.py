"""Cells of a folder: names of files, groups of seeds, the manifest, and rows that cannot be."""
import errno

import pytest
import tiny_config

from vaebench import files, methods
from vaebench.errors import UserError
from vaebench.experiment import cells, machine, records, results, runner, table, work
from vaebench.experiment.runner import Runner


def tables(rows='', *names, **changes):
    """A table for every name, of rows that take no step."""
    made = {}
    for batch, name in enumerate(names or ('tiny',), 1):
        config = {**tiny_config.get_config().to_dict(), 'name': name, 'baseline': '', 'seeds': 1,
                  'batch': batch,
                  'metrics': ('trust',), 'columns': (), 'primary': ''}
        config['table'] = {row: {'method': 'pca'} for row in ('a', 'b')}
        made[name] = {**config, **changes}
    if len(made) == 1:
        return table.tables({**config, **changes, 'rows': rows})
    return table.tables({'name': 'both', 'tables': made, 'rows': rows})


def put(cells, row, seed):
    """A file where a cell's result would be."""
    files.write_bytes(cells.result_path(row, seed), b'{}')


@pytest.mark.parametrize('odd', '[]*?\\')
def test_a_workdir_that_checkpoints_could_not_be_read_from_is_refused(odd, tmp_path):
    with pytest.raises(UserError, match='takes for a pattern'):
        Runner(tables()[0], tmp_path / f'a{odd}b')


def test_home_folders_of_users_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    made = Runner(tables()[0], '~/x', '~/data')
    assert (made.workdir, made.data_dir) == (tmp_path / 'x', str(tmp_path / 'data'))
    with pytest.raises(UserError, match='~nobodyhere/x: there is no such home folder'):
        Runner(tables()[0], '~nobodyhere/x')


@pytest.mark.parametrize('seeds', [[0], [0, 1], [3, 4, 5], [0, 2, 4], [*range(100)],
                                   [*range(7), 9, 10, 999]])
def test_seeds_are_spelled_so_that_they_can_be_read(seeds):
    assert cells.seeds_of(cells.spelled(seeds)) == tuple(seeds)


def test_names_of_groups_stay_short_and_older_ones_are_found(tmp_path):
    table, = tables(seeds=1000, group=100)
    row, made = table.rows[0], cells.Cells(table, tmp_path)
    sets = (range(1000), range(0, 1000, 2), [*range(0, 1000, 7)])
    for seeds in sets:
        groups = made.groups(row, seeds)
        assert sorted(sum(groups, ())) == list(seeds)
        assert max(len(made.group_path(row, group).name) for group in groups) < 150
    assert len(made.groups(row, range(1000))) == 10
    old = tmp_path / 'checkpoints' / f"{row.name}.{row.train_hash}.s{'-'.join(map(str, range(40)))}"
    old.mkdir(parents=True)
    (tmp_path / 'checkpoints' / f'{row.name}.{row.train_hash}.sold').mkdir()      # no group
    assert made.checkpoints(row) == {tuple(range(40)): old}
    assert made.group_path(row, range(40)) == old


def test_a_filter_of_rows_hides_no_table_that_has_results(tmp_path):
    every = {t.name: t for t in tables('', 'one', 'two')}
    for name, rows in (('one', 'a'), ('two', 'b')):
        put(cells.Cells(every[name], tmp_path), every[name].rows['ab'.index(rows)], 0)
    own = cells.Cells(every['one']._replace(rows=every['one'].rows[:1]), tmp_path)
    found = results.manifest(cells.manifest([own], every, None))
    assert [(t.table, [r.row for r in t.rows]) for t in found.tables] == [
        ('one', ['a']), ('two', ['b'])]
    # without a result the second is no table of this folder
    own.result_path(every['two'].rows[1], 0).unlink()
    assert [t.table for t in results.manifest(
        cells.manifest([own], every, None)).tables] == ['one']


def test_a_folder_keeps_tables_of_other_configs_and_the_seeds_of_other_jobs(tmp_path):
    old = records.Manifest(tables=(records.ManifestTable(table='other', title='O', rows=()),
                                   records.ManifestTable(table='tiny', title='Old', rows=())))
    every, = tables(seeds=3)
    own, = tables(seeds=3, only_seeds='2')
    found = cells.manifest([cells.Cells(own, tmp_path)], {'tiny': every}, old)
    found = results.manifest(found).tables
    assert [(t.table, t.title) for t in found] == [('tiny', 'Tiny'), ('other', 'O')]
    assert found[0].seeds == (0, 1, 2)


def test_manifests_are_written_if_they_change_and_damaged_ones_are_replaced(
        tmp_path, monkeypatch):
    own = Runner(tables()[0], tmp_path)
    work.describe([own], {'tiny': own.table})
    path = tmp_path / 'table.json'
    before = path.read_bytes()

    def no(*args):
        raise OSError(errno.EROFS, 'Read-only file system')

    with monkeypatch.context() as patched:
        for name in ('open', 'replace', 'mkdir'):
            patched.setattr(files.os, name, no)
        work.describe([own], {'tiny': own.table})
        files.write_bytes(path, before)
        with pytest.raises(UserError, match='Read-only file system'):
            files.write_bytes(path, b'other')
    path.write_text('{')
    work.describe([own], {'tiny': own.table})
    assert path.read_bytes() == before


def test_tables_of_one_config_share_no_cell():
    with pytest.raises(UserError, match='row a is the same in the tables one and two'):
        tables('', 'one', 'two', batch=1)


# ---- rows that cannot be ---------------------------------------------------------------------


def refusing(monkeypatch, **errors):
    """A table of 'good', which takes no step, and of a row for every error of a factory."""
    known = dict(methods.METHODS)
    for name, error in errors.items():
        def factory(kit, recipe, error=error):
            raise error
        factory.__qualname__ = name            # rows of one factory share their programs
        known[name] = methods.Entry(factory, {}, (), ())
    monkeypatch.setattr(methods, 'METHODS', known)
    rows = {'good': {'method': 'pca'}, **{name: {'method': name} for name in errors}}
    return tables(table=rows)[0]


def test_rows_that_cannot_be_are_named_before_the_others_are_trained(tmp_path, monkeypatch):
    said, own = [], refusing(
        monkeypatch, user=UserError('choose a latent size of at least 2'),
        also=UserError('choose a latent size of at least 2'),
        file=FileNotFoundError(2, 'No such file', 'weights.npz'), defect=ValueError('a\ud800\nb'),
        ended=SystemExit(3))
    made = Runner(own, tmp_path, say=said.append)
    assert work.ready([made]) == (1, 1) and not (tmp_path / 'results').exists()
    lines = [f'{rows}: {reason}; the other rows go on' for rows, reason in (
        ('user, also', 'choose a latent size of at least 2'),
        ('file', 'No such file weights.npz'))]
    assert said[:2] == lines and len(said) == 4
    assert said[2].startswith('defect: ValueError: a') and 'details in' in said[2]
    assert said[3].startswith('ended: SystemExit: 3')
    end, = work.run([made], {'tiny': own})
    assert end == {'busy': [], 'broken': ['user', 'also', 'file', 'defect', 'ended'],
                   'out': False}
    assert made.status() == (1, 0, 5) and len(said) == 4
    assert 'ValueError' in next((tmp_path / 'logs').glob('defect.*.txt')).read_text()
    states = {cell['row']: cell['state'] for cell in made.plan()}
    assert states['good'] == 'done' and states['user'] == 'broken'


def test_a_table_without_a_row_that_can_be_is_bad_input_or_leaves_the_others(
        tmp_path, monkeypatch):
    own = refusing(monkeypatch, user=UserError('no such thing'))
    bad = own._replace(name='bad', rows=own.rows[1:])
    with pytest.raises(UserError, match='no such thing'):
        work.ready([Runner(bad, tmp_path, say=print)])
    with pytest.raises(UserError, match='no such thing'):
        Runner(bad, tmp_path).run()
    pair = [Runner(t, tmp_path, say=lambda line: None)
            for t in (bad, own._replace(rows=own.rows[:1]))]
    assert work.ready(pair) == (1, 1)
    assert [end['broken'] for end in work.run(pair, {t.name: t for t in (bad, own)})] == [
        ['user'], []]


def test_a_damaged_model_or_result_breaks_its_row_alone(tmp_path):
    own, = tables(table={row: {'method': 'pca'} for row in ('model', 'result', 'good')})
    said, made = [], Runner(own, tmp_path, say=lambda line: said.append(line))
    model, result, good = own.rows
    (made.model_path(model, 0) / '1').mkdir(parents=True)
    put(made, result, 0)
    end = made.run()
    assert end == {'busy': [], 'broken': ['result', 'model'], 'out': False}
    assert made.result_path(good, 0).exists() and made.status() == (1, 0, 2)
    assert str(made.result_path(result, 0)) in said[0]
    assert said[1].startswith('model: cannot read the checkpoint')


def test_a_full_disk_stops_every_row(tmp_path, monkeypatch):
    def full(*args):
        raise UserError('cannot write') from OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(runner.checkpoint, 'save', full)
    with pytest.raises(UserError, match='cannot write'):
        Runner(tables()[0], tmp_path, say=print).run()


def test_jobs_of_other_seeds_share_a_row_and_groups_are_taken_whole(tmp_path):
    every, = tables(seeds=2)
    one, = tables(seeds=2, only_seeds='1')
    row = every.rows[0]
    taken = cells.Cells(every, tmp_path).lock_path(row, 0)
    with files.lock(taken):
        assert Runner(every, tmp_path).run()['busy'] == ['a']
        assert Runner(one, tmp_path).run()['busy'] == []
    found = {p.name.split('.')[1] for p in (tmp_path / 'results').glob('a.*.json')}
    assert found == {'s1'}


def test_what_memory_cannot_hold_is_said_before_it_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, 'free_memory', lambda: 2**10)
    said, own = [], tables(table={'v': {'method': 'vae'}}, metrics=('elbo',))[0]
    Runner(own, tmp_path, say=said.append).check()
    line, = said
    assert line.startswith('v, 1 seeds at once, needs at least 0.0 GiB') and 'lower' in line
    monkeypatch.setattr(machine, 'free_memory', lambda: None)
    assert machine.too_large('all', 2.**60) is None
