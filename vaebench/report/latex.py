"""LaTeX of a grid of cells: a float where it fits a page, else parts that break across pages."""
import functools
import re
import unicodedata

PACKAGES = 'booktabs', 'graphicx', 'longtable'
ROWS = 40
"""More rows than this do not fit a page."""
WIDTH = 345.
"""Points between the margins of the narrowest common page, that of `article`."""
SHRINK = 0.6
"""A table may be scaled down to this; smaller, nobody reads it."""

PARAGRAPH = 170.
"""Points, the width of a column of words."""

_SIGNS = {
    '\\': r'\textbackslash{}', '&': r'\&', '%': r'\%', '$': r'\$', '#': r'\#', '_': r'\_', '{': r'\{', '}': r'\}',
    '~': r'\textasciitilde{}', '^': r'\textasciicircum{}', '<': r'\textless{}', '>': r'\textgreater{}',
    '|': r'\textbar{}', '↓': r'$\downarrow$', '↑': r'$\uparrow$', '→': r'$\to$', '←': r'$\leftarrow$', '≤': r'$\le$',
    '≥': r'$\ge$', '≠': r'$\ne$', '≈': r'$\approx$', '±': r'$\pm$', '×': r'$\times$', '·': r'$\cdot$', '−': r'$-$',
    '∞': r'$\infty$', '∈': r'$\in$', '∑': r'$\sum$', '√': r'$\surd$', '∂': r'$\partial$', '°': r'$^\circ$',
    '—': r'---', '–': r'--', '…': r'\ldots{}', '†': r'\textdagger{}', '‘': '`', '’': "'", '“': '``', '”': "''",
    'ß': r'\ss{}', 'ø': r'\o{}', 'Ø': r'\O{}', 'æ': r'\ae{}', 'Æ': r'\AE{}', 'œ': r'\oe{}', 'Œ': r'\OE{}',
    'ł': r'\l{}', 'Ł': r'\L{}', 'ı': r'\i{}', '§': r'\S{}', 'ε': r'$\epsilon$', 'φ': r'$\phi$', '⌊': r'$\lfloor$',
    '⌋': r'$\rfloor$', '⌈': r'$\lceil$', '⌉': r'$\rceil$', '✓': r'$\surd$', '✗': r'$\times$', 'ℓ': r'$\ell$',
}
_ACCENTS = {'\u0300': '`', '\u0301': "'", '\u0302': '^', '\u0303': '~', '\u0304': '=', '\u0306': 'u', '\u0307': '.',
            '\u0308': '"', '\u030a': 'r', '\u030b': 'H', '\u030c': 'v', '\u0323': 'd', '\u0327': 'c', '\u0331': 'b'}
_LATIN = dict(zip('ΑΒΕΖΗΙΚΜΝΟΡΤΧο', 'ABEZHIKMNOPTXo', strict=True))     # Greek letters for which TeX has no name
_SCRIPTS = {'<super>': '^', '<sub>': '_'}


@functools.cache
def _sign(c):
    """One character as TeX that needs no font or encoding of its own."""
    if c in _SIGNS:
        return _SIGNS[c]
    if c.isascii():
        return c
    greek = re.fullmatch('GREEK (SMALL|CAPITAL) LETTER (FINAL )?([A-Z]+)', unicodedata.name(c, ''))
    if greek and 'Α' <= c <= 'ω':
        name = {'LAMDA': 'LAMBDA'}.get(greek[3], greek[3])
        if c in _LATIN:
            return _LATIN[c]
        if greek[1] == 'SMALL':
            return rf'$\{name.lower()}$'
        return rf'$\{name.capitalize()}$'
    kind, _, rest = unicodedata.decomposition(c).rpartition('> ')
    parts = ''.join(chr(int(x, 16)) for x in rest.split())
    if kind + '>' in _SCRIPTS and parts.isascii() and parts.isalnum():
        return f'${_SCRIPTS[kind + ">"]}{{{parts}}}$'
    if not kind and len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        base = {'i': r'\i', 'j': r'\j'}.get(parts[0], _sign(parts[0]))
        return rf'\{_ACCENTS[parts[1]]}{{{base}}}'
    plain = unicodedata.normalize('NFKD', c).encode('ascii', 'ignore').decode()
    return ''.join(map(_sign, plain)) if plain else rf'\texttt{{U+{ord(c):04X}}}'


def escape(text):
    r"""Text that LaTeX prints as it stands, in ASCII; a sign that it has no font for becomes its code.

    >>> escape('50% of β_1'), escape('naïve 中')
    ('50\\% of $\\beta$\\_1', 'na\\"{\\i}ve \\texttt{U+4E2D}')
    """
    text = unicodedata.normalize('NFC', ' '.join(text.split()))
    text = re.sub('"([^"]*)"', '“\\1”', text)
    # Neighbours that TeX would join: -- is a dash there, ?` another sign.
    text = re.sub(r"(?<=-)(?=-)|(?<=')(?=')|(?<=[?!,<>`])(?=[,<>`])", '\0', text)
    return ''.join('{}' if c == '\0' else _sign(c) for c in text)


LONG = 24
"""Words in a cell beyond so many characters are set as a paragraph."""


def _words(text, wraps=False):
    if len(text) > LONG and not wraps:
        return rf'\parbox[t]{{28mm}}{{\raggedright {escape(text)}\strut}}'
    # After a line's end, \\ would read a leading [ or * as its own argument.
    return '{}' * text.startswith(('[', '*')) + escape(text)


def _cell(piece, stacked, wraps=False):
    if isinstance(piece, str):
        return _words(piece, wraps)
    main = _words(piece.main)
    main = rf'\textbf{{{main}}}' if piece.best else main
    marks = rf'\textsuperscript{{{piece.marks[1:-1]}}}' if piece.marks else ''
    main += r'\textdagger{}' * piece.dagger + marks
    if not piece.small:
        return main
    if stacked:
        return rf'\begin{{tabular}}[t]{{@{{}}r@{{}}}}{main}\\{{\tiny {escape(piece.small)}}}\end{{tabular}}'
    return rf'{main} {{\scriptsize {escape(piece.small)}}}'


def _points(piece, stacked):
    """About how wide a cell is, at ten points (stacked: at seven, its interval below it at five)."""
    if isinstance(piece, str):
        return (4. if stacked else 5.) * min(len(piece), LONG)
    main = min(len(piece.main), LONG) + piece.dagger
    if stacked:
        return max(4. * main + 3. * len(piece.marks), 3.3 * len(piece.small))
    return 5. * main + 3.5 * (len(piece.marks) + len(piece.small))


def _head(header, stacked):
    name, unit, arrow = header
    if not stacked:
        return [' '.join(filter(None, [name, unit and f'({unit})', arrow]))]
    return [f'{name} {arrow}'.rstrip(), unit]


def _widths(headers, rows, stacked, paragraphs):
    gap = 6. if stacked else 12.
    return [gap + max([PARAGRAPH * (h[0] in paragraphs), (4. if stacked else 5.) * max(map(len, _head(h, stacked))),
                       *(_points(row[i], stacked) for row in rows)]) for i, h in enumerate(headers)]


def _float(label, title, headers, rows, notes, align, _):
    lines = [r'\begin{table}', r'\centering', rf'\caption{{{escape(title)}}}', rf'\label{{tab:{label}}}',
             r'\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%',
             rf'\begin{{tabular}}{{{"".join(align)}}}', r'\toprule',
             ' & '.join(escape(*_head(h, False)) for h in headers) + r' \\', r'\midrule',
             *(' & '.join(_cell(p, False, a != 'r') for p, a in zip(row, align, strict=True)) + r' \\' for row in rows),
             r'\bottomrule', r'\end{tabular}}',
             '', r'\smallskip\raggedright\footnotesize', *(escape(n) + r'\par' for n in notes), r'\end{table}']
    return '\n'.join(lines) + '\n'


def _parts(widths, room):
    """Indices of the columns after the first, in runs that fit."""
    parts, used = [[]], 0.
    for i, width in enumerate(widths[1:], 1):
        if parts[-1] and used + width > room:
            parts.append([])
            used = 0.
        parts[-1].append(i)
        used += width
    return parts


def _long(label, title, headers, rows, notes, align, paragraphs):
    widths = _widths(headers, rows, True, paragraphs)
    first = min(widths[0], 100.)
    align = [f'p{{{first - 6:.0f}pt}}', *align[1:]]
    parts, lines = _parts(widths, WIDTH - first), [r'\begingroup\scriptsize\setlength{\tabcolsep}{3pt}']
    for number, part in enumerate(parts, 1):
        columns = [0, *part]
        name = escape(title) + (f', part {number} of {len(parts)}' if len(parts) > 1 else '')
        heads = [[_head(headers[i], True)[k] for i in columns] for k in (0, 1)]
        head = [r'\toprule', *(' & '.join(map(escape, h)) + r' \\' for h in heads if any(h)), r'\midrule']
        lines += [rf'\begin{{longtable}}{{{"".join(align[i] for i in columns)}}}',
                  rf'\caption{{{name}}}\label{{tab:{label}{f":{number}" if number > 1 else ""}}}\\', *head,
                  r'\endfirsthead', *head, r'\endhead', r'\bottomrule', r'\endfoot',
                  *(' & '.join(_cell(row[i], True, align[i] != 'r') for i in columns) + r' \\\addlinespace[2pt]'
                    for row in rows), r'\end{longtable}']
    lines += [r'\endgroup', r'\begingroup\raggedright\footnotesize', *(escape(n) + r'\par' for n in notes),
              r'\endgroup']
    return '\n'.join(lines) + '\n'


def table(label, title, headers, rows, notes, paragraphs=()):
    """A `table` where the grid fits a page, `longtable`s of some columns each where it does not.

    Args:
      label: of `tab:label`.
      title: caption.
      headers: list of (name, unit, arrow).
      rows: list of lists of str or of cells with `main`, `dagger`, `marks`, `small` and `best`.
      notes: lines below.
      paragraphs: names of columns whose words wrap.

    Returns:
      str, which needs `PACKAGES`.
    """
    align = ['l', *(f'p{{{PARAGRAPH:.0f}pt}}' if name in paragraphs else 'r' for name, _, _ in headers[1:])]
    fits = len(rows) <= ROWS and sum(_widths(headers, rows, False, paragraphs)) * SHRINK <= WIDTH
    return (_float if fits else _long)(label, title, headers, rows, notes, align, paragraphs)
