"""Package definition; tool settings are in pyproject.toml."""
import pathlib
import re

from setuptools import find_packages, setup

here = pathlib.Path(__file__).parent
version = re.search(r"__version__ = '(.+)'", (here / 'vaebench' / '__init__.py').read_text())[1]

setup(
    name='vaebench',
    version=version,
    description='One benchmark for variational autoencoders and their rivals, in JAX',
    long_description=(here / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.11',
    packages=[*find_packages(include=['vaebench', 'vaebench.*']), 'vaebench.configs'],
    # so that --config=quickstart is found from any folder
    package_dir={'vaebench.configs': 'configs'},
    package_data={
        'vaebench': [f'**/*.{kind}' for kind in ('yaml', 'csv', 'bib', 'jinja', 'js', 'css')],
    },
    install_requires=[
        'jax>=0.10.2', 'flax>=0.12', 'optax>=0.2.8', 'chex>=0.1.92', 'orbax-checkpoint>=0.12',
        'numpy>=2', 'scipy>=1.15', 'scikit-learn>=1.6', 'threadpoolctl', 'absl-py>=2.1',
        'ml_collections>=1.1', 'tensorflow-datasets>=4.9.10', 'importlib_resources',
        'array_record>=0.8; platform_system == "Linux"',
        'grain>=0.2.18; platform_system == "Linux"', 'pillow', 'filelock>=3.30',
        'msgspec>=0.18', 'sacrebleu', 'jinja2', 'matplotlib', 'pandas', 'pybtex', 'pylatexenc',
        'rich',
    ],
    extras_require={
        'test': [
            'pytest', 'pytest-xdist', 'ruff', 'pyright[nodejs]', 'codespell', 'pre-commit',
            'statsmodels', 'nbclient', 'nbformat', 'ipykernel',
        ],
        'docs': [
            'mkdocs>=1.6', 'mkdocs-material>=9.7', 'mkdocs-gen-files', 'mkdocs-literate-nav',
            'mkdocstrings[python]>=1',
        ],
        'study': ['statsmodels'],
        'browser': ['playwright', 'axe-playwright-python'],
        'cuda12': ['jax[cuda12]'],
        'cuda13': ['jax[cuda13]'],
        'tpu': ['jax[tpu]'],
        'cluster': ['submitit>=1.5'],
        'tensorboard': ['tensorboardX'],
        'wandb': ['wandb>=0.20'],
        'peers': ['torch', 'pythae==0.1.2'],
    },
    entry_points={
        'console_scripts': [
            'vaebench = vaebench.cli:main', 'vaebench-report = vaebench.report.cli:main',
        ],
    },
)
