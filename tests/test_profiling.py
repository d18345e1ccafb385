"""Traces of train steps."""
import gzip
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench.engine import loop, profiling
from vaebench.errors import UserError


@pytest.mark.parametrize('text', ['', '5', '0:3', '7:5', '3:', 'a:b', '1:2:3', '-1:4', '1.5:2'])
def test_what_is_no_range_of_steps_is_a_line(text):
    with pytest.raises(UserError, match=f'profile={text} is no range of train steps; write '):
        profiling.steps(text)


@pytest.fixture
def traced(monkeypatch):
    """What JAX's profiler was asked for."""
    calls = []

    def start(folder, **options):
        calls.append('start')
        (folder / profiling.TRACE).parent.mkdir(parents=True, exist_ok=True)
        (folder / profiling.TRACE).touch()

    monkeypatch.setattr(jax.profiler, 'start_trace', start)
    monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: calls.append('stop'))
    return calls


PHASES = types.SimpleNamespace(steps=25), types.SimpleNamespace(steps=20)


def train(profile, calls, block=10, begun=0, until=45):
    """A group that takes blocks of steps; the steps that were traced, and where a call begins."""
    seen, taken = [], begun
    with profile.group('vae', PHASES, block) as on_block:
        while taken < until:
            end = min(taken + block, 25 if taken < 25 else until)
            if calls.count('start') > calls.count('stop'):
                seen += range(taken + 1, end + 1)
            taken = end
            at = loop.Position(0, 0, 0, taken) if taken <= 25 else loop.Position(1, 0, 0, taken - 25)
            on_block(at, taken / 45, np.ones(1))
    return seen


@pytest.mark.parametrize('first, last, steps', [
    (1, 5, (1, 10)), (11, 20, (11, 20)), (12, 21, (11, 25)), (26, 26, (26, 35)),
    (30, 99, (26, 45)), (10, 11, (1, 20))])
def test_whole_blocks_around_the_steps_are_traced_over_all_phases(first, last, steps, traced, tmp_path):
    profile = profiling.Profile(first, last, tmp_path, say=lambda line: None)
    seen = train(profile, traced)
    assert (min(seen), max(seen)) == steps and traced == ['start', 'stop'] and profile.done


def test_the_first_group_that_takes_the_steps_is_traced_and_no_other(traced, tmp_path):
    profile = profiling.Profile(12, 14, tmp_path, say=lambda line: None)
    assert train(profile, traced, begun=20) == [] and not profile.done      # from a checkpoint
    assert train(profile, traced) == list(range(11, 21)) and profile.done
    assert train(profile, traced) == [] and traced == ['start', 'stop']


def test_of_several_processes_the_first_alone_traces(traced, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, 'process_index', lambda: 1)
    profile = profiling.Profile(12, 14, tmp_path)
    assert profile.done and train(profile, traced) == [] and traced == []


def test_steps_that_no_group_takes_leave_no_trace(traced, tmp_path):
    profile = profiling.Profile(46, 50, tmp_path)
    assert train(profile, traced) == [] and not profile.done and traced == []


def test_a_trace_of_a_block_opens_and_holds_what_ran(tmp_path):
    said, phase = [], types.SimpleNamespace(steps=30)
    product, a = jax.jit(lambda a: jnp.tanh(a @ a)), jnp.ones((64, 64))
    with profiling.Profile(11, 20, tmp_path, said.append).group('vae', (phase,), 10) as on_block:
        for steps in (10, 20, 30):
            product(a).block_until_ready()
            on_block(loop.Position(0, 0, 0, steps), steps / 30, np.ones(1))
    path, = (tmp_path / 'vae.11-20').rglob(profiling.TRACE)
    assert said == [f'train steps 11 to 20 are traced in {path}: open it in Perfetto']
    events = json.loads(gzip.decompress(path.read_bytes()))['traceEvents']
    assert [event['name'] for event in events if event.get('name') == 'wrapped_tanh'] == ['wrapped_tanh']
