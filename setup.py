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
    packages=find_packages(include=['vaebench', 'vaebench.*']),
    package_data={'vaebench': ['report/*.yaml', 'report/page/page.*']},
    install_requires=[
        'jax>=0.10.2', 'flax>=0.12', 'optax>=0.2.8', 'chex>=0.1.92', 'tensorflow-datasets>=4.9.10', 'absl-py>=2.1',
        'array_record>=0.8; platform_system == "Linux"', 'h5py', 'importlib_resources', 'jinja2', 'matplotlib',
        'ml_collections>=1.1', 'numpy>=2', 'orbax-checkpoint>=0.12', 'pandas', 'pillow', 'pyyaml', 'rich',
        'sacrebleu', 'scikit-learn', 'scipy', 'tabulate', 'threadpoolctl',
    ],
    extras_require={
        'test': ['pytest', 'pytest-xdist', 'ruff', 'codespell', 'pre-commit', 'pybtex'],
        'browser': ['playwright', 'axe-playwright-python'],
        'cuda12': ['jax[cuda12]'],
        'cuda13': ['jax[cuda13]'],
        'tpu': ['jax[tpu]'],
        'peers': ['torch', 'pythae==0.1.2'],
    },
    entry_points={'console_scripts': ['vaebench = vaebench.cli:main', 'vaebench-report = vaebench.report.cli:main']},
)
