"""Whose revision a result names."""
import subprocess

import pytest

from vaebench.experiment.evaluate import revision

NONE = {'revision': None, 'dirty': None}


@pytest.fixture
def git(tmp_path, monkeypatch):
    """git in a repository that holds 'own.py' and a folder of installed packages that it does not."""
    for name in ('GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE'):
        monkeypatch.delenv(name, raising=False)

    def run(*args):
        person = '-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'commit.gpgsign=false'
        return subprocess.run(['git', *person, '-C', str(tmp_path), *args], check=True,
                              capture_output=True, text=True).stdout.strip()

    package = tmp_path / '.venv' / 'vaebench'
    package.mkdir(parents=True)
    (package / 'evaluate.py').write_text('1\n')
    (tmp_path / 'own.py').write_text('1\n')
    run('init', '-q')
    run('add', 'own.py')
    run('commit', '-qm', 'own')
    return run


def test_the_repository_of_something_else_is_not_named(git, tmp_path):
    package = tmp_path / '.venv' / 'vaebench'
    assert revision(package) == NONE
    git('add', '.venv')
    git('commit', '-qm', 'with the package')
    assert revision(package) == {'revision': git('rev-parse', 'HEAD'), 'dirty': False}
    (package / 'evaluate.py').write_text('2\n')
    assert revision(package) == {'revision': git('rev-parse', 'HEAD'), 'dirty': True}


def test_without_a_repository_or_git_there_is_none(tmp_path, monkeypatch):
    assert revision(tmp_path) == NONE
    monkeypatch.setenv('PATH', str(tmp_path))
    assert revision(tmp_path) == NONE
