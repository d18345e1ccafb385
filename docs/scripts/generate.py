"""Writes the pages of the documentation that are facts of the code or of committed results.

mkdocs-gen-files runs this file (see mkdocs.yml). Functions here and in its neighbors make
{path in the site: Markdown or bytes}; nothing is written into docs/.
"""
import base64
import json
import pathlib
import re
import sys
from collections.abc import Iterator, Mapping

HERE = pathlib.Path(__file__).parent
DOCS, ROOT = HERE.parent, HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import catalogs  # noqa: E402
import reference  # noqa: E402
from docstrings import fenced  # noqa: E402
from text import joined, slug  # noqa: E402

RESULTS = ROOT / 'benchmarks' / 'results'
PLACES = {
    'README.md': '/index.md', 'METHODS.md': '/methods/index.md',
    'RESULTS.md': '/results/index.md', 'CONTRIBUTING.md': '/contributing.md',
    'CHANGELOG.md': '/changelog.md', 'docs': '/index.md', 'docs/': '/',
    'benchmarks/results/throughput': '/speed/throughput',
    'benchmarks/results/evaluation': '/speed/evaluation', 'benchmarks/results/': '/',
}
"""File of the repository, or the beginning of its name -> its place in the site."""
WIDE = '---\nhide: [toc]\n---\n\n'
"""Beginning of a page that leaves its whole width to tables."""
Pages = dict[str, str | bytes]


def moved(text: str) -> str:
    """A document of the repository with its links as the site has them.

    >>> moved('[a](docs/x.md), [b](README.md#c), [d](benchmarks/results/throughput-x.txt)')
    '[a](/x.md), [b](/index.md#c), [d](/speed/throughput-x.md)'
    """
    def place(found):
        path, mark, rest = found[1].partition('#')
        begins = [old for old in PLACES if path.startswith(old) and (
            path == old or old.endswith(('/', 'throughput', 'evaluation')))]
        if begins:
            old = max(begins, key=len)
            path = PLACES[old] + path.removeprefix(old)
        if path.startswith('/speed/'):
            path = path.replace('.txt', '.md')
        return f']({path}{mark}{rest})'

    return re.sub(r'\]\((?!https?:|#|/)([^)\s]+)\)', place, text)


def results() -> Pages:
    """RESULTS.md, a page for each of its sections."""
    document = (ROOT / 'RESULTS.md').read_text()
    _, *sections = re.split(r'^## (.+)$', document, flags=re.M)
    pages: Pages = {}
    for title, text in zip(sections[::2], sections[1::2], strict=True):
        text = re.sub(r'^###', '##', text, flags=re.M)
        pages[f'results/{slug(title)}.md'] = WIDE + moved(f'# {title}\n{text}')
    return {'results/index.md': joined(catalogs.head('results'), '\n'.join(
        f'- [{title}]({slug(title)}.md)' for title in sections[::2]))} | pages


def documents() -> Pages:
    """Further documents of the repository, and the pictures and listings that pages show."""
    pages: Pages = {f'{name.lower()}.md': moved((ROOT / f'{name}.md').read_text())
                    for name in ('CONTRIBUTING', 'CHANGELOG')}
    for path in sorted(p for p in RESULTS.iterdir() if p.suffix in ('.md', '.txt')):
        text = path.read_text().strip()
        pages[f'speed/{path.stem}.md'] = joined(
            f'# {path.stem.replace("-", ": ", 1).capitalize()}',
            fenced(text, 'text') if path.suffix == '.txt' else text)
    for folder in 'figures', 'listings':
        for path in sorted((RESULTS / folder).iterdir()):
            read = path.read_text if path.suffix == '.md' else path.read_bytes
            pages[f'{folder}/{path.name}'] = read()
    return pages


def notebooks() -> Pages:
    """Every notebook: its text, its code and what the code printed."""
    pages: Pages = {}
    for path in sorted((DOCS / 'notebooks').glob('*.ipynb')):
        parts = []
        for number, cell in enumerate(json.loads(path.read_text())['cells']):
            source, typed = ''.join(cell['source']), cell['cell_type'] == 'markdown'
            parts.append(source if typed else fenced(source, 'python'))
            for output in cell.get('outputs', ()):
                parts += _shown(output, f'{path.stem}-{number}.png', pages)
        pages[f'notebooks/{path.stem}.md'] = joined(*parts)
    return pages


def _shown(output, picture: str, pages: Pages) -> Iterator[str]:
    """An output of a cell as Markdown; a picture is a file of `pages`."""
    if output['output_type'] == 'stream':
        yield fenced(''.join(output['text']).rstrip(), 'text')
        return
    found = output['data']
    if 'image/png' in found:
        pages[f'notebooks/{picture}'] = base64.b64decode(''.join(found['image/png']))
        yield f'![What the code above draws]({picture})'
    elif 'text/markdown' in found:
        yield ''.join(found['text/markdown'])
    else:
        yield fenced(''.join(found['text/plain']), 'text')


# ---- the whole -------------------------------------------------------------------------------


def everything() -> Pages:
    """Every generated page."""
    parts = (catalogs.methods(), catalogs.metrics(), catalogs.data(), results(), documents(),
             notebooks(), reference.facts(), reference.api())
    return {path: text for part in parts for path, text in part.items()}


def title(path: str, made: Mapping[str, str | bytes]) -> str:
    """The heading of a page."""
    text = made[path] if path in made else (DOCS / path).read_text()
    heading = re.search(r'^(?:# |::: )(.+)$', str(text), flags=re.M)
    return heading[1].replace('`', '').split('.')[-1] if heading else path


def navigation(made: Mapping[str, str | bytes]) -> str:
    """SUMMARY.md: `nav.txt` with titles, if it has none; 'FOLDER/*' is every page of a folder
    and '*' what else lies in docs/, both but for what is named. A page that there is not is
    left out.
    """
    plan = (DOCS / 'nav.txt').read_text()
    named, lines = set(re.findall(r'\S+\.md', plan)), []
    typed = {p.name for p in DOCS.glob('*.md')}
    for indent, name, entry in re.findall(r'^( *)(?:(.+): )?(\S.*)$', plan, flags=re.M):
        if entry.endswith('*'):
            inside = re.compile(rf'{entry[:-1]}[^/]+\.md')
            paths = [p for p in (*made, *sorted(typed)) if inside.fullmatch(p)]
            paths = [p for p in paths if p not in named]
        elif entry.endswith('.md'):
            paths = [p for p in (entry,) if p in made or p in typed]
        else:
            lines.append(f'{indent}- {entry}')
            continue
        lines += [f'{indent}- [{name or title(p, made)}]({p})' for p in paths]
    return '\n'.join(lines) + '\n'


def write() -> None:
    """Hands everything to MkDocs."""
    import mkdocs_gen_files
    made = everything()
    made['SUMMARY.md'] = f'---\nsearch: {{exclude: true}}\n---\n\n# Pages\n\n{navigation(made)}'
    for path, content in made.items():
        with mkdocs_gen_files.open(path, 'wb') as file:
            file.write(content if isinstance(content, bytes) else content.encode())


if __name__ != 'generate':        # run, not imported
    write()
