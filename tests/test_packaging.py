"""What is installed: dependencies that are used, and nothing that is used without being one."""
import ast
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
IMPORTED_AS = {'absl_py': 'absl', 'orbax_checkpoint': 'orbax', 'pillow': 'PIL',
               'pyyaml': 'yaml', 'scikit_learn': 'sklearn'}
INDIRECT = {'array_record', 'importlib_resources'}    # TFDS imports them without requiring them
AHEAD = {'chex'}                            # required, and imported by nothing yet


def declared(extra=''):
    """Import names of what setup.py requires, or of what an extra of it does."""
    call = ast.parse((ROOT / 'setup.py').read_text()).body[-1].value
    given = {k.arg: k.value for k in call.keywords}
    required = ast.literal_eval(given['extras_require'])[extra] if extra else ast.literal_eval(
        given['install_requires'])
    names = [re.match(r'[\w-]+', text)[0] for text in required]
    return {IMPORTED_AS.get(name, name) for name in (n.replace('-', '_') for n in names)}


def imported():
    """Packages that the product imports, but for the standard library and itself."""
    found = set()
    for path in (*(ROOT / 'vaebench').rglob('*.py'), *(ROOT / 'configs').glob('*.py')):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split('.')[0])
    return found - set(sys.stdlib_module_names) - {'vaebench'}


def test_what_is_required_is_imported_and_what_is_imported_is_required():
    assert imported() <= declared() | declared('study') | declared('cluster')
    assert declared() - imported() <= INDIRECT | AHEAD
