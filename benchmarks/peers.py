"""The peers: the same LSTM-VAE and John et al.'s model in plain PyTorch, and models of pythae
with its own trainers.
"""
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from workload import (
    BATCH,
    CHANNELS,
    HIDDEN,
    IMAGES,
    LABELS,
    LATENT,
    STYLE,
    Size,
    pixels,
    sentences,
    styled,
    torch_device,
)

MISSING = "peer not installed: pip install -e '.[peers]'"
SHAPE = {'input_dim': (1, 28, 28), 'latent_dim': LATENT}      # what pythae's configs call them


# PyTorch.

def lstm_modules(size: Size) -> Any:
    """Builds the parts of the LSTM-VAE, on the device of both sides.

    Args:
      size: with 'vocab', 'embed', 'hidden' and 'latent'.

    Returns:
      A `torch.nn.ModuleDict`: 'enc_embedding', 'enc', 'head' of the encoder; 'embedding',
      'dec', 'start', 'out' of the decoder.
    """
    from torch import nn
    vocab, embed, hidden, latent = (size[k] for k in ('vocab', 'embed', 'hidden', 'latent'))
    return nn.ModuleDict({
        'enc_embedding': nn.Embedding(vocab, embed),
        'enc': nn.LSTM(embed, hidden, batch_first=True),
        'head': nn.Linear(hidden, 2 * latent, bias=False),
        'embedding': nn.Embedding(vocab, embed),
        'dec': nn.LSTM(embed + latent, hidden, batch_first=True),
        'start': nn.Linear(latent, hidden, bias=False),
        'out': nn.Linear(hidden, vocab, bias=False)}).to(torch_device())


def posterior(parts: Any, x: Any) -> tuple[Any, Any]:
    """Reads sentences [B, L]: (means, log variances) [B, Z], by `lstm_modules`."""
    last = parts['enc'](parts['enc_embedding'](x))[1][0][0]
    return parts['head'](last).chunk(2, -1)


def lstm(size: Size) -> tuple[Callable[[], float], Callable[[int, int, int], float]]:
    """Builds the LSTM-VAE with random parameters.

    Args:
      size: one of the sizes in `workload`.

    Returns:
      (step, nll): step() takes a train step and returns its loss; nll(i, samples, chunk)
      estimates the negative log likelihood of sentence i by importance sampling, nats.
    """
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    batch, steps, device = size['batch'], size['steps'], torch_device()
    tokens = sentences(8 * batch, size)['tokens']
    data = torch.tensor(tokens, dtype=torch.long, device=device)
    parts = lstm_modules(size)
    for p in parts.parameters():
        nn.init.uniform_(p, -.01, .01)
    drop, opt = nn.Dropout(.5), torch.optim.SGD(parts.parameters(), lr=1.)

    def rec(z, x):
        words = drop(parts['embedding'](x[:, :-1]))
        c = parts['start'](z)[None]
        inputs = torch.cat([words, z[:, None].expand(-1, steps, -1)], -1)
        logits = parts['out'](drop(parts['dec'](inputs, (torch.tanh(c), c))[0]))
        losses = cross_entropy(logits.reshape(-1, size['vocab']), x[:, 1:].reshape(-1),
                               reduction='none')
        return losses.view(len(x), -1).sum(1)

    def step():
        x = data[torch.randint(len(data), (batch,), device=device)]
        mean, log_var = posterior(parts, x)
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
            mean, log_var = posterior(parts, x)
            log_w = []
            for _ in range(samples // chunk):
                noise = torch.randn(chunk, size['latent'], device=device)
                z = mean + torch.exp(log_var / 2) * noise
                log_p_minus_log_q = .5 * (noise**2 + log_var - z**2).sum(1)
                log_w.append(log_p_minus_log_q - rec(z, x.expand(chunk, -1)))
            return float(torch.logsumexp(torch.cat(log_w), 0) - np.log(samples))

    return step, nll


def john_modules(size: Size) -> Any:
    """Builds the parts of John et al.'s model of family B, on the device of both sides.

    Args:
      size: with 'vocab', 'embed', 'hidden' and 'latent'.

    Returns:
      A `torch.nn.ModuleDict`: those of `lstm_modules`, with biases, and the heads
      'multitask_style', 'multitask_content', 'adversary_style' and 'adversary_content'.
    """
    from torch import nn
    parts, hidden, latent = lstm_modules(size), size['hidden'], size['latent']
    words, content = size['vocab'] - 4, latent - STYLE
    parts.update({
        'head': nn.Linear(hidden, 2 * latent), 'start': nn.Linear(latent, hidden),
        'multitask_style': nn.Linear(STYLE, LABELS),
        'multitask_content': nn.Linear(content, words),
        'adversary_style': nn.Linear(content, LABELS),
        'adversary_content': nn.Linear(STYLE, words)})
    return parts.to(torch_device())


def john(size: Size) -> Callable[[], float]:
    """Builds John et al.'s VAE with all four heads and random parameters.

    Args:
      size: one of the sizes in `workload`.

    Returns:
      A function that takes a train step, each discriminator's first, and returns its loss.
    """
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy, one_hot

    batch, vocab, device = size['batch'], size['vocab'], torch_device()
    data = styled(8 * batch, size)
    tokens, labels = (torch.tensor(data[k], dtype=torch.long, device=device)
                      for k in ('tokens', 'label'))
    parts, drop = john_modules(size), nn.Dropout(.2)
    rivals = 'adversary_style', 'adversary_content'
    own = [p for name, part in parts.items() if name not in rivals for p in part.parameters()]
    adam = torch.optim.Adam(own, lr=1e-3)
    moves = {k: torch.optim.RMSprop(parts[k].parameters(), lr=1e-3) for k in rivals}

    def rec(z, x):
        words = drop(parts['embedding'](x[:, :-1]))
        start = parts['start'](z)[None]
        inputs = torch.cat([words, z[:, None].expand(-1, words.shape[1], -1)], -1)
        states = parts['dec'](inputs, (start, torch.zeros_like(start)))[0]
        losses = cross_entropy(parts['out'](drop(states)).reshape(-1, vocab),
                               x[:, 1:].reshape(-1), reduction='none')
        return losses.view(len(x), -1).sum(1).mean()

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1).mean()

    def step():
        rows = torch.randint(len(tokens), (batch,), device=device)
        x, y = tokens[rows], labels[rows]
        bag = one_hot(x[:, 1:-1], vocab).sum(1)[:, 4:].float()
        bag = bag / bag.sum(-1, keepdim=True)
        mean, log_var = posterior(parts, x)
        z = mean + torch.exp(log_var / 2) * torch.randn_like(mean)
        style, content = z[:, :STYLE], z[:, STYLE:]
        for name, part, target in (('adversary_style', content, y),
                                   ('adversary_content', style, bag)):
            moves[name].zero_grad()
            cross_entropy(parts[name](part.detach()), target).backward()
            moves[name].step()
        kl = .5 * (mean**2 + log_var.exp() - log_var - 1).sum(1).mean()
        loss = (rec(z, x) + .03 * kl
                + 10 * cross_entropy(parts['multitask_style'](style), y)
                + 3 * cross_entropy(parts['multitask_content'](content), bag)
                - entropy(parts['adversary_style'](content))
                - .03 * entropy(parts['adversary_content'](style)))
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(own, 5.)
        adam.step()
        return loss.item()

    return step


# pythae.

def pythae_epoch(folder: str, model: Any, adversarial: bool = False) -> Callable[[], Any]:
    """Returns a function that trains one of pythae's models for an epoch.

    Args:
      folder: where its trainer may write.
      model: the model.
      adversarial: whether pythae's adversarial trainer trains it.
    """
    import torch
    from pythae import trainers
    from pythae.data.datasets import DatasetOutput

    logging.disable(logging.WARNING)          # every module of pythae has a console logger

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
        config = trainers.AdversarialTrainerConfig(
            **common, autoencoder_learning_rate=1e-3, discriminator_learning_rate=1e-3)
        trainer = trainers.AdversarialTrainer(model, Images(), training_config=config)
    else:
        config = trainers.BaseTrainerConfig(**common, learning_rate=1e-3, optimizer_cls='Adam')
        trainer = trainers.BaseTrainer(model, Images(), training_config=config)
    trainer.prepare_training()
    trainer.callback_handler.callbacks = []   # no progress bar
    return lambda: trainer.train_step(1)


def conv_networks() -> dict[str, Any]:
    """Builds our small convolutional networks as pythae takes them: 'encoder', 'decoder'."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from torch import nn
    first, second = CHANNELS

    class Encoder(BaseEncoder):
        """Images to means and log variances."""

        def __init__(self):
            BaseEncoder.__init__(self)
            self.body = nn.Sequential(
                nn.Conv2d(1, first, 3, 2, 1), nn.ReLU(),
                nn.Conv2d(first, second, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                nn.Linear(49 * second, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT))

        def forward(self, x):
            mean, log_var = self.body(x).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):
        """Codes to images."""

        def __init__(self):
            BaseDecoder.__init__(self)
            self.body = nn.Sequential(
                nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 49 * second), nn.ReLU(),
                nn.Unflatten(1, (second, 7, 7)),
                nn.ConvTranspose2d(second, first, 3, 2, 1, 1), nn.ReLU(),
                nn.ConvTranspose2d(first, 1, 3, 2, 1, 1), nn.Sigmoid())

        def forward(self, z):
            return ModelOutput(reconstruction=self.body(z))

    return {'encoder': Encoder(), 'decoder': Decoder()}


def pythae_vae() -> Any:
    """Builds pythae's VAE on its own fully connected networks."""
    from pythae.models import VAE, VAEConfig
    return VAE(VAEConfig(**SHAPE, reconstruction_loss='bce'))


def pythae_conv_vae() -> Any:
    """Builds pythae's VAE on our convolutional networks."""
    from pythae.models import VAE, VAEConfig
    return VAE(VAEConfig(**SHAPE, reconstruction_loss='bce'), **conv_networks())


def pythae_wae_mmd() -> Any:
    """Builds pythae's WAE-MMD."""
    from pythae.models import WAE_MMD, WAE_MMD_Config
    return WAE_MMD(WAE_MMD_Config(**SHAPE))


def pythae_beta_tc_vae() -> Any:
    """Builds pythae's beta-TCVAE."""
    from pythae.models import BetaTCVAE, BetaTCVAEConfig
    return BetaTCVAE(BetaTCVAEConfig(**SHAPE, reconstruction_loss='bce', beta=6.))


def pythae_factor_vae() -> Any:
    """Builds pythae's FactorVAE, whose critic has five hidden layers of 1000."""
    from pythae.models import FactorVAE, FactorVAEConfig
    return FactorVAE(FactorVAEConfig(**SHAPE, reconstruction_loss='bce', gamma=10.))


def pythae_factor_vae_small() -> Any:
    """Builds pythae's FactorVAE with a critic of two hidden layers of 256."""
    from pythae.models.factor_vae.factor_vae_utils import FactorVAEDiscriminator
    from torch import nn
    model, critic = pythae_factor_vae(), FactorVAEDiscriminator(SHAPE['latent_dim'], 256)
    critic.layers = nn.Sequential(*critic.layers[:4], nn.Linear(256, 2))
    model.discriminator = critic
    return model


def pythae_aae() -> Any:
    """Builds pythae's adversarial autoencoder, whose critic has one hidden layer of 256."""
    from pythae.models import Adversarial_AE, Adversarial_AE_Config
    return Adversarial_AE(Adversarial_AE_Config(**SHAPE, reconstruction_loss='bce'))
