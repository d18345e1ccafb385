"""Runs notebooks and stores what they print: `python docs/scripts/notebooks.py [NAME ...]`."""
import pathlib
import sys
import tempfile

import nbclient
import nbformat

FOLDER = pathlib.Path(__file__).parent.parent / 'notebooks'
LONGEST = 1800
"""Seconds that a cell may take, on a machine that is busy."""
METADATA = {'kernelspec': {'name': 'python3', 'display_name': 'Python 3', 'language': 'python'},
            'language_info': {'name': 'python'}}


def executed(path: pathlib.Path, folder: str) -> nbformat.NotebookNode:
    """A notebook with the outputs that it has when it runs in a folder.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    resources = {'metadata': {'path': folder}}
    nbclient.NotebookClient(notebook, timeout=LONGEST, resources=resources).execute()
    notebook.metadata = METADATA
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == 'code':
            cell.outputs = _tidy(cell.outputs)
    return notebook


def _tidy(outputs: list) -> list:
    """Outputs without what a moment decides: a stream in one piece, the richest form alone,
    nothing that libraries say of a busy machine."""
    kept = []
    for output in outputs:
        if output.get('name') == 'stderr':
            continue
        if output.output_type == 'stream' and kept and kept[-1].get('name') == output.name:
            kept[-1].text += output.text
            continue
        for richer in 'image/png', 'text/markdown', 'text/plain':
            if richer in output.get('data', {}):
                output.data = {richer: output.data[richer]}
        kept.append(output)
    return kept


if __name__ == '__main__':
    for file in sorted(FOLDER.glob('*.ipynb')):
        if file.stem in sys.argv[1:] or not sys.argv[1:]:
            with tempfile.TemporaryDirectory() as empty:
                nbformat.write(executed(file, empty), file)
            print(file.name, flush=True)
