"""The commands of pages that a newcomer types, as they stand there."""
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / 'docs'
COMMANDS = f'''
python() {{ {sys.executable} "$@"; }}
vaebench() {{ {sys.executable} -m vaebench.cli "$@"; }}
vaebench-report() {{ {sys.executable} -m vaebench.report "$@"; }}
'''
"""Of this checkout, whatever is installed."""


def blocks(page, language):
    return re.findall(rf'^```{language}\n(.*?)^```$', (DOCS / f'{page}.md').read_text(), flags=re.M | re.S)


def run(script, folder):
    """What a shell prints that stops at the first error."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get('PYTHONPATH'))))
    done = subprocess.run(['bash', '-euc', COMMANDS + script], cwd=folder, text=True, capture_output=True,
                          env={**os.environ, 'PYTHONPATH': path})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_getting_started_does_what_it_says(tmp_path):
    every = blocks('getting-started', 'bash')
    first, plan, more, other, look, model = [run(block, tmp_path) for block in every]
    assert all(label in first for label in ('the source itself', 'BN-VAE (0.6)', 'WGAN-GP'))
    assert ' done' in plan and ' missing' not in plan.splitlines()[-1]
    assert 'Mean over' in more
    assert 'beta-VAE (0.25)' in other
    assert all(label in look for label in ('VAE', 'ppl_iw'))
    assert '(1, 8)' in model and len(model.splitlines()) == 2
    for name in 'page.html', 'cards.md', 'figures', 'pictures':
        assert (tmp_path / name).exists(), name


def sentences(folder):
    rng = np.random.default_rng(0)
    words = [['a', 'the', 'one'], ['cat', 'dog', 'bird'], ['sees', 'hears', 'likes'], ['us', 'them', 'it']]
    for split, n in ('train', 300), ('valid', 40), ('test', 40):
        lines = (' '.join(rng.choice(part) for part in words) for _ in range(n))
        (folder / f'{split}.txt').write_text('\n'.join(lines))


def pictures(folder):
    rng = np.random.default_rng(0)
    at = np.mgrid[:20, :20]
    for i in range(300):
        middle = rng.uniform(6, 14, (2, 1, 1))
        far = np.abs(at - middle).max(0) if i % 2 else np.sqrt(np.square(at - middle).sum(0))
        label = folder / ('square' if i % 2 else 'disk')
        label.mkdir(exist_ok=True)
        Image.fromarray(np.uint8(255 * (far < 5))).save(label / f'{i}.png')


@pytest.mark.slow
@pytest.mark.parametrize('page, make, labels', [
    ('your-own-sentences', sentences, ('VAE', 'BN-VAE (0.6)')),
    ('your-own-pictures', pictures, ('VAE, Bernoulli', 'WGAN-GP'))])
def test_own_data_begin_small(page, make, labels, tmp_path):
    """The block of each page that is small; the others are the same at full size."""
    folder = tmp_path / 'FOLDER'
    folder.mkdir()
    make(folder)
    block, = (block for block in blocks(page, 'sh') if 'seeds=1' in block)
    shown = run(block, tmp_path)
    assert all(label in shown for label in labels)


@pytest.mark.slow
def test_a_config_written_in_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, block = blocks('python', 'python')
    space = {}
    exec(compile(block, 'python.md', 'exec'), space)
    frame = space['done'].to_pandas()
    assert frame[['row', 'seed']].values.tolist() == [['vae', 0], ['vae', 1], ['beta_4', 0], ['beta_4', 1]]
    assert 'beta-VAE (4)' in str(space['done'])


def test_blocks_that_are_not_run_say_so():
    """A page has blocks of shell that a test runs (bash), or says that they were not run."""
    for path in DOCS.glob('*.md'):
        text = path.read_text()
        told = re.search(r'not run|\bruns (this|these|some)\b', text, flags=re.I)
        assert '```sh\n' not in text or told, path.name
