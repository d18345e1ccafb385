"""Every text row on a corpus whose exact log p*(x) is known: no honest bound falls below it.

    vaebench --config=configs/synthetic.py --workdir=runs/synthetic         # 20 minutes on two CPU cores, 40 at first
    vaebench --config=configs/synthetic.py:small --workdir=runs/synthetic-small   # a quarter of the data and steps

Embeddings of 32, LSTMs of 64, 8 latent units, parameters from U(-0.1, 0.1), batch 64, 8 epochs of Adam at 1e-2 on
8,192 sentences; 50 importance samples on 512 test sentences. Gains, targets and inner loops are scaled to the short
run: lagging at most 10 inner steps, SA-VAE 3, FlowPrior 3 draws, codebooks of 32 and 128.

`excess` is nll_iw + ln p*(x), paired by sentence: at least zero but for noise. `excess_paper` is the same of what the
paper printed as a bound: where it falls below zero, that was none. Two rows more than elsewhere, ivae_slow and
apo_vae_slow, keep the papers' learning rate of the dual functions, 1e-5, which in so short a run hardly moves them.
"""
from vaebench.experiment import presets


def synthetic(name, sentences, epochs):
    table = presets.table(
        name, 'Synthetic corpus of known likelihood', dataset={'name': 'synthetic', 'sentences': sentences},
        kit={**presets.LSTM, 'embed': 32, 'hidden': 64, 'latent': 8, 'dropout': 0.1, 'init_scale': 0.1},
        optimizer={'lr': 1e-2}, epochs=epochs, evaluation={**presets.SMALL_EVALUATION, 'batch': 128},
        metrics=('excess', 'excess_paper', *presets.TEXT_METRICS, *presets.MORE_TEXT_METRICS))
    rows = presets.text_rows(target=2., set_points=(3., 5.), ki=2e-3, words=7.5, warmup=epochs / 2, cycle=epochs / 2,
                             inner=(10, 5), refine=3, draws=3, components=16, codes=(32, 128), critic_lr=5e-3,
                             nu_lr=1e-3, nu=(128, 128), noise=.6)
    slow = {name: {**rows[name], 'label': f"{rows[name]['label']}, dual functions at the paper's rate",
                   'hp': {**rows[name]['hp'], 'nu_lr': 1e-5}} for name in ('ivae', 'apo_vae')}
    rows |= {f'{name}_slow': row for name, row in slow.items()}
    table.table = presets.rows({'source': presets.row('the source itself', 'source'), **rows})
    return presets.probed(table)


def get_config(size=''):
    """The table, or `small`."""
    return presets.sizes(size, paper=lambda: synthetic('synthetic', 8192, 8),
                         small=lambda: synthetic('synthetic-small', 2048, 6))
