"""A modality that the package has never heard of, by entry points alone, on existing methods."""
import importlib
import pathlib
import sys

import numpy as np
import pytest

import vaebench
from vaebench import networks, report
from vaebench.errors import UserError
from vaebench.experiment import table
from vaebench.experiment.rows import row
from vaebench.experiment.runner import Runner

DOCS = pathlib.Path(__file__).parent.parent / 'docs' / 'add-a-kit.md'
PACKAGE = 'spins_for_vaebench'


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with the code of the page on kits, as pip would leave it; nothing of ours is edited."""
    from test_docs import BLOCK
    first, second = BLOCK.findall(DOCS.read_text())
    code = '\n'.join(line for line in (first + second.split('\nDATASETS[')[0]).splitlines()
                     if not line.startswith('KITS['))
    (tmp_path / f'{PACKAGE}.py').write_text(
        f"{code}\n\nENTRY = KitEntry(spins, ('spins',), ('encoder', 'head', 'decoder', 'mlp'))\n")
    info = tmp_path / f'{PACKAGE}-1.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: spins-for-vaebench\nVersion: 1\n')
    (info / 'entry_points.txt').write_text(
        f'[vaebench.kits]\nspin_nets = {PACKAGE}:ENTRY\n[vaebench.datasets]\nspin_chains = {PACKAGE}:chains\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop(PACKAGE, None)


def config(**rows):
    return dict(name='chains', title='Chains', seeds=2, dataset=dict(name='spin_chains'),
                kit=dict(name='spin_nets', latent=2, hidden=8), epochs=3, batch=20, evaluation=dict(samples=8),
                optimizer=dict(lr=.02), metrics=('nll_iw', 'elbo', 'kl', 'mi_full', 'au', 'frechet'), table=rows)


@pytest.mark.slow
def test_two_existing_methods_train_and_stand_in_a_table(installed):
    assert 'spin_nets' not in networks.KITS
    runner = Runner(table.tables(config(vae=row('VAE', 'vae'), wae=row('WAE-MMD', 'wae_mmd')))[0], installed / 'run')
    assert not any(runner.run().values())
    text = report.render([installed / 'run'], 'markdown')[0]
    assert '| VAE ' in text and '| WAE-MMD |' in text and 'nats/chain' in text and 'frechet' not in text
    model = vaebench.load(runner.result_path(runner.table.rows[0], 1))
    codes = model.encode(['++++++', '------', '+++---'])
    assert codes.shape == (3, 2) and np.isfinite(codes).all()
    assert all(set(chain) <= {'+', '-'} and len(chain) == 6 for chain in model.decode(codes) + model.sample(5))


def test_a_row_that_the_kit_cannot_serve_is_refused_before_the_data_is_read(installed, monkeypatch):
    monkeypatch.setattr('vaebench.datasets.load', lambda *args, **kwargs: pytest.fail('the data was read'))
    with pytest.raises(UserError, match='method gan needs critic, gen, which kit.name=spin_nets has not'):
        runner = Runner(table.tables(config(gan=row('GAN', 'gan')))[0], installed / 'run')
        runner.run()
    assert not (installed / 'run').exists()
