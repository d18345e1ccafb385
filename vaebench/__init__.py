"""vaebench: every variational autoencoder, trained and measured by one engine.

What users and packages that add to it need; each name is imported when it is first asked for.
"""
import importlib
from typing import Any

from vaebench.errors import UserError

__version__ = '0.1.0'
_HOME = {
    'load': 'api', 'Model': 'api',
    'Kit': 'core', 'Net': 'core', 'Decoder': 'core', 'Features': 'core', 'Codec': 'core',
    'Context': 'core', 'Method': 'core', 'Phase': 'core', 'Criterion': 'core',
    'Player': 'core', 'Recipe': 'core',
    'EVALS': 'core',
    'Field': 'schema', 'Rows': 'schema',
    'DATASETS': 'datasets', 'Dataset': 'datasets',
    'KITS': 'networks', 'KitEntry': 'networks',
    'METHODS': 'methods', 'Entry': 'methods',
    'METRICS': 'metrics', 'Metric': 'metrics', 'Value': 'metrics', 'Evaluator': 'metrics',
    'Runner': 'experiment.runner', 'run': 'runs', 'Results': 'runs', 'curves': 'runs',
}
"""Public name -> the module that it lives in."""
__all__ = ['UserError', *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_HOME[name]}'), name)


def __dir__() -> list[str]:
    return sorted(__all__)
