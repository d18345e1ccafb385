"""Training throughput over devices and over seeds, with memory.

    python benchmarks/scaling.py [--devices=1,2,4] [--seeds=1,2,5,10] [--only=mlp,lstm]
                                 [--repeats=5] [--out=FILE]

Every line is measured in a process of its own, by the engine's own `Trainer`: the seconds of a
block of train steps, median over the repeats, least and largest beside it, after one block that
compiles and does not count. On a machine without accelerators the devices are forced: they are
so many parts of one processor, so that their efficiency says what splitting costs, not what
devices bring. Memory is what the compiled block needs (arguments, results and temporaries of
one device), and the most that the device has held, or the process where a device does not say.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import workload
from throughput import machine, spread
from workload import Setting

from vaebench import core, networks, schema
from vaebench.engine import optimizers, order
from vaebench.engine.trainer import Settings, Trainer
from vaebench.experiment import evaluate
from vaebench.methods import METHODS

FORCED = '--xla_force_host_platform_device_count={}'
MIB = 2**20


def split(devices: int) -> dict[str, Any]:
    """Says in the engine's settings that a batch is split over devices."""
    return {'mesh': f'data:{devices}' if devices > 1 else ''}


WORKLOADS: Mapping[str, tuple[str, Callable[[], Setting]]] = {
    'mlp': ('MLP VAE 784-512-16, batch 64', lambda: workload.images(workload.MLP)),
    'lstm': ('LSTM-VAE 64/128/16, vocabulary 2,000, batch 64, 20 tokens',
             lambda: workload.lstm(workload.SMALL, 10)),
}


# ---- one line, in its own process ------------------------------------------------------------


def trainer(setting: Setting, seeds: int, devices: int) -> tuple[Trainer, dict[str, float]]:
    """Makes the engine's `Trainer` of a VAE, and the numbers of its rows."""
    columns, kit, data, batch, steps, optimizer = setting
    entry = METHODS['vae']
    recipe = core.Recipe(steps, steps, schema.count(data), optimizers.optimizer(optimizer))
    method = entry.factory(networks.build(columns, kit), recipe, **entry.options)
    settings = Settings(epochs=1, batch=batch, block=steps, **split(devices))
    made = Trainer(method, [data], lambda evals, needs: None, settings, seeds)
    return made, {**entry.hp, 'lr': optimizer['lr'], 'lr_scale': 1.}


def blocks(made: Trainer, seeds: int) -> Iterator[np.ndarray]:
    """Draws the rows of one block after another, [G, K, n, B], as the loop does."""
    size, batch, k = made.sizes[0], made.settings.batch, made.settings.block
    n = core.batches_per_step(made.method.phases[0])
    epoch = 0
    while True:
        needed, drawn = k, []
        while needed > 0:
            own = np.stack([order.indices(size, batch, n, (seed, 0, epoch, 0))
                            for seed in range(seeds)])
            drawn.append(own[:, :needed])
            needed, epoch = needed - drawn[-1].shape[1], epoch + 1
        yield np.concatenate(drawn, 1)


def measured(name: str, seeds: int, devices: int, repeats: int) -> dict[str, Any]:
    """Measures a line: 'seconds' of a block, 'examples' in it, 'program' and 'peak' bytes."""
    if devices > len(jax.devices()):
        return {'missing': f'{len(jax.devices())} devices here'}
    made, hp = trainer(WORKLOADS[name][1](), seeds, devices)
    state, rows = made.init(list(range(seeds)), hp), blocks(made, seeds)
    buckets, seconds = np.zeros(made.settings.block, np.int32), []
    for _ in range(repeats + 1):
        idx = next(rows)
        start = time.perf_counter()
        state, _ = made.block(0, state, made.feed(buckets, idx))
        jax.block_until_ready(state)
        seconds.append(time.perf_counter() - start)
    need = made.programs.build('block0', made.block, ()).memory_analysis()
    steps = made.settings.block
    return {'seconds': seconds[1:], 'examples': seeds * steps * made.settings.batch,
            'how': made.how, 'machine': machine(('jax', 'flax')),
            'program': (need.argument_size_in_bytes + need.output_size_in_bytes
                        - need.alias_size_in_bytes + need.temp_size_in_bytes),
            'peak': evaluate.peak_memory()}


# ---- all of them -----------------------------------------------------------------------------


def apart(name: str, seeds: int, devices: int, repeats: int) -> dict[str, Any]:
    """Gives what `measured` says in a process with so many devices, forced ones on a CPU."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {FORCED.format(devices)}".strip()
    command = [sys.executable, __file__, f'--line={name},{seeds},{devices},{repeats}']
    done = subprocess.run(command, env={**os.environ, 'XLA_FLAGS': flags}, text=True,
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def line(what: str, found: Mapping[str, Any], first: Mapping[str, Any], times: float) -> str:
    """Says a measurement as a line of Markdown.

    Args:
      what: was measured.
      found: what `measured` gave for it.
      first: and for the first line of its table.
      times: how many times as much it has of what the table is over.
    """
    if 'missing' in found:
        return f'| {what} | {found["missing"]} | | | | |'
    rate, base = (x['examples'] / np.array(x['seconds']) for x in (found, first))
    gain = np.median(rate) / np.median(base)
    return (f'| {what} | {spread(rate, "examples/s")} | {gain:.2f} | {gain / times:.2f} | '
            f'{found["program"] / MIB:.1f} MiB | {found["peak"] / MIB:.0f} MiB |')


def table(name: str, over: str, counts: Sequence[int], repeats: int) -> Iterator[str]:
    """Measures one workload over devices or seeds; lines of Markdown.

    Args:
      name: of the workload.
      over: 'devices' or 'seeds'; of the other there is one.
      counts: how many.
      repeats: blocks behind a number.
    """
    found = {}
    for count in counts:
        given = {'seeds': 1, 'devices': 1, over: count}
        found[count] = apart(name, given['seeds'], given['devices'], repeats)
        if count == counts[0]:
            how = f' ({found[count]["how"]})' if over == 'seeds' else ''
            yield f'{WORKLOADS[name][0]}, over {over}{how}; {found[count]["machine"]}'
            yield ''
            yield (f'| {over} | throughput | against {counts[0]} | efficiency | program | '
                   'peak |')
            yield '| --- | --- | ---: | ---: | ---: | ---: |'
        yield line(str(count), found[count], found[counts[0]], count / counts[0])
    yield ''


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    numbers = lambda text: [int(part) for part in text.split(',') if part]
    parser.add_argument('--devices', type=numbers, default=[1, 2, 4])
    parser.add_argument('--seeds', type=numbers, default=[1, 2, 5, 10])
    parser.add_argument('--only', type=lambda text: text.split(','), default=list(WORKLOADS))
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--out', type=pathlib.Path)
    parser.add_argument('--line', help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.line:
        name, *counts = given.line.split(',')
        print(json.dumps(measured(name, *map(int, counts))))
        return
    if unknown := [name for name in given.only if name not in WORKLOADS]:
        parser.error(f'unknown: {", ".join(unknown)}; there are {", ".join(WORKLOADS)}')
    said = [f'Load average at the start {os.getloadavg()[0]:.1f}: only figures from an idle '
            'machine count. Medians, least and largest in brackets; efficiency is the gain '
            'over the first line, divided by how many times as much there is.', '']
    print('\n'.join(said), flush=True)
    for name in given.only:
        for over, counts in (('devices', given.devices), ('seeds', given.seeds)):
            for text in table(name, over, counts, given.repeats) if counts else ():
                said.append(text)
                print(text, flush=True)
    if given.out:
        given.out.write_text('\n'.join(said))


if __name__ == '__main__':
    main()
