"""The notebooks run as they stand, and what is stored in them is what they print."""
import json
import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / 'docs' / 'notebooks').glob('*.ipynb'))
names = pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)


@names
def test_outputs_are_of_the_code_and_name_no_place(path):
    """Every cell was run, in order, without a warning, on no machine that can be told."""
    cells = [c for c in json.loads(path.read_text())['cells'] if c['cell_type'] == 'code']
    assert [c['execution_count'] for c in cells] == [*range(1, len(cells) + 1)]
    outputs = [o for c in cells for o in c['outputs']]
    assert outputs and all(o['output_type'] in ('stream', 'display_data', 'execute_result') for o in outputs)
    assert all(o.get('name') != 'stderr' for o in outputs)
    told = json.dumps([(o.get('text'), [v for k, v in o.get('data', {}).items() if k != 'image/png']) for o in outputs])
    assert not [place for place in ('/tmp', '/home', '/root', '/work', '/usr', str(ROOT)) if place in told]


@pytest.mark.slow
@names
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip('nbformat'), pytest.importorskip('nbclient')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, (str(ROOT), os.environ.get('PYTHONPATH')))))
    notebook = nbformat.read(path, as_version=4)
    stored = [[output.output_type for output in c.outputs] for c in notebook.cells if c.cell_type == 'code']
    nbclient.NotebookClient(notebook, timeout=900, resources={'metadata': {'path': str(tmp_path)}}).execute()
    made = [[output.output_type for output in c.outputs] for c in notebook.cells if c.cell_type == 'code']
    assert made == stored
    assert not any(output.get('name') == 'stderr' for c in notebook.cells for output in c.get('outputs', ()))
    assert list(tmp_path.iterdir()) == []        # nothing but its own folder
