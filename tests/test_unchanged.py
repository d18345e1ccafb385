"""Parameters and metrics of `unchanged_config.py` stay bit for bit what they were when `unchanged.json` was written.

    python tests/test_unchanged.py > tests/unchanged.json      # only with a reason, which the commit says

Hashes of floats hold on one processor with one version of JAX: elsewhere the metrics are compared in value.
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import jax
import jaxlib
import numpy as np
import pytest

import vaebench

HERE = pathlib.Path(__file__).parent


def digest(tree):
    """The beginning of the sha256 of all leaves, their places and their types."""
    h = hashlib.sha256()
    leaves = [(jax.tree_util.keystr(path), np.asarray(x)) for path, x in jax.tree_util.tree_leaves_with_path(tree)]
    for path, leaf in sorted(leaves, key=lambda pair: pair[0]):
        h.update(f'{path}{leaf.dtype.str}{leaf.shape}'.encode())
        h.update(np.ascontiguousarray(leaf).tobytes())
    return h.hexdigest()[:16]


def processor():
    """What decides the last bits of a float here."""
    facts = {line.split(':')[0].strip(): line.split(':')[1].strip()
             for line in pathlib.Path('/proc/cpuinfo').read_text().split('\n\n')[0].splitlines() if ':' in line}
    flags = hashlib.sha256(facts.get('flags', '').encode()).hexdigest()[:8]
    return f"{facts.get('vendor_id')} family {facts.get('cpu family')} model {facts.get('model')} flags {flags}"


def measured(workdir):
    """Trains and evaluates the whole config in a process of its own, optimised as a user's."""
    command = [sys.executable, '-m', 'vaebench.cli', f'--config={HERE / "unchanged_config.py"}', f'--workdir={workdir}',
               f'--compilation_cache={workdir}/jax']
    env = {k: v for k, v in __import__('os').environ.items() if k != 'JAX_DISABLE_MOST_OPTIMIZATIONS'}
    subprocess.run(command, check=True, capture_output=True, env=env, timeout=1800)
    cells = {}
    for path in sorted((pathlib.Path(workdir) / 'results').glob('*.json')):
        result, model = json.loads(path.read_text()), vaebench.load(path)
        cells[f"{result['table']}/{result['row']}.s{result['seed']}"] = {
            'params': digest(model.params), 'carry': digest(model.carry),
            'metrics': {k: m['value'] for k, m in result['metrics'].items()}}
    return {'processor': processor(), 'jaxlib': jaxlib.__version__, 'cells': cells}


CHOSEN = {'source': [], 'pca': [], 'vae': ['best'], 'ae_gmm': ['best', 'last'],
          'pre_ae_fb': ['best', 'best'], 'lagging': ['last', 'best'], 'wgan_gp': ['last']}
"""Which parameters the phases of some rows keep, as their results must say."""


def chosen(workdir):
    """`CHOSEN` as the results in a folder have it."""
    found = [json.loads(path.read_text())
             for path in (pathlib.Path(workdir) / 'results').glob('*.json')]
    return {r['row']: [p['kept'] for p in r['parameters']] for r in found if r['row'] in CHOSEN}


@pytest.mark.slow
def test_parameters_and_metrics_are_what_they_were(tmp_path):
    kept, found = json.loads((HERE / 'unchanged.json').read_text()), measured(tmp_path)
    assert kept['cells'].keys() == found['cells'].keys() and len(kept['cells']) == 56
    if (kept['processor'], kept['jaxlib']) == (found['processor'], found['jaxlib']):
        wrong = {cell: {k: (was[k], now[k]) for k in was if was[k] != now[k]}
                 for cell, was in kept['cells'].items() if (now := found['cells'][cell]) != was}
        assert not wrong
    assert chosen(tmp_path) == CHOSEN
    for cell, was in kept['cells'].items():
        now = found['cells'][cell]['metrics']
        assert was['metrics'].keys() == now.keys(), cell
        exact = {k: v for k, v in was['metrics'].items() if k in ('rec', 'elbo', 'nll_iw', 'mse')}
        for name, value in exact.items():       # a few steps of training: rounding stays rounding
            assert now[name] == pytest.approx(value, rel=.02, abs=.02), (cell, name)


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(folder), indent=1))
