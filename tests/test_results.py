"""Result files: written once and whole, every field checked."""
import collections
import copy
import errno
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import msgspec
import numpy as np
import pytest

from vaebench import files
from vaebench.errors import UserError
from vaebench.experiment import records, results

COMMITTED = pathlib.Path(__file__).parent.parent / 'benchmarks' / 'results'


def fake(row='vae', seed=0, value=100., *, table='toy', order=0, metrics=None, dataset=None,
         **changes):
    """A result that passes every check, as a file holds it; `value` is its nll_iw."""
    if metrics is None:
        metrics = {
            'nll_iw': metric(value, 'importance sampling, S=500', samples=500, stderr=0.5)
        }
    config = {'row': row, 'sizes': [4, 2], 'lr': 0.5}
    return {
        'schema': results.VERSION, 'table': table, 'title': 'Toy table', 'row': row,
        'label': row.upper(), 'order': order, 'seed': seed, 'method': row, 'status': 'done',
        'reason': None, 'published': [],
        'dataset': {'name': 'toy', 'sha256': '0123456789abcdef' * 4, 'split': 'test',
                    'sizes': {'test': 10}} | (dataset or {}),
        'config': config, 'config_hash': files.config_hash(config), 'train_hash': '0' * 10,
        'parameters': kept('best'), 'metrics': metrics,
        'times': {'train': 12.5, 'evaluate': 1., 'compile': 3.}, 'group': 2, 'steps': 1000,
        'parameter_count': 12345, 'peak_memory': None,
        'git': {'revision': 'a' * 40, 'dirty': False}, 'versions': {'jax': '0.10.2'},
        'device': {'kind': 'cpu', 'count': 1, 'platform': 'cpu'}, 'host': 'Toy CPU', **changes}


def kept(*words):
    """What training left, phase by phase."""
    return [{'phase': f'phase {i}', 'kept': word, 'by': 'elbo' if word == 'best' else ''}
            for i, word in enumerate(words)]


def metric(value, estimator='mean', **changes):
    """A metric whose estimator's id is its sentence."""
    return {'value': value, 'estimator_id': estimator, 'estimator': estimator, 'n': 10,
            'samples': None, 'unit': 'nats/sentence', 'better': 'lower', 'stderr': None,
            'warning': None, 'note': None, 'least': None, 'most': None, **changes}


def test_round_trip(tmp_path):
    result, z = fake(seed=3, value=0.1 + 0.2), np.arange(6.).reshape(2, 3)
    path = results.write(tmp_path, result, {'z': z})
    assert path.name == f'vae.s3.{result["config_hash"]}.json'
    back = results.read(path)
    lists = {'published': (), 'parameters': tuple(kept('best'))}
    assert msgspec.to_builtins(back) == {**result, **lists}
    assert back == results.checked(result) == results.checked(back)
    assert json.loads(path.read_text()) == result
    with np.load(path.with_suffix('.npz')) as arrays:
        np.testing.assert_array_equal(arrays['z'], z)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == ['.json', '.npz']
    assert results.read_all(tmp_path) == ([back], [])


def test_written_once(tmp_path):
    path = results.write(tmp_path, fake(value=1.), {'z': np.zeros(2)})
    before = path.read_bytes(), path.with_suffix('.npz').read_bytes()
    assert results.write(tmp_path, fake(value=2.), {'z': np.ones(2)}) == path
    assert (path.read_bytes(), path.with_suffix('.npz').read_bytes()) == before
    path.write_bytes(before[0][:-20])
    results.write(tmp_path, fake(value=2.))
    assert results.read(path).metrics['nll_iw'].value == 2.


def test_numpy_scalars_and_non_finite_numbers(tmp_path):
    short = {'value': np.float32(0.5), 'estimator_id': 'e', 'estimator': 'e', 'unit': 'u',
             'better': None}
    times = {'train': float('nan'), 'evaluate': np.float64(1), 'compile': 0}
    result = fake(metrics={'a': metric(np.float32(np.nan), warning='odd'),
                           'b': metric(2., stderr=float('inf')), 'c': short},
                  config={'clip': float('inf'), 'cuts': (1, 2)}, steps=np.int64(7), times=times)
    path = results.write(tmp_path, result)
    assert not {'NaN', 'Infinity'} & set(path.read_text().replace(',', ' ').split())
    back = results.read(path)
    assert back.metrics['a'].value is None and back.metrics['a'].warning == 'odd; value was nan'
    assert back.metrics['b'].stderr is None and back.metrics['b'].warning == 'stderr was inf'
    assert back.metrics['c'] == records.Metric(value=0.5, estimator_id='e', estimator='e',
                                               unit='u', better=None)
    assert back.config == {'clip': 'inf', 'cuts': [1, 2]} and back.steps == 7
    assert back.times.train is None
    assert files.config_hash(back.config) == files.config_hash(result['config'])


def test_canonical():
    ml_collections = pytest.importorskip('ml_collections')
    config = ml_collections.ConfigDict({'b': (1, 2), 'a': {'x': 0.5}})
    assert files.canonical(config) == '{"a":{"x":0.5},"b":[1,2]}'
    assert files.canonical({'x': np.float64(0.1)}) == '{"x":0.1}'
    assert files.config_hash({'x': 1}) != files.config_hash({'x': 2})
    assert files.config_hash({}) == '44136fa355'     # sha256 of '{}'
    for value in (object(), {1, 2}):                 # a set has no order to be relied on
        with pytest.raises(TypeError):
            files.canonical({'x': value})


CHANGES = [
    (('seed',), '0', "field 'seed': expected `int`, got `str`"),
    (('seed',), True, "field 'seed': expected `int`, got `bool`"),
    (('seed',), -1, "field 'seed': expected `int` >= 0"),
    (('steps',), 1.5, "field 'steps': expected `int`, got `float`"),
    (('status',), 'running', "field 'status': invalid enum value 'running'"),
    (('status',), 'failed', "field 'reason' is empty"),
    (('published',), ['A4/vae', 3], "field 'published[1]'"),
    (('dataset', 'sha256'), None, "field 'dataset.sha256': expected `str`, got `null`"),
    (('dataset', 'sizes'), {'test': -1}, "field 'dataset.sizes.test': expected `int` >= 0"),
    (('dataset', 'colour'), 1, "field 'dataset.colour' is unknown"),
    (('metrics',), [], "field 'metrics': expected `object`, got `array`"),
    (('metrics', 'nll_iw', 'value'), '100',
     "field 'metrics.nll_iw.value': expected `float | null`, got `str`"),
    (('metrics', 'nll_iw', 'better'), 'up',
     "field 'metrics.nll_iw.better': invalid enum value"),
    (('metrics', 'nll_iw', 'samples'), 0.5, "field 'metrics.nll_iw.samples'"),
    (('metrics', 'nll_iw', 'colour'), 0.5, "field 'metrics.nll_iw.colour' is unknown"),
    (('config_hash',), 'xyz', "field 'config_hash': expected `str` matching regex"),
    (('config_hash',), '0' * 10 + '\n', "field 'config_hash': expected `str` matching regex"),
    (('row',), '../vae', "field 'row': expected `str` matching regex"),
    (('schema',), 3, 'schema 3 is not 2'), (('schema',), '2', 'schema "2" is not 2'),
    (('schema',), 1, 'schema 1 is not 2, the one this version reads'),
    (('parameters',), 'best', "field 'parameters'"),
    (('parameters', 0, 'kept'), 'first', "field 'parameters[0].kept': invalid enum value"),
    (('git', 'dirty'), 'yes', "field 'git.dirty'"),
    (('times', 'train'), [1], "field 'times.train'"),
    (('device', 'count'), None, "field 'device.count'"),
    (('versions', 'jax'), 10, "field 'versions.jax': expected `str`, got `int`"),
    (('colour',), 'red', "field 'colour' is unknown"),
]


@pytest.mark.parametrize(('keys', 'value', 'message'), CHANGES)
def test_wrong_fields_are_named(tmp_path, keys, value, message):
    result = copy.deepcopy(fake())
    inner = result
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path = tmp_path / 'x.json'
    path.write_text(json.dumps(result))
    with pytest.raises(UserError) as error:
        results.read(path)
    said = str(error.value)
    assert said.startswith(f'{path}: ') and message in said and '\n' not in said
    with pytest.raises(ValueError, match='not a result') as error:
        results.write(tmp_path, result)
    assert message in str(error.value)


def written(kind):
    """{field as a file names it: its type} of a record, and whether it may be left out."""
    return {f.encode_name: f for f in msgspec.structs.fields(kind)}


PARTS = {(): records.Result, ('dataset',): records.Dataset, ('times',): records.Times,
         ('git',): records.Git, ('device',): records.Device,
         ('metrics', 'nll_iw'): records.Metric, ('parameters', 0): records.Kept}
"""Where a result has records."""


def test_missing_fields_are_named(tmp_path):
    checked = 0
    for place, kind in PARTS.items():
        for name, field in written(kind).items():
            result = inner = copy.deepcopy(fake())
            for key in place:
                inner = inner[key]
            inner.pop(name, None)
            if not field.required:
                results.checked(result)
                continue
            where = '.'.join(map(str, (*place, name))).replace('.0', '[0]')
            wanted = f"field '{where}' is missing"
            with pytest.raises(ValueError, match=re.escape(wanted)):
                results.checked(result)
            checked += 1
    assert checked > 40


def every_record(result):
    """(type, fields) of every record in a result as a file holds it."""
    yield records.Result, result
    for name, kind in (('dataset', records.Dataset), ('times', records.Times),
                       ('git', records.Git), ('device', records.Device)):
        yield kind, result[name]
    yield from ((records.Kept, inner) for inner in result['parameters'])
    yield from ((records.Metric, inner) for inner in result['metrics'].values())


def test_committed_results_have_the_fields_of_the_schema_and_no_other():
    """What is written is what is checked: no field escapes it."""
    fields = collections.defaultdict(set)
    for path in COMMITTED.glob('*/*.json'):
        if path.name != results.MANIFEST:
            for kind, inner in every_record(json.loads(path.read_bytes())):
                fields[kind] |= inner.keys()
    # Results that were made before say nothing of what a metric can be.
    fields[records.Metric] |= {'least', 'most'}
    fields[records.Kept] |= {'by'}
    # Rows that nobody tuned say nothing of it.
    fields[records.Result] |= {'tuning'}
    assert fields == {kind: set(written(kind)) for kind in PARTS.values()}


def test_committed_results_and_manifests_load():
    for folder in {p.parent for p in COMMITTED.glob('*/*.json')}:
        found, problems = results.read_all(folder)
        manifest = results.read_manifest(folder)
        assert found and problems == []
        assert {t.table for t in manifest.tables} == {r.table for r in found}
        assert all(t.primary in t.columns and t.baseline for t in manifest.tables)


def test_a_new_runs_results_have_no_other_field(tmp_path):
    with pytest.raises(ValueError, match="field 'colour' is unknown"):
        results.write(tmp_path, fake(colour='red'))
    assert list(tmp_path.iterdir()) == []


def test_bad_files_are_named_and_change_nothing(tmp_path):
    for seed in range(2):
        results.write(tmp_path, fake(seed=seed))
    good = results.read_all(tmp_path)[0]
    name = results.filename(good[0])
    text = (tmp_path / name).read_text()
    bad = {
        'a.json': text[:300], 'b.json': '', 'c.json': '{"loss": 3}', 'd.json': '[1, 2]',
        'e.json': text.replace('100.0', 'NaN'), 'f.json': text, 'g.json': '[' * 100_000,
    }
    for file, content in bad.items():
        (tmp_path / file).write_text(content)
    (tmp_path / 'h.json').write_bytes(b'\xff\xfe\x00')
    (tmp_path / 'i.json').mkdir()
    (tmp_path / f'.{name}.99.tmp').write_text(text[:100])       # a process died while writing
    (tmp_path / results.MANIFEST).write_text('{}')
    found, problems = results.read_all(tmp_path)
    assert found == good
    assert [p.split(': ')[0]
            for p in problems] == [str(tmp_path / f'{c}.json') for c in 'abcdefghi']
    assert not any('\n' in p for p in problems)
    assert 'not valid JSON' in problems[0] and 'no result file of vaebench' in problems[2]
    assert ': NaN, ' in problems[4] and name in problems[5]


@pytest.mark.parametrize('call', ['fsync', 'replace'])
def test_full_disk(tmp_path, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, call, full)
    with pytest.raises(UserError, match='No space left on device.*make room'):
        results.write(tmp_path / 'results', fake())
    assert list((tmp_path / 'results').iterdir()) == []


def test_artefacts_come_first(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(results, 'write_bytes', lambda path, data: order.append(path.suffix))
    results.write(tmp_path, fake(), {'z': np.zeros(1)})
    assert order == ['.npz', '.json']


def test_manifest(tmp_path):
    assert results.read_manifest(tmp_path) is None
    row = {'row': 'vae', 'label': 'VAE', 'order': 0, 'hash': '0' * 10}
    table = {
        'table': 'toy', 'title': 'Toy', 'columns': ['kl'], 'seeds': [0, 1], 'primary': 'kl',
        'baseline': 'vae', 'rows': [row]
    }
    manifest = {'tables': [table]}
    path = results.write_manifest(tmp_path, manifest)
    assert json.loads(path.read_text()) == manifest
    back = results.read_manifest(tmp_path)
    assert back.tables[0].rows[0] == records.ManifestRow(**row)
    assert results.write_manifest(tmp_path, back).read_text() == path.read_text()
    bare = {k: v for k, v in table.items() if k in ('table', 'title', 'rows')}
    results.write_manifest(tmp_path, {'tables': [{**bare, 'primary': None}]})
    assert json.loads(path.read_text()) == {'tables': [bare]}
    for old, new, wrong in (('"order": 0', '"order": "0"', 'rows[0].order'),
                            ('"order": 0', '"order": 0, "x": 1', "rows[0].x' is unknown"),
                            ('"table": "toy"', '"table": "toy", "y": 1', "y' is unknown")):
        path.write_text(json.dumps(manifest).replace(old, new))
        with pytest.raises(UserError, match=re.escape(f"table.json: field 'tables[0].{wrong}")):
            results.read_manifest(tmp_path)
    with pytest.raises(ValueError, match='rows'):
        results.write_manifest(tmp_path, {'tables': [{'table': 'toy', 'title': 'Toy'}]})


def test_lock_excludes_and_is_released(tmp_path):
    path = tmp_path / 'locks' / 'vae.lock'
    with files.lock(path) as first, files.lock(path) as second:
        assert (first, second) == (True, False)
    with pytest.raises(ZeroDivisionError), files.lock(path) as ours:
        assert ours
        raise ZeroDivisionError
    with files.lock(path) as ours:
        assert ours


@pytest.mark.parametrize('number', [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_that_cannot_lock_is_named(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr('fcntl.flock', refuse)
    path = tmp_path / 'vae.lock'
    with pytest.raises(UserError, match='cannot lock .*local folder'), files.lock(path):
        pass
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='opened'), files.lock(tmp_path / 'file' / 'x.lock'):
        pass


def test_a_lock_may_be_waited_for(tmp_path):
    path, got = tmp_path / 'vae.lock', []

    def wait():
        with files.lock(path, wait=True) as ours:
            got.append(ours)

    with files.lock(path) as ours:
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(.2)
        assert ours and got == [] and thread.is_alive()
    thread.join(10)
    assert got == [True]


def test_lock_dies_with_its_process(tmp_path):
    path = tmp_path / 'vae.lock'
    code = (
        'import sys, time; from vaebench import files\n'
        'with files.lock(sys.argv[1]) as ours:\n    print(ours, flush=True); time.sleep(60)')
    with subprocess.Popen([sys.executable, '-c', code, str(path)], stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            assert process.stdout.readline() == 'True\n'
            with files.lock(path) as ours:
                assert not ours
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    with files.lock(path) as ours:
        assert ours
