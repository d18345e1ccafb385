"""Each layer imports only what it may: the rules that keep a stranger's way short."""
import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent / 'vaebench'
OWN = {'ops', 'losses', 'core', 'files', 'networks', 'methods', 'datasets', 'engine', 'metrics', 'judges', 'experiment',
       'api', 'report', 'cli'}
MAY = {      # layer -> the layers of ours and the libraries beyond the standard one that it may import
    'ops': ({'ops'}, {'jax', 'numpy', 'scipy'}),
    'losses': ({'ops', 'losses'}, {'jax', 'optax'}),
    'core': (set(), {'jax', 'optax'}),
    'networks': ({'core', 'ops', 'networks', 'errors'}, {'jax', 'flax', 'numpy'}),
    'methods': ({'core', 'losses', 'ops', 'networks', 'methods', 'errors'}, {'jax', 'optax', 'numpy', 'sklearn'}),
    'datasets': ({'datasets', 'errors'}, {'numpy', 'tensorflow_datasets', 'scipy', 'sklearn', 'absl', 'PIL',
                                           'array_record',
                                          'etils', 'importlib_resources', 'tqdm'}),
    'metrics': ({'core', 'ops', 'metrics', 'errors'}, {'jax', 'numpy', 'scipy', 'sklearn', 'sacrebleu',
                                                       'threadpoolctl'}),
    'files': ({'errors'}, set()),
    'engine': ({'core', 'engine', 'files', 'errors'}, {'jax', 'numpy', 'optax', 'orbax'}),
    'judges': ({'core', 'engine', 'networks', 'methods', 'metrics', 'judges', 'files', 'errors'},
               {'jax', 'numpy', 'sklearn'}),
    'report': ({'experiment', 'report', 'files', 'errors', 'methods'}, {
        'absl', 'numpy', 'scipy', 'pandas', 'matplotlib', 'jinja2', 'rich', 'PIL', 'sklearn', 'tabulate',
        'threadpoolctl', 'yaml'}),
}
ONLY = {'flax': {'networks'}, 'tensorflow_datasets': {'datasets'}, 'ml_collections': {'cli', 'experiment'},
        'orbax': {'engine'}}
# (layer, library or layer of ours) -> the files there that may import it; of the report, cards alone
FILES = {('methods', 'sklearn'): {'embeddings.py'}, ('methods', 'networks'): {'build.py'},
         ('report', 'methods'): {'cards.py'}}
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


def files():
    return sorted(ROOT.rglob('*.py'))


def layer(path):
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix('.py')


@pytest.mark.parametrize('path', files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_stay_in_their_layer(path):
    here = layer(path)
    for package, target in imports(path):
        assert package not in ONLY or here in ONLY[package], f'{package} imported in {here}'
        for used in {package, target} - {''}:
            assert path.name in FILES.get((here, used), {path.name}), f'{used} imported in {path.name}'
        if here not in MAY or package in STANDARD:
            continue
        ours, libraries = MAY[here]
        if package == 'vaebench':
            assert target in ours | {''}, f'{here} imports vaebench.{target}'
        else:
            assert package in libraries, f'{here} imports {package}'


def test_every_layer_of_ours_is_known():
    assert {layer(p) for p in files()} - {'__init__', 'errors'} == OWN


def test_absl_flags_only_where_commands_start():
    for path in files():
        if re.search(r'from absl import flags|import absl\.flags', path.read_text()):
            assert layer(path) in ('cli', 'report')


def test_no_behaviour_by_name_of_a_method():
    from vaebench.methods import METHODS
    for path in files():
        if layer(path) in ('experiment', 'report') or path.name == '__init__.py' and layer(path) == 'methods':
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                for side in (node.left, *node.comparators):
                    assert not (isinstance(side, ast.Constant) and side.value in METHODS), f'{path}:{node.lineno}'
