"""Sentences of every row of a table side by side, from the listings of the runs."""
import itertools
import os.path
import re
from collections.abc import Sequence

from vaebench.report.figures.cells import Cell

FEW = 3                # samples shown of a row
STEPS = 5              # sentences shown of a line between two codes
EMPTY = '(empty)'
SAID = 'say'           # begins a line of what a row says


def parse(text: str) -> dict[str, list[list[str]]]:
    """Reads the sections of a listing.

    Args:
      text: titles at the margin, and below each of them indented lines. Empty lines divide
        these into blocks.

    Returns:
      {title: blocks of lines}.

    >>> parse('Samples\\n  a b\\n  c\\n\\nLines\\n  0.0   a\\n\\n  0.0   b\\n')
    {'Samples': [['a b', 'c']], 'Lines': [['0.0   a'], ['0.0   b']]}
    """
    out, block = {}, None
    for line in text.splitlines():
        if not line:
            block = None
        elif not line[0].isspace():
            blocks, block = out.setdefault(line.strip(), []), None
        elif out:
            if block is None:
                block = []
                blocks.append(block)
            block.append(line.strip() or EMPTY)     # spaces alone: a sentence without words
    return out


def _excerpt(blocks):
    """The first lines of a section: a few samples, one analogy, or some steps of one line."""
    first = blocks[0]
    steps = [i for i, line in enumerate(first) if re.match(r'-?\d\.\d(\s|$)', line)]
    if not steps:
        return first if len(blocks) > 1 else first[:FEW]
    kept = {steps[round(i * (len(steps) - 1) / (STEPS - 1))] for i in range(STEPS)}
    return [line for i, line in enumerate(first) if i not in steps or i in kept]


def _escape(text):
    """A text without signs that Markdown understands."""
    return re.sub(r'([\\|*<>`_\[\]])', r'\\\1', ' '.join(text.split()))


def _shared(excerpts):
    """The lines that begin all of several excerpts, up to what a row itself says."""
    if len(excerpts) < 2:
        return []
    common = os.path.commonprefix(excerpts)
    return [*itertools.takewhile(lambda line: not line.startswith(SAID), common)]


def overview(cells: Sequence[Cell]) -> str:
    """Puts the first sentences of every row side by side, in a table for each kind of listing;
    what all rows begin with, such as a source or a context, stands above it.

    Args:
      cells: of one table. The first seed of a row that has a listing counts.

    Returns:
      Markdown, '' where no cell has a listing.
    """
    labels, first = {}, {}
    for cell in sorted(cells, key=lambda c: (c.number, c.seed)):
        labels.setdefault(cell.number, cell.label)
        if cell.listing and cell.number not in first:
            first[cell.number] = parse(cell.sentences())
    titles = dict.fromkeys(title for sections in first.values() for title in sections)
    if not titles:
        return ''
    parts = [f'# {_escape(cells[0].title)}: sentences', 'Of the first seed of every row.']
    for title in titles:
        own = {n: _excerpt(s[title]) for n, s in first.items() if s.get(title)}
        shared = _shared([*own.values()])
        said = {n: '<br>'.join(map(_escape, e[len(shared):])) for n, e in own.items()}
        lines = [f'| {n} | {_escape(labels[n])} | {text} |' for n, text in said.items()]
        head = ['| | method | sentences |', '| ---: | --- | --- |']
        parts += [f'## {_escape(title)}', *['<br>'.join(map(_escape, shared))] * bool(shared),
                  '\n'.join(head + lines)]
        without = [_escape(label) for n, label in labels.items() if n not in own]
        parts += [f'None: {", ".join(without)}.'] if without else []
    return '\n\n'.join(parts) + '\n'
