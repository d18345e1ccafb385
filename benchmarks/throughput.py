"""Speed against peers, in one run, as ratios.

    python benchmarks/throughput.py [--only=mlp_vae,lstm_vae] [--repeats=7] [--out=FILE]

Both sides of a row take turns; a time is the median over the repeats with its least and largest beside it, a ratio the
median of the turns' ratios. The peers are PyTorch and pythae: pip install -e '.[peers]'. Data are random: their values
do not matter here.
"""
import importlib.metadata
import logging
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core, networks, schema
from vaebench.engine import optimizers
from vaebench.engine.seeds import over_seeds, resolve
from vaebench.methods import METHODS
from vaebench.metrics import importance

PTB = {'vocab': 10_002, 'embed': 256, 'hidden': 256, 'latent': 32, 'batch': 32, 'steps': 23}
SMALL = {'vocab': 2_000, 'embed': 64, 'hidden': 128, 'latent': 16, 'batch': 64, 'steps': 20}
TINY = {'vocab': 50, 'embed': 32, 'hidden': 64, 'latent': 8, 'batch': 64, 'steps': 13}
PEERS = "peer not installed: pip install -e '.[peers]'"


def turns(ours, theirs, repeats):
    """Seconds of both sides, measured alternately after one call each that does not count: two arrays [repeats]."""
    times = []
    for i in range(repeats + 1):
        pair = []
        for f in (ours, theirs):
            start = time.perf_counter()
            f()
            pair.append(time.perf_counter() - start)
        times.append(pair if i else None)
    return np.array(times[1:]).T


def spread(values, unit):
    """'median unit (least - largest)'."""
    return f'{np.median(values):.3g} {unit} ({min(values):.3g} - {max(values):.3g})'


class Run:
    """A method of the project, trained by the project's engine: calling it trains `steps` steps in one dispatch."""

    def __init__(self, columns, config, data, batch, steps, optimizer, seeds=None, how='vmap',
                 method='vae', **options):
        kit = networks.build(columns, config)
        recipe = core.Recipe(steps, steps, schema.count(data), optimizers.optimizer(optimizer))
        entry = METHODS[method]
        self.method = entry.factory(kit, recipe, **{**entry.options, **options})
        self.data, self.rng = jax.device_put(data), np.random.default_rng(0)
        self.steps, self.batch = steps, batch
        hp = {k: jnp.float32(v) for k, v in {**entry.hp, 'lr': optimizer['lr'], 'lr_scale': 1.}.items()}
        first = core.take(self.data, jnp.arange(batch))
        block, start = core.make_block(self.method.phases[0]), lambda key: core.init(self.method, key, first, hp)
        key = jax.random.key(0)
        if seeds:
            block, start = over_seeds(block, (0, None, None, None), how), jax.vmap(start)
            key = jax.random.split(key, seeds)
        self.state, self.block = jax.jit(start)(key), jax.jit(block, donate_argnums=0)

    def __call__(self):
        n = schema.count(self.data)
        order = np.concatenate([self.rng.permutation(n) for _ in range(-(-self.steps * self.batch // n))])
        idx = order[:self.steps * self.batch].astype(np.int32).reshape(self.steps, 1, self.batch)
        self.state, metrics = self.block(self.state, self.data, idx, jnp.int32(self.steps))
        return jax.device_get(metrics)


def sentences(vocab, steps, n, **_):
    """n sentences of `steps` predicted tokens."""
    tokens = np.random.default_rng(0).integers(4, vocab, (n, steps + 1)).astype(np.int32)
    tokens[:, 0], tokens[:, -1] = 1, 2
    return {'tokens': tokens, 'length': np.full(n, steps, np.int32)}


def columns(size):
    """The schema of such sentences."""
    return schema.text(tuple(map(str, range(size['vocab']))), size['steps'] - 1)


def lstm_run(size, steps, **options):
    """A `Run` of the LSTM-VAE."""
    config = {'name': 'lstm', **{k: size[k] for k in ('latent', 'embed', 'hidden')}}
    return Run(columns(size), config, sentences(n=8 * size['batch'], **size), size['batch'], steps,
               {'name': 'sgd', 'clip': 5., 'lr': 1.}, **options)


def torch_device():
    """PyTorch's own device, so that both sides use the same kind."""
    import torch
    return 'cuda' if torch.cuda.is_available() and jax.default_backend() == 'gpu' else 'cpu'


def torch_lstm(size):
    """The same LSTM-VAE in plain PyTorch: (step, nll of samples of one sentence)."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    vocab, embed, hidden, latent, batch, steps = (size[k] for k in ('vocab', 'embed', 'hidden', 'latent', 'batch',
                                                                    'steps'))
    device = torch_device()
    data = torch.tensor(sentences(n=8 * batch, **size)['tokens'], dtype=torch.long, device=device)
    parts = nn.ModuleDict({
        'enc_embedding': nn.Embedding(vocab, embed), 'enc': nn.LSTM(embed, hidden, batch_first=True),
        'head': nn.Linear(hidden, 2 * latent, bias=False),
        'embedding': nn.Embedding(vocab, embed), 'dec': nn.LSTM(embed + latent, hidden, batch_first=True),
        'start': nn.Linear(latent, hidden, bias=False), 'out': nn.Linear(hidden, vocab, bias=False)}).to(device)
    for p in parts.parameters():
        nn.init.uniform_(p, -.01, .01)
    drop, opt = nn.Dropout(.5), torch.optim.SGD(parts.parameters(), lr=1.)

    def posterior(x):
        last = parts['enc'](parts['enc_embedding'](x))[1][0][0]
        return parts['head'](last).chunk(2, -1)

    def rec(z, x):
        words = drop(parts['embedding'](x[:, :-1]))
        c = parts['start'](z)[None]
        inputs = torch.cat([words, z[:, None].expand(-1, steps, -1)], -1)
        logits = parts['out'](drop(parts['dec'](inputs, (torch.tanh(c), c))[0]))
        return cross_entropy(logits.reshape(-1, vocab), x[:, 1:].reshape(-1), reduction='none').view(len(x), -1).sum(1)

    def step():
        x = data[torch.randint(len(data), (batch,), device=device)]
        mean, log_var = posterior(x)
        z = mean + torch.exp(log_var / 2) * torch.randn_like(mean)
        kl = .5 * (mean**2 + log_var.exp() - log_var - 1).sum(1)
        loss = (rec(z, x) + kl).mean()
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 5.)
        opt.step()
        return loss.item()

    def nll(i, samples, chunk):
        """One sentence, `chunk` samples at a time: how the papers' scripts do it."""
        drop.eval()
        with torch.no_grad():
            x = data[i:i + 1]
            mean, log_var = posterior(x)
            log_w = []
            for _ in range(samples // chunk):
                noise = torch.randn(chunk, latent, device=device)
                z = mean + torch.exp(log_var / 2) * noise
                log_w.append(.5 * (noise**2 + log_var - z**2).sum(1) - rec(z, x.expand(chunk, -1)))
            return float(torch.logsumexp(torch.cat(log_w), 0) - np.log(samples))

    return step, nll


def lstm_vae(repeats):
    """LSTM-VAE, sizes of PTB, train step."""
    k = 4
    step = torch_lstm(PTB)[0]
    a, b = turns(lstm_run(PTB, k), lambda: [step() for _ in range(k)], repeats)
    return '>= 0.95', spread(1e3 * a / k, 'ms/step'), 'PyTorch: ' + spread(1e3 * b / k, 'ms/step'), b / a


def nll_iw(repeats):
    """nll_iw, 500 samples, LSTM-VAE, sizes of PTB."""
    samples, chunk, n = 500, 50, 4
    nll = torch_lstm(PTB)[1]
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
    return '>= 1', spread(1e3 * a / n, 'ms/sentence'), 'PyTorch: ' + spread(1e3 * b / n, 'ms/sentence'), b / a


IMAGES, BATCH = 12_800, 64
MLP = {'name': 'mlp', 'hidden': (512,), 'latent': 16}
CONV = {'name': 'conv', 'channels': (32, 64), 'hidden': 128, 'latent': 16}


def pixels():
    """[IMAGES, 28, 28, 1] of noise."""
    return np.random.default_rng(0).uniform(size=(IMAGES, 28, 28, 1)).astype(np.float32)


def images_run(config, **options):
    """A `Run` over one epoch of images."""
    return Run({'x': schema.image((28, 28, 1))}, config, {'x': pixels()}, BATCH, IMAGES // BATCH,
               {'name': 'adam', 'lr': 1e-3}, **options)


def pythae_epoch(folder, model, adversarial=False):
    """A function that trains one of pythae's models for an epoch with pythae's trainer."""
    import torch
    from pythae import trainers
    from pythae.data.datasets import DatasetOutput

    logging.disable(logging.WARNING)                       # every module of pythae has a console logger of its own

    class Images(torch.utils.data.Dataset):
        """What pythae's loader wants."""

        def __init__(self):
            self.data = torch.tensor(pixels()).permute(0, 3, 1, 2).contiguous()

        def __len__(self):
            return IMAGES

        def __getitem__(self, i):
            return DatasetOutput(data=self.data[i])

    common = {'output_dir': folder, 'num_epochs': 1, 'per_device_train_batch_size': BATCH,
              'no_cuda': torch_device() == 'cpu'}
    if adversarial:
        config = trainers.AdversarialTrainerConfig(**common, autoencoder_learning_rate=1e-3,
                                                   discriminator_learning_rate=1e-3)
        trainer = trainers.AdversarialTrainer(model, Images(), training_config=config)
    else:
        config = trainers.BaseTrainerConfig(**common, learning_rate=1e-3, optimizer_cls='Adam')
        trainer = trainers.BaseTrainer(model, Images(), training_config=config)
    trainer.prepare_training()
    trainer.callback_handler.callbacks = []                # no progress bar
    return lambda: trainer.train_step(1)


def torch_conv():
    """Our small convolutional networks in PyTorch, as pythae takes them: (encoder, decoder)."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from torch import nn
    (first, second), hidden, latent = CONV['channels'], CONV['hidden'], CONV['latent']

    class Encoder(BaseEncoder):
        """Images to means and log variances."""

        def __init__(self):
            BaseEncoder.__init__(self)
            self.body = nn.Sequential(
                nn.Conv2d(1, first, 3, 2, 1), nn.ReLU(), nn.Conv2d(first, second, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                nn.Linear(49 * second, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))

        def forward(self, x):
            mean, log_var = self.body(x).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):
        """Codes to images."""

        def __init__(self):
            BaseDecoder.__init__(self)
            self.body = nn.Sequential(
                nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 49 * second), nn.ReLU(),
                nn.Unflatten(1, (second, 7, 7)), nn.ConvTranspose2d(second, first, 3, 2, 1, 1), nn.ReLU(),
                nn.ConvTranspose2d(first, 1, 3, 2, 1, 1), nn.Sigmoid())

        def forward(self, z):
            return ModelOutput(reconstruction=self.body(z))

    return {'encoder': Encoder(), 'decoder': Decoder()}


def pythae_vae(nets=None):
    """pythae's VAE; on its own fully connected networks if no others are given."""
    from pythae.models import VAE, VAEConfig
    return VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=16, reconstruction_loss='bce'), **(nets or {}))


def pythae_wae_mmd():
    """pythae's WAE-MMD."""
    from pythae.models import WAE_MMD, WAE_MMD_Config
    return WAE_MMD(WAE_MMD_Config(input_dim=(1, 28, 28), latent_dim=16))


def pythae_aae():
    """pythae's adversarial autoencoder, whose critic has one hidden layer of 256."""
    from pythae.models import Adversarial_AE, Adversarial_AE_Config
    return Adversarial_AE(Adversarial_AE_Config(input_dim=(1, 28, 28), latent_dim=16, reconstruction_loss='bce'))


def against_pythae(target, config, make, adversarial=False, **options):
    """A row: one epoch of ours against one of pythae's.

    Args:
      target: least ratio, as text.
      config: of our kit.
      make: () -> pythae's model.
      adversarial: whether pythae's adversarial trainer trains it.
      **options: of `Run`.
    """
    def measure(repeats):
        with tempfile.TemporaryDirectory() as folder:
            theirs = pythae_epoch(folder, make(), adversarial)
            a, b = turns(images_run(config, **options), theirs, repeats)
        return target, spread(IMAGES / a, 'samples/s'), 'pythae: ' + spread(IMAGES / b, 'samples/s'), b / a

    return measure


def seeds_images(repeats):
    """Five seeds of the MLP VAE, side by side and one after the other, against one seed."""
    one = images_run(MLP)
    side, after = (images_run(MLP, seeds=5, how=how) for how in ('vmap', 'map'))
    return against_one(one, side, after, IMAGES // BATCH, repeats)


def dispatch(repeats):
    """A tiny VAE's step inside a block: what the engine itself costs."""
    k = 1000
    run = Run({'x': schema.image((2, 2, 1))}, {'name': 'mlp', 'hidden': (4,), 'latent': 1},
              {'x': np.zeros((16, 2, 2, 1), np.float32)}, 4, k, {'name': 'sgd', 'lr': .1})
    a, _ = turns(run, lambda: None, repeats)
    return '<= 0.2 ms', spread(1e3 * a / k, 'ms/step'), '', None


def against_one(one, side, after, steps, repeats):
    """What a row of five seeds says: `side` by side and one `after` the other, against `one`, in as many steps."""
    a, b = turns(side, one, repeats)
    c, d = turns(after, one, repeats)
    auto = resolve()
    text = f'vmap {np.median(a / b):.2f}x, map {np.median(c / d):.2f}x; chosen here: {auto}'
    return '<= 2x on an accelerator', text, spread(1e3 * b / steps, 'ms/step') + ' for one seed', \
        a / b if auto == 'vmap' else c / d


def seeds_row(size):
    """Five seeds, side by side and one after the other, against one seed."""
    def measure(repeats):
        k, one = 10, lstm_run(size, 10)
        side, after = (lstm_run(size, k, seeds=5, how=how) for how in ('vmap', 'map'))
        return against_one(one, side, after, k, repeats)

    return measure


def start(repeats):
    """`vaebench --help`."""
    command = shutil.which('vaebench', path=pathlib.Path(sys.executable).parent) or shutil.which('vaebench')
    a, _ = turns(lambda: subprocess.run([command, '--help'], capture_output=True, check=True), lambda: None, repeats)
    return '<= 1 s', spread(a, 's'), '', None


ROWS = {
    'mlp_vae': ('MLP VAE 784-512-16, batch 64: samples/s over an epoch', against_pythae('>= 3', MLP, pythae_vae)),
    'mlp_wae_mmd': ('WAE-MMD on the same networks', against_pythae('>= 3', MLP, pythae_wae_mmd, method='wae_mmd')),
    'mlp_aae': ('adversarial autoencoder with the two updates of pythae\'s, critic of 256: our WAE-GAN', against_pythae(
        '>= 3', MLP, pythae_aae, adversarial=True, method='wae_gan', hidden=(256,))),
    'mlp_aae_three': ('the same in the three updates of its paper, against pythae\'s two', against_pythae(
        '>= 3', MLP, pythae_aae, adversarial=True, method='aae', hidden=(256,), stochastic=True)),
    'conv_vae': ('convolutional VAE, 3x3 strided, 32 and 64 channels, 128, 16', against_pythae(
        '>= 1.5', CONV, lambda: pythae_vae(torch_conv()))),
    'seeds_images': ('five seeds against one: MLP VAE 784-512-16, batch 64', seeds_images),
    'lstm_vae': ('LSTM-VAE 256/256/32, vocabulary 10,002, batch 32, 23 tokens: train step', lstm_vae),
    'nll_iw': ('nll_iw of the same LSTM-VAE, 500 samples', nll_iw),
    'dispatch': ('a step of a tiny net inside a block', dispatch),
    'seeds_small': ('five seeds against one: LSTM-VAE 64/128/16, vocabulary 2,000, batch 64', seeds_row(SMALL)),
    'seeds_tiny': ('five seeds against one: LSTM-VAE 32/64/8, vocabulary 50, batch 64', seeds_row(TINY)),
    'help': ('vaebench --help', start),
}


def cpu():
    """The processor's name."""
    info = pathlib.Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    return next((x.split(':')[1].strip() for x in lines if x.startswith('model name')), platform.processor())


def version(name):
    """Of an installed package, else a dash."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return '-'


def main(argv):
    """Measures and prints; returns the exit code."""
    options = dict(arg.removeprefix('--').split('=', 1) for arg in argv if arg.startswith('--') and '=' in arg)
    only = options.get('only', ','.join(ROWS)).split(',')
    wrong = [x for x in argv if not x.startswith('--') or '=' not in x] + [x for x in only if x not in ROWS] + \
        [x for x in options if x not in ('only', 'repeats', 'out')]
    if wrong:
        print(f'unknown: {", ".join(wrong)}. Use --only=, --repeats=, --out=; rows: {", ".join(ROWS)}')
        return 2
    device = jax.devices()[0]
    names = 'jax', 'flax', 'optax', 'torch', 'pythae'
    lines = [f'{cpu()}, {os.cpu_count()} cores, jax on {device.platform} ({device.device_kind}); Python '
             f'{platform.python_version()}, ' + ', '.join(f'{n} {version(n)}' for n in names), '',
             f'Load average at the start {os.getloadavg()[0]:.1f}: peers suffer more than we do from a busy machine, '
             'so only figures from an idle one count.',
             'Medians, least and largest in brackets; a ratio above 1 is in our favour, except over seeds.', '',
             '| measured | target | ours | peer | ratio |', '| --- | --- | --- | --- | --- |']
    print('\n'.join(lines), flush=True)
    for name in only:
        title, measure = ROWS[name]
        try:
            target, ours, theirs, ratio = measure(int(options.get('repeats', 7)))
            row = f'| {title} | {target} | {ours} | {theirs} | {"" if ratio is None else f"{np.median(ratio):.2f}"} |'
        except ImportError:
            if version('torch') != '-' and version('pythae') != '-':
                raise
            row = f'| {title} | | {PEERS} | | |'
        lines.append(row)
        print(row, flush=True)
    if 'out' in options:
        pathlib.Path(options['out']).write_text('\n'.join(lines) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
