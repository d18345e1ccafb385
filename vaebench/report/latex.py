"""LaTeX of a grid of cells: a float where it fits a page, else parts that break across pages.

A cell is a str, or a `formats` cell with `main`, `dagger`, `marks`, `small` and `best`.
"""
from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

Header = tuple[str, str, str]
"""Name, unit and arrow of a column."""
Row = Sequence[Any]

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
    '|': r'\textbar{}', '↓': r'\ensuremath{\downarrow}', '↑': r'\ensuremath{\uparrow}',
    '→': r'\ensuremath{\to}', '←': r'\ensuremath{\leftarrow}', '×': r'\ensuremath{\times}',
    '·': r'\ensuremath{\cdot}', '√': r'\ensuremath{\surd}', '✓': r'\ensuremath{\surd}',
    '✗': r'\ensuremath{\times}', '°': r'\ensuremath{^\circ}', '¹': r'\ensuremath{^1}',
    '²': r'\ensuremath{^2}', '³': r'\ensuremath{^3}', 'ª': r'\ensuremath{^a}',
    'º': r'\ensuremath{^o}', 'µ': r'\ensuremath{\mu}', 'Ű': r'\H{U}', 'ű': r'\H{u}',
}
"""Signs for which pylatexenc has no macro, or one that LaTeX has not without packages."""
_PLAIN = frozenset('§¡¿£©ßøØæÆœŒłŁı–—‘’“”…†‡±−≤≥≠≈∞∈∑∂⌊⌋⌈⌉ℓ')
"""Signs for which pylatexenc has a macro that LaTeX defines without packages."""
_ACCENTS = frozenset('\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c'
                     '\u0323\u0327\u0331')
_ASCII = frozenset(map(chr, range(0x20, 0x7F)))


def _is_plain(sign: str) -> bool:
    """Whether what pylatexenc writes for a sign, if anything, needs no package."""
    letter, *accents = unicodedata.normalize('NFD', sign)
    accented = letter.isascii() and len(accents) == 1 and accents[0] in _ACCENTS
    script = unicodedata.decomposition(sign).startswith(('<super>', '<sub>'))
    return sign in _ASCII or accented or script or sign in _PLAIN or 'Α' <= sign <= 'ω'


@functools.cache
def _macro(sign: str) -> str:
    """One character as TeX; without a font for it, the nearest ASCII, or its code."""
    from pylatexenc.latexencode import unicode_to_latex
    if sign in _SIGNS:
        return _SIGNS[sign]
    if _is_plain(sign):
        macro = unicode_to_latex(sign, unknown_char_warning=False)
        if macro.isascii():
            return macro
    near = unicodedata.normalize('NFKD', sign).replace('\N{FRACTION SLASH}', '/')
    near = ''.join(map(_macro, filter(_ASCII.__contains__, near))).strip()
    return near or rf'\texttt{{U+{ord(sign):04X}}}'


def escape(text: str) -> str:
    r"""Escapes a text for LaTeX, in ASCII; a sign without a font becomes its code.

    >>> escape('50% of β_1'), escape('naïve 中')
    ('50\\% of \\ensuremath{\\beta}\\_1', 'na{\\"\\i}ve \\texttt{U+4E2D}')
    """
    text = unicodedata.normalize('NFC', ' '.join(text.split()))
    text = re.sub('"([^"]*)"', '“\\1”', text)
    # Neighbours that TeX would join: -- is a dash there, ?` another sign.
    parts = re.split(r"(?<=-)(?=-)|(?<=')(?=')|(?<=[?!,<>`])(?=[,<>`])", text)
    return '{}'.join(''.join(map(_macro, part)) for part in parts)


LONG = 24
"""Words in a cell beyond so many characters are set as a paragraph."""


def _words(text: str, wraps: bool = False) -> str:
    if len(text) > LONG and not wraps:
        return rf'\parbox[t]{{28mm}}{{\raggedright {escape(text)}\strut}}'
    # After a line's end, \\ would read a leading [ or * as its own argument.
    return '{}' * text.startswith(('[', '*')) + escape(text)


def _cell(piece: Any, stacked: bool, wraps: bool = False) -> str:
    if isinstance(piece, str):
        return _words(piece, wraps)
    main = _words(piece.main)
    main = rf'\textbf{{{main}}}' if piece.best else main
    marks = rf'\textsuperscript{{{piece.marks[1:-1]}}}' if piece.marks else ''
    main += r'\textdagger{}' * piece.dagger + marks
    if not piece.small:
        return main
    if stacked:
        small = rf'{{\tiny {escape(piece.small)}}}'
        return rf'\begin{{tabular}}[t]{{@{{}}r@{{}}}}{main}\\{small}\end{{tabular}}'
    return rf'{main} {{\scriptsize {escape(piece.small)}}}'


def _points(piece: Any, stacked: bool) -> float:
    """About how wide a cell is, at ten points (stacked: seven, its interval below at five)."""
    if isinstance(piece, str):
        return (4. if stacked else 5.) * min(len(piece), LONG)
    main = min(len(piece.main), LONG) + piece.dagger
    if stacked:
        return max(4. * main + 3. * len(piece.marks), 3.3 * len(piece.small))
    return 5. * main + 3.5 * (len(piece.marks) + len(piece.small))


def _head(header: Header, stacked: bool) -> list[str]:
    name, unit, arrow = header
    if not stacked:
        return [' '.join(filter(None, [name, unit and f'({unit})', arrow]))]
    return [f'{name} {arrow}'.rstrip(), unit]


def _widths(headers: Sequence[Header], rows: Sequence[Row], stacked: bool,
            paragraphs: Sequence[str]) -> list[float]:
    gap, letter = (6., 4.) if stacked else (12., 5.)
    return [gap + max([PARAGRAPH * (h[0] in paragraphs),
                       letter * max(map(len, _head(h, stacked))),
                       *(_points(row[i], stacked) for row in rows)])
            for i, h in enumerate(headers)]


def _line(cells: Sequence[str]) -> str:
    return ' & '.join(cells) + r' \\'


def _float(label: str, title: str, headers: Sequence[Header], rows: Sequence[Row],
           notes: Sequence[str], align: Sequence[str]) -> str:
    lines = [r'\begin{table}', r'\centering', rf'\caption{{{escape(title)}}}',
             rf'\label{{tab:{label}}}',
             r'\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%',
             rf'\begin{{tabular}}{{{"".join(align)}}}', r'\toprule',
             _line([escape(*_head(h, False)) for h in headers]), r'\midrule',
             *(_line([_cell(p, False, a != 'r') for p, a in zip(row, align, strict=True)])
               for row in rows),
             r'\bottomrule', r'\end{tabular}}', '', r'\smallskip\raggedright\footnotesize',
             *(escape(n) + r'\par' for n in notes), r'\end{table}']
    return '\n'.join(lines) + '\n'


def _parts(widths: Sequence[float], room: float) -> list[list[int]]:
    """Indices of the columns after the first, in runs that fit."""
    parts, used = [[]], 0.
    for i, width in enumerate(widths[1:], 1):
        if parts[-1] and used + width > room:
            parts.append([])
            used = 0.
        parts[-1].append(i)
        used += width
    return parts


def _long(label: str, title: str, headers: Sequence[Header], rows: Sequence[Row],
          notes: Sequence[str], align: Sequence[str], paragraphs: Sequence[str]) -> str:
    widths = _widths(headers, rows, True, paragraphs)
    first = min(widths[0], 100.)
    align = [f'p{{{first - 6:.0f}pt}}', *align[1:]]
    parts = _parts(widths, WIDTH - first)
    lines = [r'\begingroup\scriptsize\setlength{\tabcolsep}{3pt}']
    for number, part in enumerate(parts, 1):
        columns = [0, *part]
        name = escape(title) + (f', part {number} of {len(parts)}' if len(parts) > 1 else '')
        mark = f'tab:{label}' + (f':{number}' if number > 1 else '')
        heads = [[_head(headers[i], True)[k] for i in columns] for k in (0, 1)]
        head = [r'\toprule', *(_line([*map(escape, h)]) for h in heads if any(h)), r'\midrule']
        lines += [rf'\begin{{longtable}}{{{"".join(align[i] for i in columns)}}}',
                  rf'\caption{{{name}}}\label{{{mark}}}\\', *head,
                  r'\endfirsthead', *head, r'\endhead', r'\bottomrule', r'\endfoot',
                  *(_line([_cell(row[i], True, align[i] != 'r') for i in columns])
                    + r'\addlinespace[2pt]' for row in rows), r'\end{longtable}']
    lines += [r'\endgroup', r'\begingroup\raggedright\footnotesize',
              *(escape(n) + r'\par' for n in notes), r'\endgroup']
    return '\n'.join(lines) + '\n'


def table(label: str, title: str, headers: Sequence[Header], rows: Sequence[Row],
          notes: Sequence[str], paragraphs: Sequence[str] = (),
          words: Sequence[str] = ()) -> str:
    """Writes a `table` where the grid fits a page, else `longtable`s of some columns each.

    Args:
      label: of `tab:label`.
      title: caption.
      headers: of the columns.
      rows: cells of each row.
      notes: lines below.
      paragraphs: names of columns whose words wrap.
      words: names of further columns of words.

    Returns:
      str, which needs `PACKAGES`.
    """
    align = ['l', *(f'p{{{PARAGRAPH:.0f}pt}}' if name in paragraphs else
                    'l' if name in words else 'r'
                    for name, _, _ in headers[1:])]
    width = sum(_widths(headers, rows, False, paragraphs))
    if len(rows) <= ROWS and width * SHRINK <= WIDTH:
        return _float(label, title, headers, rows, notes, align)
    return _long(label, title, headers, rows, notes, align, paragraphs)
