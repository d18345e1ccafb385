"""What is stored is what is read: hashes, the checkpoint before, causes, a full disk."""
import asyncio
import resource
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_engine import HP, number, same

from vaebench import core, files
from vaebench.engine import checkpoint, loop
from vaebench.engine.stages import Stage
from vaebench.errors import UserError

TREE = {'w': jnp.linspace(0., 1., 300), 'key': jax.random.key(3), 'none': ()}


def like(host):
    return jax.eval_shape(lambda: TREE)


@pytest.fixture
def folder(tmp_path):
    """Two checkpoints: 1 of ones, 2 of `TREE`."""
    checkpoint.save(tmp_path / 'c', {**TREE, 'w': jnp.ones(300)}, {'n': 1, 'rate': .1})
    checkpoint.save(tmp_path / 'c', TREE, {'n': 2, 'rate': .1})
    return tmp_path / 'c'


def flip(path):
    """Turns one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def stored(folder, part='*'):
    return sorted(p for p in folder.rglob(part) if p.is_file() and p.stat().st_size)


def test_one_bit_of_any_file_gives_the_checkpoint_before_and_says_so(folder, tmp_path, capfd):
    tree, host = checkpoint.restore(folder, like)
    assert host['n'] == 2 and (tree['w'] == TREE['w']).all()
    assert (jax.random.key_data(tree['key']) == jax.random.key_data(TREE['key'])).all()
    every = stored(folder / '2')
    assert {'leaves', 'host', '2'} <= {p.parent.name for p in every} and len(every) > 8
    for path in every:
        shutil.copytree(folder, tmp_path / 'copy')
        name, said = path.relative_to(folder).as_posix(), []
        flip(tmp_path / 'copy' / name)
        tree, host = checkpoint.restore(tmp_path / 'copy', like, said.append)
        assert host['n'] == 1 and (tree['w'] == 1).all(), name
        assert len(said) == 1 and 'is damaged (2/' in said[0], said
        assert name in said[0] or path.name == checkpoint.MANIFEST
        shutil.rmtree(tmp_path / 'copy')
    assert not capfd.readouterr().err                  # nor does any library


def test_without_another_the_advice_is_to_delete_the_folder(folder):
    for name in '12':
        flip(max(stored(folder / name / 'leaves'), key=lambda p: p.stat().st_size))
    with pytest.raises(checkpoint.DamagedError, match='c is damaged .2/leaves/.* not as it was '
                                                      'written.; delete that folder to train'):
        checkpoint.restore(folder, like)
    assert checkpoint.peek(folder)['n'] == 2           # which looks at no array
    shutil.rmtree(folder / '2' / 'host')
    assert checkpoint.peek(folder)['n'] == 1
    shutil.rmtree(folder / '1' / 'host')
    with pytest.raises(checkpoint.DamagedError, match='2/host/.*: No such file or directory'):
        checkpoint.peek(folder)


@pytest.mark.parametrize('error, said', [
    (AssertionError(), 'whose files are as they were written: AssertionError; another version'),
    (KeyError('sample'), "KeyError: 'sample'"),
    (RuntimeError("Unable to initialize backend 'tpu'\nmore"), "Unable to initialize backend 'tpu';"),
    (UserError('unknown method x'), '^unknown method x$'),
])
def test_what_is_no_damage_is_named_and_nothing_is_to_be_deleted(folder, error, said):
    def fails(host):
        raise error

    with pytest.raises(UserError, match=said) as caught:
        checkpoint.restore(folder, fails)
    assert 'delete' not in str(caught.value) and '\n' not in str(caught.value)


def test_other_shapes_and_denied_files_are_no_damage(folder, monkeypatch):
    with pytest.raises(UserError, match='2 arrays where 1 belong'):
        checkpoint.restore(folder, lambda host: jnp.zeros(300))
    with pytest.raises(UserError, match='shape'):
        checkpoint.restore(folder, lambda host: {**TREE, 'w': jnp.zeros(299)})

    def denied(path):
        raise PermissionError(13, 'Permission denied', str(path))

    monkeypatch.setattr(files, 'sha256', denied)
    with pytest.raises(UserError, match='cannot read .*: Permission denied$'):
        checkpoint.restore(folder, like)


def test_checkpoints_of_earlier_versions_have_no_hashes(folder):
    (folder / '2' / checkpoint.MANIFEST).unlink()
    tree, host = checkpoint.restore(folder, like)
    assert host['n'] == 2 and (tree['w'] == TREE['w']).all()


def test_a_full_disk_is_met_before_anything_is_written(folder, monkeypatch, capfd):
    before = stored(folder)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: (2**30, 2**30 - 1000, 1000))
    with pytest.raises(UserError, match='no room: 0.3 MiB are needed, 0.0 are free; free some space'):
        checkpoint.save(folder, TREE, {})
    assert stored(folder) == before and not capfd.readouterr().err


def test_a_write_that_fails_is_one_line_and_leaves_nothing(folder, capfd, monkeypatch):
    before, heard = stored(folder), []
    hook = lambda unraisable: heard.append(str(unraisable.exc_value))
    monkeypatch.setattr(sys, 'unraisablehook', hook)
    large = {i: jnp.full(20_000, float(i)) + jax.random.uniform(jax.random.key(i), (20_000,))
             for i in range(12)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))       # bytes of a file
    try:
        with pytest.raises(UserError, match='cannot write the checkpoint .*; free some space'):
            checkpoint.save(folder, large, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert stored(folder) == before and sys.unraisablehook is hook
    assert not heard and not capfd.readouterr().err


def test_inside_a_running_event_loop(folder):
    async def both():
        checkpoint.save(folder, TREE, {'n': 3})
        return checkpoint.restore(folder, like)

    tree, host = asyncio.run(both())
    assert host['n'] == 3 and (np.asarray(tree['w']) == np.asarray(TREE['w'])).all()


def test_a_damaged_stage_is_written_anew(tmp_path):
    stage = Stage(1, tmp_path / 'stage')
    stage.store(TREE, {'n': 1})
    flip(stored(tmp_path / 'stage', 'metadata')[0])
    assert stage.load(like(None)) is None
    stage.store(TREE, {'n': 2})
    assert stage.load(like(None))[1]['n'] == 2


def test_a_run_goes_on_from_the_checkpoint_before_to_the_same_numbers(tmp_path):
    trainer = number(core.Phase('main', (), 14), group=2)
    whole, _ = loop.run(trainer, (0, 1), HP)
    stop, said = iter(range(5)), []
    options = loop.Options(folder=tmp_path / 'c', save_every=0., say=said.append,
                           stop=lambda: next(stop, None) is None)
    with pytest.raises(loop.OutOfTime):
        loop.run(trainer, (0, 1), HP, options)
    newest = checkpoint.numbers(tmp_path / 'c')[-1]
    flip(max(stored(tmp_path / 'c' / str(newest)), key=lambda p: p.stat().st_size))
    assert not said
    state, _ = loop.run(trainer, (0, 1), HP, options._replace(stop=lambda: False))
    assert same(state, whole) and len(said) == 1 and f'is damaged ({newest}/' in said[0]
