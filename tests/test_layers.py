"""Each layer imports only what it may: the rules that keep a stranger's way short."""
import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent / 'vaebench'
# A layer -> the layers of ours that it may import, all of them below it, and the libraries beyond the standard one.
BASE = {'schema', 'errors'}
MAY = {
    'errors': (set(), set()),
    'schema': ({'errors'}, {'numpy'}),
    'files': ({'errors'}, {'filelock', 'msgspec'}),
    'core': (BASE | {'core'}, {'jax', 'numpy', 'optax'}),
    'ops': ({'ops'}, {'chex', 'jax', 'numpy', 'scipy'}),
    'losses': ({'ops', 'losses'}, {'chex', 'jax', 'optax'}),
    'networks': (BASE | {'core', 'ops', 'networks'}, {'flax', 'jax', 'numpy'}),
    'methods': (BASE | {'core', 'losses', 'ops', 'methods', 'networks'}, {'jax', 'numpy', 'optax', 'sklearn'}),
    'datasets': (BASE | {'datasets', 'files'}, {
        'absl', 'array_record', 'etils', 'importlib_resources', 'jax', 'numpy', 'PIL', 'scipy', 'sklearn',
        'tensorflow_datasets', 'tqdm'}),
    'engine': (BASE | {'core', 'engine', 'files', 'ops'}, {'grain', 'jax', 'numpy', 'optax', 'orbax'}),
    'metrics': (BASE | {'core', 'engine', 'metrics', 'ops'}, {
        'jax', 'numpy', 'optax', 'sacrebleu', 'scipy', 'sklearn', 'threadpoolctl'}),
    'judges': (BASE | {'core', 'engine', 'files', 'judges', 'methods', 'metrics', 'networks'}, {
        'jax', 'numpy', 'scipy', 'sklearn'}),
    'experiment': (BASE | {
        'core', 'datasets', 'engine', 'experiment', 'files', 'judges', 'methods', 'metrics', 'networks', 'ops'}, {
        'jax', 'ml_collections', 'msgspec', 'numpy', 'scipy'}),
    'inputs': (BASE | {'files'}, {'numpy'}),
    'api': (BASE | {'core', 'engine', 'experiment', 'files', 'inputs', 'methods', 'networks'}, {'jax', 'numpy'}),
    'report': (BASE | {'experiment', 'files', 'methods', 'report'}, {
        'absl', 'jinja2', 'msgspec', 'matplotlib', 'numpy', 'pandas', 'PIL', 'pybtex',
        'pylatexenc', 'rich', 'scipy', 'sklearn', 'statsmodels', 'threadpoolctl'}),
    'console': ({'files'}, {'absl', 'rich'}),
    'runs': (BASE | {'api', 'console', 'experiment', 'files', 'inputs', 'report'}, {'numpy', 'pandas'}),
    'jobs': (BASE | {'console', 'engine', 'experiment', 'files', 'jobs'}, {'jax', 'submitit'}),
    'command_flags': ({'experiment'}, {'absl'}),
    'cli': ({*BASE, 'command_flags', 'console', 'engine', 'experiment', 'files', 'jobs', 'report'}, {
        'absl', 'ml_collections'}),
    '__main__': ({'cli'}, set()), '__init__': ({'api', 'errors'}, set()),
}
# (layer, library or layer of ours) -> the files there that alone may import it
FILES = {('methods', 'sklearn'): {'manifold_learning.py'}, ('methods', 'networks'): {'build.py'},
         ('metrics', 'engine'): {'evaluator.py', 'importance.py'},
         ('report', 'methods'): {'cards.py'}, ('engine', 'grain'): {'stream.py'},
         ('report', 'statsmodels'): {'sweeps.py'}, ('experiment', 'scipy'): {'spaces.py'},
         ('datasets', 'jax'): {'transforms.py', 'particles.py'}}
STANDARD = set(__import__('sys').stdlib_module_names)


def imports(path):
    """(package, layer or '') of every import in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split('.')
            yield parts[0], parts[1] if parts[0] == 'vaebench' and len(parts) > 1 else ''


def modules(path):
    """Modules of ours that a file imports when it is itself imported: what functions import later does not count."""
    names = {'.'.join(('vaebench', *p.relative_to(ROOT).with_suffix('').parts)).removesuffix('.__init__')
             for p in files()}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module.split('.')[0] == 'vaebench':
            for alias in node.names:
                whole = f'{node.module}.{alias.name}'
                yield whole if whole in names else node.module


def files():
    return sorted(ROOT.rglob('*.py'))


def layer(path):
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix('.py')


@pytest.mark.parametrize('path', files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_stay_in_their_layer(path):
    here = layer(path)
    ours, libraries = MAY[here]
    for package, target in imports(path):
        for used in {package, target} - {''}:
            assert path.name in FILES.get((here, used), {path.name}), f'{used} imported in {path.name}'
        if package == 'vaebench':
            assert target in ours | {''}, f'{here} imports vaebench.{target}'
        elif package not in STANDARD:
            assert package in libraries, f'{here} imports {package}'


def test_layers_stand_on_one_another():
    """No layer imports one that, by way of others, imports it."""
    below = {name: set(ours) - {name} for name, (ours, _) in MAY.items()}
    for _ in below:
        below = {name: reached.union(*(below[n] for n in reached)) for name, reached in below.items()}
    assert not [name for name, reached in below.items() if name in reached]


def test_modules_import_one_another_without_a_circle():
    found = {}
    for path in files():
        name = '.'.join(('vaebench', *path.relative_to(ROOT).with_suffix('').parts)).removesuffix('.__init__')
        found[name] = {m for m in modules(path) if m != name}
    done, path = set(), []

    def visit(name):
        assert name not in path, ' -> '.join([*path[path.index(name):], name])
        if name in done or name not in found:
            return
        path.append(name)
        for other in found[name]:
            visit(other)
        done.add(path.pop())

    for name in found:
        visit(name)


def test_every_layer_of_ours_is_known():
    assert {layer(p) for p in files()} == set(MAY)


def test_absl_flags_only_where_commands_start():
    for path in files():
        if re.search(r'from absl import flags|import absl\.flags', path.read_text()):
            assert layer(path) in ('command_flags', 'cli', 'report')


def test_no_behaviour_by_name_of_a_method():
    from vaebench.methods import METHODS
    for path in files():
        if layer(path) in ('experiment',
                           'report') or path.name == '__init__.py' and layer(path) == 'methods':
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                for side in (node.left, *node.comparators):
                    assert not (isinstance(side, ast.Constant)
                                and side.value in METHODS), f'{path}:{node.lineno}'
