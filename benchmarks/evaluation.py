"""Evaluation of one row at the size of PTB, against the same work in PyTorch: in one run, as
ratios.

    python benchmarks/evaluation.py [--sentences=32] [--samples=500] [--chunk=100] [--batch=16]
                                    [--cuts=2] [--repeats=2] [--sides=ours,single,torch]
                                    [--out=FILE]

Importance sampling, one-sample bound, priorLL and postLL, mutual information, active and
consistent units of an LSTM-VAE 256/256/32 with a vocabulary of 10,002, over sentences of random
words that are as long as PTB's. Three sides: ours in batches, ours one sentence at a time, and
PyTorch as the papers' scripts do it, one sentence at a time with a batch of its samples. All
sides have the same parameters, far enough from zero that words differ in probability. Each side
is a process of its own, so that its peak memory is its own; they take turns, and a time is the
median over the turns. The first call compiles and does not count. The peer is PyTorch:
pip install -e '.[peers]'.
"""
import json
import math
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

# Several processes may share one accelerator.
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')

import jax
import jax.numpy as jnp
import numpy as np
import peers
import throughput
import workload

from vaebench import datasets, metrics
from vaebench.experiment import evaluate

SIZE = workload.PTB
COLUMNS = workload.columns(SIZE)
NAMES = ('nll_iw', 'ppl_iw', 'elbo', 'prior_ll', 'post_ll', 'mi_full', 'au', 'cu')
OPTIONS = {'sentences': 32, 'samples': 500, 'chunk': 100, 'batch': 16, 'cuts': 2, 'repeats': 2}
SIDES = {'ours': 'ours, {batch} sentences x {chunk} samples at a time',
         'single': 'ours, one sentence at a time',
         'torch': 'PyTorch, one sentence at a time, {chunk} samples'}
MEAN, SHAPE, LONGEST = 21.917, 4.4, 83   # of the words of a PTB test sentence, nearly a gamma
DRAWN = 8        # draws from prior and posterior each, for priorLL and postLL
SAME = .002      # how far the sides' NLLs may lie apart: more is other work
WIDER = 12.      # times the initial parameters

Options = Mapping[str, int]
"""Those of the command line, see `OPTIONS`."""
Arrays = Mapping[str, np.ndarray]
Side = tuple[Callable[[], dict[str, float]], Callable[[], int | None]]
"""A function that evaluates, and one that gives the most bytes so far."""


class Measured(NamedTuple):
    """What a side's process said."""
    first: Mapping[str, Any]     # its record of the first call
    seconds: np.ndarray          # [repeats]
    peak: int                    # bytes


def corpus(n: int) -> dict[str, np.ndarray]:
    """Makes n sentences of random words, as long as PTB's.

    Returns:
      'tokens' int32 [n, T + 1] and 'length' int32 [n].
    """
    rng = np.random.default_rng(0)
    length = np.clip(rng.gamma(SHAPE, MEAN / SHAPE, n).round(), 2, LONGEST).astype(np.int32)
    tokens = rng.integers(4, SIZE['vocab'], (n, length.max() + 1)).astype(np.int32)
    at = np.arange(tokens.shape[1])
    end = np.where(at == length[:, None], 2, 0)
    tokens = np.where(at < length[:, None], tokens, end).astype(np.int32)
    tokens[:, 0] = 1
    return {'tokens': tokens, 'length': length}


def classes(o: Options) -> Any:
    """Puts the sentences into their length classes, as an `Evaluator` reads them."""
    data = {**corpus(o['sentences']), 'index': np.arange(o['sentences'], dtype=np.int32)}
    return datasets.buckets(data, o['cuts'], COLUMNS)


def trained(o: Options) -> throughput.Run:
    """Makes an LSTM-VAE for sentences as long as the longest."""
    longest = int(corpus(o['sentences'])['length'].max())
    return throughput.lstm_run({**SIZE, 'steps': longest}, 1)


def place(path: Sequence[Any]) -> str:
    """Names a parameter: 'part/.../name'."""
    return '/'.join(k.key for k in path)


def parameters(o: Options) -> dict[str, np.ndarray]:
    """Gives the parameters of one LSTM-VAE, for all sides, by `place`."""
    run = trained(o)
    leaves = jax.tree_util.tree_leaves_with_path(run.state.params)
    return {place(path): WIDER * np.asarray(x) for path, x in leaves}


def ours(o: Options, given: Arrays) -> Side:
    """Prepares the suite's own evaluation, with the parameters `given`."""
    run = trained(o)
    evals, programs = run.method.evals, {}
    tree = jax.tree_util.tree_map_with_path(lambda path, x: given[place(path)],
                                            run.state.params)
    params, carry = jax.tree.map(lambda x: jnp.asarray(x)[None], (tree, run.state.carry))
    buckets = classes(o)
    settings = metrics.Settings(samples=o['samples'], chunk=o['chunk'], batch=o['batch'])

    def work():
        trained = metrics.Trained(evals, params, carry, jax.random.key(0), programs)
        view = metrics.Evaluator(trained, metrics.Data(buckets, COLUMNS), settings)
        return {k: float(v.value[0]) for k, v in metrics.measure(view, NAMES).items()}

    return work, evaluate.peak_memory


def parts_of(given: Arrays) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Builds the LSTM-VAE in plain PyTorch, with our parameters: (posterior, log_lik)."""
    import torch
    from torch.nn.functional import cross_entropy
    parts = peers.lstm_modules(SIZE)
    lstm = {'weight_ih_l0': 'w_x', 'weight_hh_l0': 'w_h', 'bias_ih_l0': 'b_x',
            'bias_hh_l0': 'b_h'}
    named = {'enc_embedding.weight': 'enc/embedding', 'embedding.weight': 'dec/embedding',
             'head.weight': 'head/kernel', 'start.weight': 'dec/start/kernel',
             'out.weight': 'dec/w_out',
             **{f'{part}.{theirs}': f'{part}/lstm/{own}'
                for part in ('enc', 'dec') for theirs, own in lstm.items()}}
    with torch.no_grad():
        for name, p in parts.named_parameters():
            value = given[named[name]]
            p.copy_(torch.tensor(value if 'embedding' in name else value.T))

    def posterior(x):
        return parts['head'](parts['enc'](parts['enc_embedding'](x))[1][0][0]).chunk(2, -1)

    def log_lik(z, x):
        """z [S, Z], x [1, T + 1] -> [S]."""
        steps, s = x.shape[1] - 1, len(z)
        words = parts['embedding'](x[:, :-1]).expand(s, -1, -1)
        c = parts['start'](z)[None]
        inputs = torch.cat([words, z[:, None].expand(-1, steps, -1)], -1)
        logits = parts['out'](parts['dec'](inputs, (torch.tanh(c), c))[0])
        target = x[:, 1:].expand(s, -1).reshape(-1)
        losses = cross_entropy(logits.reshape(-1, SIZE['vocab']), target, reduction='none')
        return -losses.view(s, -1).sum(1)

    return posterior, log_lik


def peer(o: Options, given: Arrays) -> Side:
    """Prepares the same work in PyTorch, sentence by sentence: as `ours`."""
    import torch
    torch.manual_seed(0)
    (posterior, log_lik), device = parts_of(given), workload.torch_device()
    data, n = corpus(o['sentences']), o['sentences']
    rows = [torch.tensor(t[None, :k + 1], dtype=torch.long, device=device)
            for t, k in zip(data['tokens'], data['length'], strict=True)]

    def log_normal(z, mean, log_var):
        return -.5 * (math.log(2 * math.pi) + log_var + (z - mean)**2 / log_var.exp())

    def sentence(x):
        mean, log_var = posterior(x)
        draw = lambda k: mean + torch.exp(log_var / 2) * torch.randn(
            k, SIZE['latent'], device=device)
        log_q = lambda z: log_normal(z, mean, log_var).sum(1)
        log_p = lambda z: log_normal(z, torch.zeros_like(mean), torch.zeros_like(mean)).sum(1)
        log_w = []
        for start in range(0, o['samples'], o['chunk']):
            z = draw(min(o['chunk'], o['samples'] - start))
            log_w.append(log_lik(z, x) + log_p(z) - log_q(z))
        nll = np.log(o['samples']) - torch.logsumexp(torch.cat(log_w), 0)
        z = draw(1)
        bound = .5 * (mean**2 + log_var.exp() - log_var - 1).sum() - log_lik(z, x)[0]
        both = torch.cat([draw(DRAWN), torch.randn(DRAWN, SIZE['latent'], device=device)])
        mixed = log_lik(both, x) - torch.logaddexp(log_p(both), log_q(both)) + math.log(2)
        prior, post = (torch.logsumexp(mixed + f(both), 0) - math.log(2 * DRAWN)
                       for f in (log_p, log_q))
        return torch.stack([nll, bound, prior, post]), mean[0], log_var[0], z[0]

    def information(mean, log_var, z):
        own = log_normal(z, mean, log_var).sum(1)
        aggregate = torch.cat([
            torch.logsumexp(log_normal(part[:, None], mean, log_var).sum(-1), 1)
            for part in z.split(64)
        ]) - math.log(n)
        return (own - aggregate).mean()

    def consistent(mean, log_var):
        z = torch.randn(metrics.Settings().points, SIZE['latent'], device=device)
        log_q = torch.cat([torch.logsumexp(log_normal(part[:, None], mean, log_var), 1)
                           for part in z.split(64)]) - math.log(n)
        zero = torch.zeros(1, device=device)
        return ((log_normal(z, zero, zero) - log_q).mean(0) < .03).sum()

    def work():
        with torch.no_grad():
            terms, mean, log_var, z = map(
                torch.stack, zip(*map(sentence, rows), strict=True))
            nll, bound, prior, post = terms.mean(0).tolist()
            return {'nll_iw': nll, 'ppl_iw': float(np.exp(nll * n / data['length'].sum())),
                    'elbo': bound, 'prior_ll': prior, 'post_ll': post,
                    'mi_full': float(information(mean, log_var, z)),
                    'au': float((mean.var(0) >= .01).sum()),
                    'cu': float(consistent(mean, log_var))}

    def peak():
        return torch.cuda.max_memory_allocated() if device == 'cuda' else host_peak()

    return work, peak


def filled(o: Options) -> str:
    """Says how many sentences our batches hold: '16, 16'."""
    sizes = [len(b['length']) for b in classes(o)]
    return ', '.join(str(min(o['batch'], n - at))
                     for n in sizes for at in range(0, n, o['batch']))


def host_peak() -> int:
    """Gives the most bytes of this process's memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def serve(side: str, o: Options, path: str) -> None:
    """Is a side's process: prints a JSON line after the first call, then one for every line on
    standard input.
    """
    if side == 'single':
        o = {**o, 'batch': 1}
    with np.load(path) as given:
        work, peak = (peer if side == 'torch' else ours)(o, dict(given))
    before = peak()
    start = time.perf_counter()
    values = work()
    print(json.dumps({'first': time.perf_counter() - start, 'before': before,
                      'values': values}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        work()
        print(json.dumps({'seconds': time.perf_counter() - start, 'peak': peak()}), flush=True)


def ask(process: subprocess.Popen, side: str) -> dict[str, Any]:
    """Reads the next record of a side's process."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f'the side {side!r} failed: see above')
    return json.loads(line)


def measure(sides: Sequence[str], o: Options, path: pathlib.Path) -> dict[str, Measured]:
    """Measures the sides in turns, when all of them have had their first call."""
    command = [sys.executable, __file__, f'--params={path}',
               *(f'--{k}={v}' for k, v in o.items())]
    running, first, times, peaks = {}, {}, {s: [] for s in sides}, {}
    try:
        for side in sides:
            running[side] = subprocess.Popen([*command, f'--serve={side}'], text=True,
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            first[side] = ask(running[side], side)
        for _ in range(o['repeats']):
            for side, p in running.items():
                p.stdin.write('go\n')
                p.stdin.flush()
                record = ask(p, side)
                times[side].append(record['seconds'])
                peaks[side] = record['peak']
    finally:
        for p in running.values():
            p.stdin.close()
            p.wait()
    return {s: Measured(first[s], np.array(times[s]), peaks[s]) for s in sides}


def report(found: Mapping[str, Measured], o: Options) -> list[str]:
    """Writes what was found as lines of Markdown."""
    n, mib = o['sentences'], 2.**20
    lines = ['| side | ms/sentence | against ours | first call | peak memory | NLL |',
             '| --- | --- | --- | --- | --- | --- |']
    base = found.get('ours')
    for side, (first, seconds, peak) in found.items():
        ratio = '' if base is None else f'{np.median(seconds / base.seconds):.2f}x the time'
        cells = (SIDES[side].format(**o), throughput.spread(1e3 * seconds / n, 'ms'), ratio,
                 f'{first["first"]:.1f} s',
                 f'{peak / mib:.0f} MiB, {first["before"] / mib:.0f} before',
                 f'{first["values"]["nll_iw"]:.2f}')
        lines.append(f'| {" | ".join(cells)} |')
    nlls = [first['values']['nll_iw'] for first, _, _ in found.values()]
    if max(nlls) - min(nlls) > SAME * min(nlls):
        lines += ['', f'The NLLs differ by more than {SAME:.0%}: the sides do not do the same '
                  'work.']
    return lines


def main(argv: Sequence[str]) -> int:
    """Measures and prints; returns the exit code."""
    given = dict(arg.removeprefix('--').split('=', 1) for arg in argv
                 if arg.startswith('--') and '=' in arg)
    side, out, path = (given.pop(k, '') for k in ('serve', 'out', 'params'))
    sides = given.pop('sides', ','.join(SIDES)).split(',')
    wrong = [*(x for x in argv if not x.startswith('--') or '=' not in x),
             *(x for x in sides if x not in SIDES),
             *(k for k, v in given.items()
               if k not in OPTIONS or not v.isdecimal() or v == '0')]
    if wrong:
        known = ', '.join(f'--{k}=NUMBER' for k in OPTIONS)
        print(f'unknown: {", ".join(wrong)}. Use {known}, --sides= and --out=; '
              f'sides: {", ".join(SIDES)}')
        return 2
    o = {**OPTIONS, **{k: int(v) for k, v in given.items()}}
    if side:
        serve(side, o, path)
        return 0
    if 'torch' in sides and throughput.version('torch') == '-':
        print(peers.MISSING)
        sides.remove('torch')
    lines = [throughput.machine(('jax', 'torch')), '',
             f'{o["sentences"]} sentences, {o["samples"]} importance samples; '
             f'{", ".join(NAMES)}. Load average at the start {os.getloadavg()[0]:.1f}: only '
             'figures from an idle machine count.',
             f'Sentences in a batch of ours: {filled(o)}.', '']
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / 'parameters.npz'
        arrays: dict[str, Any] = parameters(o)
        np.savez(file, **arrays)
        lines += report(measure(sides, o, file), o)
    print('\n'.join(lines))
    if out:
        pathlib.Path(out).write_text('\n'.join(lines) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
