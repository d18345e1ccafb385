"""Result files: written once and whole, every field checked."""
import copy
import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from vaebench import files
from vaebench.errors import UserError
from vaebench.experiment import results


def fake(row='vae', seed=0, value=100., *, table='toy', order=0, metrics=None, dataset=None, **changes):
    """A result that passes every check; `value` is its nll_iw."""
    if metrics is None:
        metrics = {'nll_iw': metric(value, 'importance sampling, S=500', samples=500, stderr=0.5)}
    config = {'row': row, 'sizes': [4, 2], 'lr': 0.5}
    return {
        'schema': 1, 'table': table, 'title': 'Toy table', 'row': row, 'label': row.upper(), 'order': order,
        'seed': seed, 'method': row, 'status': 'done', 'reason': None, 'published': [],
        'dataset': {'name': 'toy', 'sha256': '0123456789abcdef' * 4, 'split': 'test', 'sizes': {'test': 10},
                    'tokens': None, 'vocab': None} | (dataset or {}),
        'config': config, 'config_hash': files.config_hash(config), 'train_hash': '0' * 10, 'parameters': 'best',
        'metrics': metrics, 'times': {'train': 12.5, 'evaluate': 1., 'compile': 3.}, 'steps': 1000,
        'parameter_count': 12345, 'peak_memory': None, 'git': {'revision': 'a' * 40, 'dirty': False},
        'versions': {'jax': '0.10.2'}, 'device': {'kind': 'cpu', 'count': 1, 'platform': 'cpu'}, 'host': 'Toy CPU',
        **changes}


def metric(value, estimator='mean', **changes):
    return {'value': value, 'estimator': estimator, 'n': 10, 'samples': None, 'unit': 'nats/sentence',
            'better': 'lower', 'stderr': None, 'warning': None, 'note': None, **changes}


def test_round_trip(tmp_path):
    result, z = fake(seed=3, value=0.1 + 0.2), np.arange(6.).reshape(2, 3)
    path = results.write(tmp_path, result, {'z': z})
    assert path.name == f'vae.s3.{result["config_hash"]}.json'
    assert results.read(path) == result
    with np.load(path.with_suffix('.npz')) as arrays:
        np.testing.assert_array_equal(arrays['z'], z)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == ['.json', '.npz']
    assert results.read_all(tmp_path) == ([result], [])


def test_written_once(tmp_path):
    path = results.write(tmp_path, fake(value=1.), {'z': np.zeros(2)})
    before = path.read_bytes(), path.with_suffix('.npz').read_bytes()
    assert results.write(tmp_path, fake(value=2.), {'z': np.ones(2)}) == path
    assert (path.read_bytes(), path.with_suffix('.npz').read_bytes()) == before
    path.write_bytes(before[0][:-20])
    results.write(tmp_path, fake(value=2.))
    assert results.read(path)['metrics']['nll_iw']['value'] == 2.


def test_numpy_scalars_and_non_finite_numbers(tmp_path):
    result = fake(metrics={'a': metric(np.float32(np.nan), warning='odd'), 'b': metric(2., stderr=float('inf')),
                           'c': {'value': np.float32(0.5), 'estimator': 'e', 'unit': 'u', 'better': None}},
                  config={'clip': float('inf'), 'cuts': (1, 2)}, steps=np.int64(7), times={
                      'train': float('nan'), 'evaluate': np.float64(1), 'compile': 0})
    path = results.write(tmp_path, result)
    assert not {'NaN', 'Infinity'} & set(path.read_text().replace(',', ' ').split())
    back = results.read(path)
    assert back['metrics']['a']['value'] is None and back['metrics']['a']['warning'] == 'odd; value was nan'
    assert back['metrics']['b']['stderr'] is None and back['metrics']['b']['warning'] == 'stderr was inf'
    assert back['metrics']['c'] == {'value': 0.5, 'estimator': 'e', 'unit': 'u', 'better': None, 'n': None,
                                    'samples': None, 'stderr': None, 'warning': None, 'note': None}
    assert back['config'] == {'clip': 'inf', 'cuts': [1, 2]} and back['steps'] == 7 and back['times']['train'] is None
    assert files.config_hash(back['config']) == files.config_hash(result['config'])


def test_canonical():
    ml_collections = pytest.importorskip('ml_collections')
    config = ml_collections.ConfigDict({'b': (1, 2), 'a': {'x': 0.5}})
    assert files.canonical(config) == '{"a":{"x":0.5},"b":[1,2]}'
    assert files.canonical({'x': np.float64(0.1)}) == '{"x":0.1}'
    assert files.config_hash({'x': 1}) != files.config_hash({'x': 2})
    assert files.config_hash({}) == '44136fa355'     # sha256 of '{}'
    with pytest.raises(TypeError):
        files.canonical({'x': object()})


CHANGES = [
    (('seed',), '0', "field 'seed' is \"0\", not a whole number"),
    (('seed',), True, "field 'seed' is true, not a whole number"),
    (('seed',), -1, "field 'seed' is negative"),
    (('steps',), 1.5, "field 'steps'"),
    (('status',), 'running', "field 'status' is \"running\", not 'done' or 'failed'"),
    (('status',), 'failed', "field 'reason' is empty"),
    (('published',), ['A4/vae', 3], "field 'published[1]'"),
    (('dataset', 'sha256'), None, "field 'dataset.sha256' is null, not a string"),
    (('metrics',), [], "field 'metrics' is not an object"),
    (('metrics', 'nll_iw', 'value'), '100', "field 'metrics.nll_iw.value' is \"100\", not a number or null"),
    (('metrics', 'nll_iw', 'better'), 'up', "field 'metrics.nll_iw.better'"),
    (('metrics', 'nll_iw', 'samples'), 0.5, "field 'metrics.nll_iw.samples'"),
    (('config_hash',), 'xyz', "field 'config_hash' is 'xyz', not ten hex digits"),
    (('row',), '../vae', "field 'row' is '../vae'"),
    (('schema',), 2, 'schema 2 is not 1'),
    (('parameters',), 'first', "field 'parameters'"),
    (('git', 'dirty'), 'yes', "field 'git.dirty'"),
    (('times', 'train'), [1], "field 'times.train'"),
    (('device', 'count'), None, "field 'device.count'"),
    (('versions', 'jax'), 10, "field 'versions.jax'"),
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
    assert str(error.value).startswith(f'{path}: ') and message in str(error.value) and '\n' not in str(error.value)
    with pytest.raises(ValueError, match='not a result'):
        results.write(tmp_path, result)


def test_missing_fields_are_named():
    def paths(spec, at=()):
        for key, inner in spec.items():
            if not key.endswith('?') and key != '*':
                yield (*at, key)
                if isinstance(inner, dict):
                    yield from paths(inner, (*at, key))

    checked = 0
    for path in paths(results.SCHEMA):
        result = copy.deepcopy(fake())
        inner = result
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        assert f"'{'.'.join(path)}' is missing" in results.validate(result)
        checked += 1
    assert checked > 30


def test_bad_files_are_named_and_change_nothing(tmp_path):
    for seed in range(2):
        results.write(tmp_path, fake(seed=seed))
    good = results.read_all(tmp_path)[0]
    name = results.filename(fake())
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
    assert [p.split(': ')[0] for p in problems] == [str(tmp_path / f'{c}.json') for c in 'abcdefghi']
    assert not any('\n' in p for p in problems)
    assert 'not valid JSON' in problems[0] and 'no result file of vaebench' in problems[2]
    assert 'bare NaN' in problems[4] and name in problems[5]


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
    manifest = {'tables': [{'table': 'toy', 'title': 'Toy', 'columns': ['kl'], 'seeds': [0, 1], 'rows': [
        {'row': 'vae', 'label': 'VAE', 'order': 0, 'hash': '0' * 10}]}]}
    path = results.write_manifest(tmp_path, manifest)
    assert results.read_manifest(tmp_path) == manifest
    path.write_text(json.dumps(manifest).replace('"order": 0', '"order": "0"'))
    with pytest.raises(UserError, match=r"table.json: field 'tables\[0\].rows\[0\].order'"):
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


def test_lock_dies_with_its_process(tmp_path):
    path = tmp_path / 'vae.lock'
    code = ('import sys, time; from vaebench import files\n'
            'with files.lock(sys.argv[1]) as ours:\n    print(ours, flush=True); time.sleep(60)')
    with subprocess.Popen([sys.executable, '-c', code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == 'True\n'
            with files.lock(path) as ours:
                assert not ours
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    with files.lock(path) as ours:
        assert ours
