"""Pages of the code itself: config keys, commands, evals, modules."""
import ast
import contextlib
import dataclasses
import inspect
import io
import pathlib
import re
from collections.abc import Callable, Iterator

from catalogs import head
from docstrings import escaped, fenced
from text import code, grid, joined

from vaebench import cli
from vaebench.core import EVALS
from vaebench.experiment import config_keys, configs
from vaebench.report import cli as report

ROOT = pathlib.Path(__file__).parent.parent.parent
SCHEMAS = (config_keys.Table, config_keys.Tables, config_keys.Entry, config_keys.Settings,
           config_keys.Named, config_keys.Kit, config_keys.Optimizer, config_keys.Protocol,
           config_keys.Evaluation)
MODULES = 'api', 'runs', 'schema', 'errors'
PACKAGES = ('core', 'engine', 'ops', 'losses', 'methods', 'networks', 'metrics', 'datasets',
            'judges', 'experiment', 'report')


def _help(main: Callable[[list[str]], int], name: str) -> str:
    """What a command says of itself."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main([name, '--help'])
    return fenced(out.getvalue().strip(), 'text')


def _keys(kind: type) -> Iterator[tuple[str, ...]]:
    """The lines of a schema's keys."""
    for name, field in config_keys.fields(kind).items():
        told, inner = field.metadata, config_keys.schema_of(field)
        plain = field.default not in (dataclasses.MISSING, config_keys.ABSENT)
        more = f' See [{inner.__name__}](#{inner.__name__.lower()}).' if inner else ''
        yield (f'`{name}`', f'`{field.default!r}`' if plain else '—', told['decides'],
               ', '.join(told['choices']) or told['within'] or '—',
               escaped(told['help']) + more)


def facts() -> dict[str, str]:
    """The commands, the configs and their keys, the evals."""
    keys = (joined(f'## {kind.__name__}', escaped(inspect.getdoc(kind) or ''),
                   grid('key | default | decides | values | what', _keys(kind)))
            for kind in SCHEMAS)
    evals = grid('eval | takes | gives | what it is', (
        (f'`{name}`', code(e.takes), f'`{e.gives}`', escaped(e.what))
        for name, e in EVALS.items()))
    return {
        'reference/configs.md': _configs(),
        'reference/commands.md': joined(
            '# Commands', f'The configs that the package comes with: {code(configs.names())}.',
            '## vaebench', _help(cli.main, 'vaebench'),
            '## vaebench-report', _help(report.main, 'vaebench-report')),
        'reference/config-keys.md': joined(head('config-keys'), *keys),
        'reference/evals.md': joined(head('evals'), evals)}


def _configs() -> str:
    """What the configs say of themselves."""
    parts = []
    for name in configs.names():
        doc = ast.get_docstring(ast.parse((configs.folder() / f'{name}.py').read_text())) or ''
        parts += [f'## {name}', escaped(doc)]
    return joined(head('configs'), *parts)


def _summary(path: pathlib.Path) -> str:
    """The first paragraph of a module's docstring."""
    found = re.match(r'"""(.*?)("""|\n\n)', path.read_text(), flags=re.S)
    return escaped(' '.join(found[1].split())) if found else ''


def api() -> dict[str, str]:
    """A page for each public module, by package."""
    pages, lines = {}, []
    for name in MODULES:
        pages[f'api/{name}.md'] = f'::: vaebench.{name}\n'
        lines.append((f'[`vaebench.{name}`]({name}.md)',
                      _summary(ROOT / 'vaebench' / f'{name}.py')))
    for package in PACKAGES:
        folder, inner = ROOT / 'vaebench' / package, []
        for path in sorted(folder.rglob('*.py')):
            parts = path.relative_to(folder).with_suffix('').parts
            if not any(part.startswith('_') for part in parts):
                name = '.'.join(parts)
                pages[f'api/{package}/{name}.md'] = f'::: vaebench.{package}.{name}\n'
                inner.append((f'[`{name}`]({name}.md)', _summary(path)))
        said = _summary(folder / '__init__.py')
        lines.append((f'[`vaebench.{package}`]({package}/index.md)', said))
        pages[f'api/{package}/index.md'] = joined(
            f'# vaebench.{package}', said, grid('module | what it is', inner))
    index = grid('module or package | what it is', lines)
    return {'api/index.md': joined(head('api'), index)} | pages
