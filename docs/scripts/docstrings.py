"""Docstrings of the house as Markdown: for the pages that `generate.py` makes, and, as an
extension of griffe, for the API reference."""
import ast
import inspect
import re
import textwrap

import griffe

OURS = 'Equation', 'Deviations', 'Hyperparameters', 'References'
"""Sections that Google's style does not have."""
DOCTEST = re.compile(r'^>>> .*?(?=\n\s*\n(?!>>>)|\Z)', re.M | re.S)
CODE = re.compile(r'(`[^`]*`)')


def escaped(text: str) -> str:
    """Prose as Markdown prints it: what stands between backticks and indented code stay.

    >>> print(escaped('`<s>` and <unk>, p*(x) * 2, carry["z"] [B]'))
    `<s>` and &lt;unk>, p\\*(x) \\* 2, carry["z"] \\[B]
    """
    lines = []
    for line in text.split('\n'):
        if not line.startswith('    '):
            parts = CODE.split(line)
            for i in range(0, len(parts), 2):
                plain = re.sub(r'(^|\] ?)\[', r'\1\[', parts[i].replace('<', '&lt;'))
                parts[i] = re.sub(r'(?<=\S)\*|\*(?= )', r'\*', plain)
            line = ''.join(parts)
        lines.append(line)
    return '\n'.join(lines)


def parted(doc: str) -> tuple[str, dict[str, str], str]:
    """A docstring as (prose, {title of a section: its text}, doctests).

    >>> parted('It is.\\n\\nArgs:\\n  a: one.\\n\\n>>> 1\\n1')
    ('It is.', {'Args': 'a: one.'}, '>>> 1\\n1')
    """
    tests = '\n\n'.join(test.strip() for test in DOCTEST.findall(doc))
    prose, *rest = re.split(r'^(\w+):$', DOCTEST.sub('', doc), flags=re.M)
    return prose.strip(), {title: inspect.cleandoc(text) for title, text in zip(
        rest[::2], rest[1::2], strict=True)}, tests


def entries(text: str) -> list[str]:
    """The papers of a section `References`: each ends with a line that ends with a full stop.

    >>> entries('A, B, 2014,\\narXiv:1.\\nC, 2015.')
    ['A, B, 2014, arXiv:1.', 'C, 2015.']
    """
    return [' '.join(entry.split()) for entry in re.split(r'(?<=\.)\n', text) if entry.strip()]


def fenced(text: str, language: str) -> str:
    """A block of code."""
    return f'```{language}\n{text}\n```'


def bullets(text: str) -> str:
    """The papers of a section `References`, as a list."""
    return '\n'.join(f'- {escaped(entry)}' for entry in entries(text))


def _section(title: str, text: str) -> str:
    if title == 'Equation':
        return f'**{title}**\n\n{fenced(text, "text")}'
    if title == 'References':
        return f'**{title}**\n\n{bullets(text)}'
    if title in OURS:
        return f'**{title}**\n\n{escaped(text)}'
    inner = '\n'.join(f'  {line}'.rstrip() for line in escaped(text).split('\n'))
    return f'{title}:\n{inner}'


def readable(doc: str) -> str:
    """A docstring in which griffe and Markdown find what a reader of the source sees."""
    prose, sections, tests = parted(inspect.cleandoc(doc))
    parts = [escaped(prose), *(_section(*pair) for pair in sections.items())]
    return '\n\n'.join(filter(None, [*parts, fenced(tests, 'pycon') if tests else '']))


def fields(node: ast.ClassDef, lines: list[str]) -> str:
    """The fields of a class as they stand in its source, comments included; '' without any."""
    found = [i for i, part in enumerate(node.body) if isinstance(part, ast.AnnAssign)]
    if not found:
        return ''
    begin = node.body[found[0] - 1].end_lineno if found[0] else node.lineno
    end = node.body[found[-1]].end_lineno
    return textwrap.dedent('\n'.join(lines[begin:end])).strip('\n')


class Readable(griffe.Extension):
    """Brings every docstring to `readable`, and gives a class its fields, which stand in its
    source with comments, where the docstring does not say what they are.
    """

    def on_instance(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring:
            obj.docstring.value = readable(obj.docstring.value)

    def on_class_members(self, *, node, cls: griffe.Class, **kwargs) -> None:
        if cls.docstring and 'Attributes:' not in cls.docstring.value and isinstance(
                node, ast.ClassDef):
            text = fields(node, cls.filepath.read_text().split('\n'))
            cls.docstring.value += f'\n\n{fenced(text, "python")}' if text else ''
