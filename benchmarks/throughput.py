"""Speed against peers, in one run, as ratios.

    python benchmarks/throughput.py [--only=mlp_vae,lstm_vae] [--repeats=7] [--out=FILE]

Both sides of a row take turns; a time is the median over the repeats with its least and largest
beside it, a ratio the median of the turns' ratios. The peers are PyTorch and pythae:
pip install -e '.[peers]'. Data are random: their values do not matter here.
"""
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import peers
import workload
from workload import BATCH, IMAGES, MLP, PTB, Setting, Size, columns

from vaebench import core, networks, schema
from vaebench.engine import optimizers
from vaebench.engine.seeds import over_seeds, resolve
from vaebench.methods import METHODS
from vaebench.metrics import importance


class Row(NamedTuple):
    """What a measurement says."""
    target: str                     # of the ratio or of ours
    ours: str
    theirs: str
    ratio: np.ndarray | None        # [repeats]; None where there is no peer


Measure = Callable[[int], Row]
"""Repeats -> what was measured."""


def turns(ours: Callable[[], Any], theirs: Callable[[], Any],
          repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """Measures both sides alternately, after one call each that does not count.

    Returns:
      Seconds of ours and of theirs, [repeats] each.
    """
    times = []
    for _ in range(repeats + 1):
        pair = []
        for f in (ours, theirs):
            start = time.perf_counter()
            f()
            pair.append(time.perf_counter() - start)
        times.append(pair)
    a, b = np.array(times[1:]).T
    return a, b


def spread(values: np.ndarray, unit: str) -> str:
    """Says 'median unit (least - largest)'."""
    return f'{np.median(values):.3g} {unit} ({min(values):.3g} - {max(values):.3g})'


# ---- ours ------------------------------------------------------------------------------------


class Run:
    """A method of the project, trained by its engine: a call trains `steps` steps in one
    dispatch.
    """

    def __init__(self, setting: Setting, method: str = 'vae', seeds: int | None = None,
                 how: str = 'vmap', **options: Any):
        _, config, data, self.examples, self.steps, optimizer = setting
        recipe = core.Recipe(self.steps, self.steps, schema.count(data),
                             optimizers.optimizer(optimizer))
        entry = METHODS[method]
        self.method = entry.factory(networks.build(setting.columns, config), recipe,
                                    **{**entry.options, **options})
        self.data, self.rng = jax.device_put(data), np.random.default_rng(0)
        hp = {k: jnp.float32(v)
              for k, v in {**entry.hp, 'lr': optimizer['lr'], 'lr_scale': 1.}.items()}
        self.batches = core.batches_per_step(self.method.phases[0])
        first = core.take(self.data, jnp.arange(self.examples // self.batches))
        block = core.make_block(self.method.phases[0])
        start = lambda key: core.init(self.method, key, first, hp)
        key = jax.random.key(0)
        if seeds:
            block, start = over_seeds(block, (0, None, None, None), how), jax.vmap(start)
            key = jax.random.split(key, seeds)
        self.state, self.block = jax.jit(start)(key), jax.jit(block, donate_argnums=0)

    def __call__(self) -> Any:
        n, needed = schema.count(self.data), self.steps * self.examples
        order = np.concatenate([self.rng.permutation(n) for _ in range(-(-needed // n))])
        idx = order[:needed].astype(np.int32).reshape(self.steps, self.batches, -1)
        self.state, metrics = self.block(self.state, self.data, idx, jnp.int32(self.steps))
        return jax.device_get(metrics)


def lstm_run(size: Size, steps: int, **options: Any) -> Run:
    """Makes a `Run` of the LSTM-VAE; `options` are those of `Run`."""
    return Run(workload.lstm(size, steps), **options)


def john_run(size: Size, steps: int) -> Run:
    """Makes a `Run` of John et al.'s VAE."""
    kit = {'name': 'lstm', 'family': 'B', 'dropout': .2,
           **{k: size[k] for k in ('latent', 'embed', 'hidden')}}
    made = {**columns(size), 'label': schema.label(workload.LABELS)}
    return Run(Setting(made, kit, workload.styled(8 * size['batch'], size), size['batch'],
                       steps, {'name': 'adam', 'clip': 5., 'lr': 1e-3}),
               'john_vae', style=workload.STYLE)


def images_run(kit: Mapping[str, Any], **options: Any) -> Run:
    """Makes a `Run` over one epoch of images; `options` are those of `Run`."""
    return Run(workload.images(kit), **options)


# ---- rows ------------------------------------------------------------------------------------


def lstm_vae(repeats: int) -> Row:
    """Measures a train step of the LSTM-VAE at the sizes of PTB."""
    k, (step, _) = 4, peers.lstm(PTB)
    a, b = turns(lstm_run(PTB, k), lambda: [step() for _ in range(k)], repeats)
    return Row('>= 0.95', spread(1e3 * a / k, 'ms/step'),
               'PyTorch: ' + spread(1e3 * b / k, 'ms/step'), b / a)


def john_vae(size: Size, steps: int) -> Measure:
    """Makes a row: a train step of John et al.'s VAE, discriminators included."""
    def measure(repeats: int) -> Row:
        step = peers.john(size)
        a, b = turns(john_run(size, steps), lambda: [step() for _ in range(steps)], repeats)
        return Row('>= 1', spread(1e3 * a / steps, 'ms/step'),
                   'PyTorch: ' + spread(1e3 * b / steps, 'ms/step'), b / a)

    return measure


def nll_iw(repeats: int) -> Row:
    """Measures nll_iw with 500 samples, of the LSTM-VAE at the sizes of PTB."""
    samples, chunk, n = 500, 50, 4
    _, nll = peers.lstm(PTB)
    run = lstm_run(PTB, 1)
    evals, state = run.method.evals, run.state
    batch = {k: v[:n] for k, v in run.data.items()}

    @jax.jit
    def weights(params, carry, keys):
        q = evals['posterior'](params, carry, batch)
        return importance.log_weights(evals, params, carry, q, batch, keys)

    keys = jax.random.split(jax.random.key(0), (samples // chunk, chunk, n))

    def ours():
        log_w = np.concatenate([weights(state.params, state.carry, k) for k in keys])
        return importance.importance(log_w.T)[0]

    a, b = turns(ours, lambda: [nll(i, samples, 100) for i in range(n)], repeats)
    return Row('>= 1', spread(1e3 * a / n, 'ms/sentence'),
               'PyTorch: ' + spread(1e3 * b / n, 'ms/sentence'), b / a)


def against_pythae(target: str, kit: Mapping[str, Any], make: Callable[[], Any],
                   adversarial: bool = False, **options: Any) -> Measure:
    """Makes a row: one epoch of ours against one of pythae's.

    Args:
      target: least ratio, as text.
      kit: config of our networks.
      make: () -> pythae's model.
      adversarial: whether pythae's adversarial trainer trains it.
      **options: of `Run`.
    """
    def measure(repeats: int) -> Row:
        with tempfile.TemporaryDirectory() as folder:
            theirs = peers.pythae_epoch(folder, make(), adversarial)
            a, b = turns(images_run(kit, **options), theirs, repeats)
        return Row(target, spread(IMAGES / a, 'samples/s'),
                   'pythae: ' + spread(IMAGES / b, 'samples/s'), b / a)

    return measure


def seeds_row(make: Callable[..., Run], *args: Any) -> Measure:
    """Makes a row: five seeds, side by side and one after the other, against one seed.

    Args:
      make: (*args, **options of `Run`) -> a `Run`.
      *args: its arguments.
    """
    def measure(repeats: int) -> Row:
        one = make(*args)
        side, after = (make(*args, seeds=5, how=how) for how in ('vmap', 'map'))
        a, b = turns(side, one, repeats)
        c, d = turns(after, one, repeats)
        auto = resolve()
        text = (f'vmap {np.median(a / b):.2f}x, map {np.median(c / d):.2f}x; '
                f'chosen here: {auto}')
        return Row('<= 2x on an accelerator', text,
                   spread(1e3 * b / one.steps, 'ms/step') + ' for one seed',
                   a / b if auto == 'vmap' else c / d)

    return measure


def group_row(group: str, method: str, kit: Mapping[str, Any]) -> Measure:
    """Makes a row: a step of a method on the kit of a group against the plain one's, of about
    as many parameters.

    Args:
      group: 'p4' or 'p4m'.
      method: its name in the registry.
      kit: config of both kits, less the name.
    """
    data = {'x': workload.pixels(), 'label': np.arange(IMAGES, dtype=np.int32) % 10}
    info = {'x': schema.image((28, 28, 1)), 'label': schema.label(10)}

    def measure(repeats: int) -> Row:
        moved, plain = (Run(Setting(info, {**kit, 'name': name}, data, BATCH, 20,
                                    {'name': 'adam', 'lr': 1e-3}), method)
                        for name in (group, 'z2'))
        a, b = turns(moved, plain, repeats)
        return Row('<= 4x', spread(1e3 * a / moved.steps, 'ms/step'),
                   'Z2: ' + spread(1e3 * b / plain.steps, 'ms/step'), a / b)

    return measure


def dispatch(repeats: int) -> Row:
    """Measures a tiny VAE's step inside a block: what the engine itself costs."""
    k = 1000
    run = Run(Setting({'x': schema.image((2, 2, 1))},
                      {'name': 'mlp', 'hidden': (4,), 'latent': 1},
                      {'x': np.zeros((16, 2, 2, 1), np.float32)}, 4, k,
                      {'name': 'sgd', 'lr': .1}))
    a, _ = turns(run, lambda: None, repeats)
    return Row('<= 0.2 ms', spread(1e3 * a / k, 'ms/step'), '', None)


def start(repeats: int) -> Row:
    """Measures `vaebench --help`."""
    beside = shutil.which('vaebench', path=str(pathlib.Path(sys.executable).parent))
    command = beside or shutil.which('vaebench')
    if command is None:
        raise SystemExit('there is no command vaebench: pip install -e .')
    a, _ = turns(lambda: subprocess.run([command, '--help'], capture_output=True, check=True),
                 lambda: None, repeats)
    return Row('<= 1 s', spread(a, 's'), '', None)


ROWS: Mapping[str, tuple[str, Measure]] = {
    'mlp_vae': ('MLP VAE 784-512-16, batch 64: samples/s over an epoch',
                against_pythae('>= 3', MLP, peers.pythae_vae)),
    'mlp_wae_mmd': ('WAE-MMD on the same networks',
                    against_pythae('>= 3', MLP, peers.pythae_wae_mmd, method='wae_mmd')),
    'mlp_aae': ("adversarial autoencoder with the two updates of pythae's, critic of 256: "
                'our WAE-GAN',
                against_pythae('>= 3', MLP, peers.pythae_aae, adversarial=True,
                               method='wae_gan', hidden=(256,))),
    'mlp_aae_three': ("the same in the three updates of its paper, against pythae's two",
                      against_pythae('>= 3', MLP, peers.pythae_aae, adversarial=True,
                                     method='aae', hidden=(256,), stochastic=True)),
    'beta_tcvae': ('beta-TCVAE (minibatch weights) on the same networks',
                   against_pythae('>= 2', MLP, peers.pythae_beta_tc_vae, method='beta_tcvae')),
    'factor_vae': ('FactorVAE on the same networks, critic 5 x 1000, half of each '
                   "batch for either player as pythae's",
                   against_pythae('>= 2', MLP, peers.pythae_factor_vae, adversarial=True,
                                  method='factor_vae', hidden=(1000,) * 5)),
    'factor_vae_small': ('the same with a critic of two layers of 256',
                         against_pythae('>= 2', MLP, peers.pythae_factor_vae_small,
                                        adversarial=True, method='factor_vae',
                                        hidden=(256, 256))),
    'conv_vae': ('convolutional VAE, 3x3 strided, 32 and 64 channels, 128, 16',
                 against_pythae('>= 1.5', workload.CONV, peers.pythae_conv_vae)),
    'seeds_images': ('five seeds against one: MLP VAE 784-512-16, batch 64',
                     seeds_row(images_run, MLP)),
    'lstm_vae': ('LSTM-VAE 256/256/32, vocabulary 10,002, batch 32, 23 tokens: train step',
                 lstm_vae),
    'john_vae': ("John et al.'s VAE 300/256/136, vocabulary 9,000, batch 128, 16 tokens: train "
                 'step', john_vae(workload.STYLED, 4)),
    'john_vae_small': ('the same, 64/128/32, vocabulary 300, batch 64, 12 tokens',
                       john_vae(workload.STYLED_SMALL, 20)),
    'nll_iw': ('nll_iw of the same LSTM-VAE, 500 samples', nll_iw),
    'dispatch': ('a step of a tiny net inside a block', dispatch),
    'seeds_small': ('five seeds against one: LSTM-VAE 64/128/16, vocabulary 2,000, batch 64',
                    seeds_row(lstm_run, workload.SMALL, 10)),
    'seeds_tiny': ('five seeds against one: LSTM-VAE 32/64/8, vocabulary 50, batch 64',
                   seeds_row(lstm_run, workload.TINY, 10)),
    'p4_classifier': ('P4CNN of rotated MNIST, batch 64, against Z2CNN: train step',
                      group_row('p4', 'classifier', workload.GROUP_CLASSES)),
    'p4m_classifier': ('P4MCNN against Z2CNN',
                       group_row('p4m', 'classifier', workload.GROUP_CLASSES)),
    'p4_vae': ('VAE with encoder and decoder on p4 against its twin on Z2',
               group_row('p4', 'vae', workload.GROUP_CODES)),
    'help': ('vaebench --help', start),
}


# ---- the command line ------------------------------------------------------------------------


def version(name: str) -> str:
    """Gives the version of an installed package, else a dash."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return '-'


def machine(packages: Sequence[str]) -> str:
    """Names the processor, its cores, JAX's device, Python and the versions of packages."""
    info = pathlib.Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    models = (x.split(':')[1].strip() for x in lines if x.startswith('model name'))
    device = jax.devices()[0]
    versions = ', '.join(f'{name} {version(name)}' for name in packages)
    return (f'{next(models, platform.processor())}, {os.cpu_count()} cores, jax on '
            f'{device.platform} ({device.device_kind}); Python {platform.python_version()}, '
            f'{versions}')


def measured(name: str, repeats: int) -> str:
    """Measures a row, and gives it as a line of Markdown."""
    title, measure = ROWS[name]
    try:
        found = measure(repeats)
    except ImportError:
        if version('torch') != '-' and version('pythae') != '-':
            raise
        return f'| {title} | | {peers.MISSING} | | |'
    ratio = '' if found.ratio is None else f'{np.median(found.ratio):.2f}'
    return f'| {title} | {found.target} | {found.ours} | {found.theirs} | {ratio} |'


def main(argv: Sequence[str]) -> int:
    """Measures and prints; returns the exit code."""
    options = dict(arg.removeprefix('--').split('=', 1) for arg in argv
                   if arg.startswith('--') and '=' in arg)
    only = options.get('only', ','.join(ROWS)).split(',')
    wrong = [*(x for x in argv if not x.startswith('--') or '=' not in x),
             *(x for x in only if x not in ROWS),
             *(x for x in options if x not in ('only', 'repeats', 'out'))]
    if wrong:
        print(f'unknown: {", ".join(wrong)}. Use --only=, --repeats=, --out=; '
              f'rows: {", ".join(ROWS)}')
        return 2
    lines = [machine(('jax', 'flax', 'optax', 'torch', 'pythae')), '',
             f'Load average at the start {os.getloadavg()[0]:.1f}: peers suffer more than we '
             'do from a busy machine, so only figures from an idle one count.',
             'Medians, least and largest in brackets; a ratio above 1 is in our favour, except '
             'over seeds and of groups.', '',
             '| measured | target | ours | peer | ratio |', '| --- | --- | --- | --- | --- |']
    print('\n'.join(lines), flush=True)
    for name in only:
        lines.append(measured(name, int(options.get('repeats', 7))))
        print(lines[-1], flush=True)
    if 'out' in options:
        pathlib.Path(options['out']).write_text('\n'.join(lines) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
