"""The notebooks run as they stand, and what is stored in them is what they print."""
import json
import os
import pathlib
import re

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
    assert not re.findall(r'(?<![\w.)>])/[a-z]+/[\w.-]+', told)


@pytest.mark.slow
@names
def test_a_notebook_runs_and_prints_as_much_as_is_stored(path, tmp_path, monkeypatch):
    pytest.importorskip('nbclient')
    monkeypatch.syspath_prepend(ROOT / 'docs' / 'scripts')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, (str(ROOT), os.environ.get('PYTHONPATH')))))
    import notebooks
    stored = json.loads(path.read_text())['cells']
    made = notebooks.executed(path, str(tmp_path)).cells
    assert [kinds(cell) for cell in made] == [kinds(cell) for cell in stored]
    assert list(tmp_path.iterdir()) == []        # nothing but a folder of its own


def kinds(cell):
    """What a cell prints, but for what it says."""
    return [(o['output_type'], *o.get('data', [o.get('name')])) for o in cell.get('outputs', ())]
