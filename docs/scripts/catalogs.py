"""Pages of what is registered: methods by family, metrics, datasets by track."""
import functools
import inspect
import json
import pathlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from docstrings import bullets, escaped, parted
from text import anchor, code, grid, joined, slug

from vaebench import datasets, schema
from vaebench.errors import UserError
from vaebench.experiment.families import FAMILIES
from vaebench.methods import METHODS
from vaebench.metrics import METRICS, Metric
from vaebench.report import cards, systems

DOCS = pathlib.Path(__file__).parent.parent
RESULTS = DOCS.parent / 'benchmarks' / 'results'
TINY = {'examples': 40, 'eval_examples': 8, 'sentences': 40, 'eval_sentences': 8}
"""Options that make a dataset quickly, to look at its columns."""
NO_FILES = 'not needed.'
"""What loaders that read no file say of `data_dir`."""


def head(name: str) -> str:
    """The typed beginning of a page."""
    return (DOCS / 'heads' / f'{name}.md').read_text()


def bare(function: Callable) -> Callable:
    """The function inside of partials."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def references(sections: Mapping[str, str]) -> str:
    """The papers of a docstring."""
    papers = sections.get('References')
    return f'**References**\n\n{bullets(papers)}' if papers else ''


# ---- methods ---------------------------------------------------------------------------------


def methods() -> dict[str, str]:
    """A page for each family: the cards of the registry."""
    def anchored(heading):
        places = ' '.join(map(anchor, re.findall(r'`(\w+)`', heading[0])))
        return f'{places}\n\n{heading[0]}'

    pages, lines = {}, []
    for family, members in FAMILIES.items():
        page, names = f'{slug(family)}.md', members.split()
        cut = cards.markdown(names, title=family[0].upper() + family[1:], about='')
        pages[f'methods/{page}'] = re.sub(r'^## .+$', anchored, cut, flags=re.M)
        lines.append((f'[{family}]({page})',
                      ', '.join(f'[`{name}`]({page}#{name})' for name in names)))
    _complete(METHODS, (name for members in FAMILIES.values() for name in members.split()))
    index = joined(head('methods'), grid('family | methods', lines))
    return {'methods/index.md': index} | pages


def _complete(every, found) -> None:
    if lost := set(every) - set(found):
        raise ValueError(f'on no page: {", ".join(sorted(lost))}')


# ---- metrics ---------------------------------------------------------------------------------


@functools.cache
def estimators() -> Mapping[str, Sequence[str]]:
    """{metric: its estimators in words in the committed results, the most frequent first}."""
    found: dict[str, Counter[str]] = {}
    for path in sorted(RESULTS.rglob('*.json')):
        for name, metric in json.loads(path.read_text()).get('metrics', {}).items():
            found.setdefault(name, Counter())[metric['estimator']] += 1
    return {name: [text for text, _ in count.most_common()] for name, count in found.items()}


def _facts(name: str, metric: Metric) -> tuple[str, ...]:
    """The line of a metric in the table of its entry."""
    ends = [f'{word} {end:g}' for word, end in zip(('from', 'to'), metric.bounds, strict=True)
            if end is not None]
    evals = ' or '.join(code(need, ' + ') for need in metric.needs if need)
    return (f'`{name}`', escaped(metric.unit), metric.better or '—', ' '.join(ends) or '—',
            evals or '—', code(metric.fields) or '—')


def _given(function: Callable) -> Iterator[Callable]:
    """The functions that partials hand on, and those inside of them."""
    while isinstance(function, functools.partial):
        for keyword, value in function.keywords.items():
            inner = bare(value) if callable(value) and keyword != 'note' else None
            if inspect.isfunction(inner) and inner.__doc__:
                yield inner
                yield from _given(value)
        function = function.func


def _handed(names: Sequence[str]) -> tuple[str, str]:
    """What functions say that metrics hand on to the one that measures them, and their papers.
    """
    uses: dict[Callable, list[str]] = {}
    for name in names:
        for function in _given(METRICS[name].compute):
            uses.setdefault(function, []).append(name)
    lines, papers = [], []
    for function, users in uses.items():
        prose, sections, _ = parted(inspect.getdoc(function) or '')
        lines.append(f'- {code(users)}: {" ".join(escaped(prose).split())}')
        papers += [sections['References']] if 'References' in sections else []
    return '\n'.join(lines), '\n'.join(papers)


def _estimated(names: Sequence[str]) -> str:
    """The estimators of metrics that committed results have."""
    lines = []
    for name in names:
        if found := estimators().get(name):
            more = f' (*{len(found) - 1} more*)' * (len(found) > 1)
            lines.append(f'- `{name}`: {escaped(found[0])}{more}')
    return joined('**Estimators** in the committed results:', '\n'.join(lines)) if lines else ''


def _measured(names: Sequence[str]) -> str:
    """The entry of the metrics that one function measures."""
    function = bare(METRICS[names[0]].compute)
    prose, sections, _ = parted(inspect.getdoc(function) or '')
    handed, more = _handed(names)
    papers = '\n'.join(filter(None, (sections.get('References'), more)))
    return joined(
        ' '.join(map(anchor, names)), f'### {code(names[:3])}{", …" * (len(names) > 3)}',
        escaped(prose), handed, _estimated(names),
        grid('metric | unit | better | can be | asks the method for | asks the data for',
             (_facts(name, METRICS[name]) for name in names)),
        references({'References': papers}))


def metrics() -> dict[str, str]:
    """The glossary: the metrics of a module together, and those of a function."""
    rooms: dict[str, dict[str, list[str]]] = {}
    for name, metric in METRICS.items():
        function = bare(metric.compute)
        room = rooms.setdefault(function.__module__, {})
        room.setdefault(function.__qualname__, []).append(name)
    parts = []
    for room, functions in rooms.items():
        said = (inspect.getdoc(sys.modules[room]) or '').split('\n\n')[0]
        parts += [f'## {room.rpartition(".")[2].replace("_", " ").capitalize()}',
                  escaped(said), *map(_measured, functions.values())]
    return {'metrics.md': joined(head('metrics'), *parts)}


# ---- data ------------------------------------------------------------------------------------


@functools.cache
def by_track() -> Mapping[str, Sequence[str]]:
    """{page: datasets}, each on the page of the first track that has it."""
    pages, seen = {}, set()
    for track in systems.TRACKS.values():
        every = (name for names in track.data.values() for name in names.split())
        pages[f'{slug(track.title)}.md'] = names = [n for n in every if n not in seen]
        seen |= set(names)
    _complete(datasets.DATASETS, seen)
    return {page: names for page, names in pages.items() if names}


def _linked(text: str, here: str) -> str:
    """Prose in which names of datasets, and of modules about them, are links."""
    place = {name: page for page, names in by_track().items() for name in names}

    def link(found):
        text, name = found.group(0, 1)
        if name in place:
            return f'[{text}]({place[name] * (place[name] != here)}#{name})'
        module = pathlib.Path(datasets.__file__).with_name(f'{name}.py')
        return f'[{text}](../api/datasets/{name}.md)' if module.exists() else text

    return re.sub(r'`(?:\w+\.)?(\w+)`', link, escaped(text))


def _arguments(sections: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(argument, what is said of it) of a docstring."""
    for entry in re.split(r'\n(?=\S)', sections.get('Args', '')):
        names, _, said = ' '.join(entry.split()).partition(': ')
        yield from ((name, said) for name in names.split(', '))


def _columns(name: str, options: Mapping[str, inspect.Parameter]) -> str:
    """The columns of a dataset that needs no files, '' of others."""
    try:
        found = datasets.load(name, **{k: v for k, v in TINY.items() if k in options})
    except UserError:
        return ''
    held = {split: dict(schema.flat(columns)) for split, columns in found.splits.items()}

    def line(path, field):
        sizes = {'size': field.size, 'levels': field.levels, 'bounds': field.bounds,
                 'names': ', '.join(field.names[:6]) + ', …' * (len(field.names) > 6)}
        return (f'`{path}`', field.kind, list(field.shape) or '—',
                escaped('; '.join(f'{k} {v}' for k, v in sizes.items() if v)) or '—',
                ', '.join(s for s in held if path in held[s]) or 'made by `decode`')

    lines = grid('column | kind | shape of a row | what | splits',
                 (line(*leaf) for leaf in schema.leaves(found.schema)))
    return joined(f'**Columns.** One row is one {found.item}, its parts are {found.part}s.',
                  lines)


def _dataset(name: str, here: str) -> str:
    """The entry of a dataset."""
    loader = datasets.DATASETS[name]
    prose, sections, _ = parted(inspect.getdoc(loader) or '')
    said, parameters = dict(_arguments(sections)), inspect.signature(loader).parameters
    files = said['data_dir'].replace(NO_FILES, 'none are needed.')
    options = [(f'`{option}`', f'`{p.default!r}`', _linked(said.get(option, '—'), here))
               for option, p in parameters.items() if option not in ('data_dir', 'cache_dir')]
    return joined(
        anchor(name), f'## `{name}`', _linked(prose, here),
        f'**Files** in `--data_dir`: {_linked(files, here)}',
        f'**Gives:** {_linked(sections["Returns"], here)}', _columns(name, parameters),
        grid('option | default | what', options), references(sections))


def data() -> dict[str, str]:
    """A page for the data of each track."""
    titles = {f'{slug(track.title)}.md': track.title for track in systems.TRACKS.values()}
    pages, lines = {}, []
    for page, names in by_track().items():
        pages[f'data/{page}'] = joined(
            f'# {titles[page]}', *(_dataset(name, page) for name in names))
        for name in names:
            prose, sections, _ = parted(inspect.getdoc(datasets.DATASETS[name]) or '')
            files = dict(_arguments(sections))['data_dir']
            lines.append((f'[`{name}`]({page}#{name})', escaped(prose.split('\n\n')[0]),
                          'none' if files == NO_FILES else 'yours'))
    return {'data/index.md': joined(head('data'), grid('dataset | what it is | files', lines)),
            } | pages
