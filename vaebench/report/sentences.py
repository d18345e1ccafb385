"""Sentences of every row of a table side by side, from the listings that runs leave beside their results."""
import re

FEW = 3                # samples shown of a row
STEPS = 5              # sentences shown along a line
EMPTY = '(empty)'


def parse(text):
    """The sections of a listing.

    Args:
      text: titles at the margin, below each indented lines in blocks parted by empty lines.

    Returns:
      {title: list of blocks, lists of lines}.

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
            block.append(line.strip() or EMPTY)       # spaces alone are a sentence without words
    return out


def _shown(blocks):
    """The first few of what a section says: samples, one analogy, or one line between codes thinned out."""
    first = blocks[0]
    steps = [i for i, line in enumerate(first) if re.match(r'\d\.\d(\s|$)', line)]
    if not steps:
        return first if len(blocks) > 1 else first[:FEW]
    kept = {steps[round(i * (len(steps) - 1) / (STEPS - 1))] for i in range(STEPS)}
    return [line for i, line in enumerate(first) if i not in steps or i in kept]


def _escaped(text):
    return re.sub(r'([\\|*<>`_\[\]])', r'\\\1', ' '.join(text.split()))


def overview(cells):
    """The first sentences of the first seed of every row, a table for each kind of listing.

    Args:
      cells: list of `pictures.Cell` of one table.

    Returns:
      Markdown, '' where no cell has a listing.
    """
    labels, first = {}, {}
    for cell in sorted(cells, key=lambda c: (c.number, c.result.seed)):
        labels.setdefault(cell.number, cell.result.label)
        if cell.listing and cell.number not in first:
            first[cell.number] = parse(cell.listing.read_text())
    titles = dict.fromkeys(title for sections in first.values() for title in sections)
    if not titles:
        return ''
    parts = [f'# {_escaped(cells[0].result.title)}: sentences', 'Of the first seed of every row.']
    for title in titles:
        own = {n: _shown(s[title]) for n, s in first.items() if s.get(title)}
        without = [_escaped(label) for n, label in labels.items() if n not in own]
        lines = [f'| {n} | {_escaped(labels[n])} | {"<br>".join(map(_escaped, shown))} |' for n, shown in own.items()]
        parts += [f'## {_escaped(title)}', '\n'.join(['| | method | sentences |', '| ---: | --- | --- |', *lines])]
        parts += [f'None: {", ".join(without)}.'] if without else []
    return '\n\n'.join(parts) + '\n'
