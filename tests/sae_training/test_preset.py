"""transcoder_circuits' recipe as a preset, without its mistakes; and both ways of hooking a model."""

import pytest
import torch

from huggingface.architectures import mlp_of
from huggingface.load import load_model_and_tokenizer
from huggingface.transcoder import Sites
from sae_training.config import PRESETS, Recipe, TrainingConfig
from sae_training.evaluation import evaluate
from sae_training.hooked_model import hook_model, pad_contexts
from sae_training.losses import transcoder_losses
from sae_training.trainer import LayerTrainer
from tests.tiny import tiny_transcoder

RECIPE = {name: value for name, value in PRESETS["transcoder_circuits"].items() if name in Recipe.__dataclass_fields__}
SMALL = RECIPE | {"expansion_factor": 4, "train_batch_size": 64, "dead_feature_window": 1}
CONTEXTS = [list(range(2, 14)), list(range(20, 30)), list(range(5, 17))]


def far_apart() -> tuple[torch.Tensor, torch.Tensor]:
    """What an MLP reads and writes, of very different sizes."""
    generator = torch.Generator().manual_seed(3)
    return 20 * torch.randn(64, 8, generator=generator) + 7, 0.1 * torch.randn(64, 8, generator=generator)


def test_the_preset_is_the_published_recipe():
    config = TrainingConfig(MODEL_NAME="gpt2", layer_num=[8], dataset=["a/b"], output_file_path="x", **PRESETS["transcoder_circuits"])
    assert (config.expansion_factor, config.l1_coefficient, config.lr, config.lr_warm_up_steps) == (32, 1.4e-4, 4e-4, 5000)
    assert (config.train_batch_size, config.context_size, config.total_training_tokens) == (4096, 128, 60_000_000)
    assert config.site(config.hook_point, 8) == "blocks.8.ln2.hook_normalized"


def test_the_step_is_the_published_one():
    """Forward, loss and gradients against the formulas written out; the reference knows no sparse decoding."""
    x, t = far_apart()
    trainer = LayerTrainer(Recipe(**SMALL | {"use_ghost_grads": False}), x, t)
    trainer.transcoder.normalize_decoder()
    names = ["W_enc", "b_enc", "W_dec", "b_dec", "b_dec_out"]
    w_enc, b_enc, w_dec, b_dec, b_out = (getattr(trainer.transcoder, name).detach().clone().requires_grad_() for name in names)
    f = ((x - b_dec) @ w_enc.T + b_enc).relu()
    y = f @ w_dec + b_out
    loss = ((y - t) ** 2 / t.norm(dim=-1, keepdim=True)).mean() + 1.4e-4 * f.sum(1).mean()
    loss.backward()
    assert torch.allclose(b_dec, x.mean(0), atol=1e-4) and torch.allclose(b_out, t.mean(0), atol=1e-5)
    trainer.step = 10  # behind the warm-up of the penalty, which the preset does not have
    metrics = trainer.train_step(x, t)
    assert metrics["losses/overall_loss"] == pytest.approx(loss.item(), rel=1e-4)
    for name, own in zip(names, (w_enc, b_enc, w_dec, b_dec, b_out)):
        expected = own.grad
        if name == "W_dec":
            unit = torch.nn.functional.normalize(own.detach(), dim=1)
            expected = expected - (expected * unit).sum(1, keepdim=True) * unit
        assert torch.allclose(getattr(trainer.transcoder, name).grad, expected, rtol=1e-3, atol=1e-5), name


def test_explained_variance_compares_with_what_the_mlp_wrote():
    x, t = far_apart()
    trainer = LayerTrainer(Recipe(**SMALL), x, t)
    with torch.no_grad():
        trainer.transcoder.W_enc.zero_()
        trainer.transcoder.b_enc.fill_(-1)  # silent: only the output's mean is left, which explains nothing
    metrics = trainer.train_step(x, t)
    assert metrics["metrics/fvu"] == pytest.approx(1.0, abs=1e-4)
    assert metrics["metrics/explained_variance"] == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("residual_of", ["input", "output"])
def test_ghost_gradients_are_the_published_ones(residual_of):
    """Against transcoder_circuits' forward pass written out: each error is rescaled by its own place's; only what is fitted can be chosen."""
    x, t = far_apart()
    x = x / 20
    transcoder = LayerTrainer(Recipe(**SMALL | {"ghost_residual": residual_of}), x, t).transcoder
    dead = torch.zeros(len(transcoder.W_dec), dtype=torch.bool)
    dead[[3, 5]] = True
    transcoder.steps_since_fired[dead] = 1
    transcoder_losses(transcoder, x, t, transcoder(x), 10).overall.backward()
    names = ["W_enc", "b_enc", "W_dec", "b_dec", "b_dec_out"]
    w_enc, b_enc, w_dec, b_dec, b_out = (getattr(transcoder, name).detach().clone().requires_grad_() for name in names)
    hidden_pre = (x - b_dec) @ w_enc.T + b_enc
    acts = hidden_pre.relu()
    out = acts @ w_dec + b_out
    mse = (out - t) ** 2 / (t**2).sum(-1, keepdim=True).sqrt()
    residual = (x if residual_of == "input" else t) - out
    ghost = hidden_pre[:, dead].exp() @ w_dec[dead]
    ghost = ghost * (residual.norm(dim=-1) / (1e-6 + 2 * ghost.norm(dim=-1)))[:, None].detach()
    ghost_mse = (ghost - residual.detach()) ** 2 / (residual.detach() ** 2).sum(-1, keepdim=True).sqrt()
    ghost_mse = (mse / (ghost_mse + 1e-6)).detach() * ghost_mse
    (mse.mean() + 1.4e-4 * acts.abs().sum(1).mean() + ghost_mse.mean()).backward()
    for name, own in zip(names, (w_enc, b_enc, w_dec, b_dec, b_out)):
        found = getattr(transcoder, name).grad
        assert torch.nn.functional.cosine_similarity(found.flatten(), own.grad.flatten(), dim=0) > 1 - 1e-5, name
        assert torch.allclose(found, own.grad, rtol=1e-3, atol=1e-5 * own.grad.abs().max()), name
    assert transcoder.W_dec.grad[3].any()


@pytest.fixture
def both_hooked(model_folder):
    sites = {layer: Sites(f"blocks.{layer}.mlp.hook_in", f"blocks.{layer}.mlp.hook_out") for layer in (1, 2)}
    models = {}
    for hooks in ("plain", "bridge"):
        model, tokenizer = load_model_and_tokenizer(str(model_folder), "cpu")
        models[hooks] = hook_model(str(model_folder), model, tokenizer, sites, hooks)
    return models, tokenizer


def test_both_ways_of_hooking_see_and_replace_the_same(both_hooked, model_folder):
    models, tokenizer = both_hooked
    batch = pad_contexts(CONTEXTS, tokenizer, "cpu")
    model, _ = load_model_and_tokenizer(str(model_folder), "cpu")
    clean = model(input_ids=batch.input_ids).logits
    seen = {name: hooked.activations(batch) for name, hooked in models.items()}
    for layer in (1, 2):
        for a, b in zip(seen["plain"][layer], seen["bridge"][layer]):
            assert torch.allclose(a, b, atol=1e-4)
        assert torch.allclose(mlp_of(model, layer)(seen["bridge"][layer].inputs), seen["bridge"][layer].outputs, atol=1e-4)
    transcoder = tiny_transcoder()
    spliced = [hooked.logits(batch, {1: transcoder}) for hooked in models.values()]
    assert torch.allclose(*spliced, atol=1e-3) and not torch.allclose(spliced[0], clean, atol=0.1)
    for hooked in models.values():  # nothing stays replaced
        assert torch.allclose(hooked.logits(batch, {}), clean, atol=1e-3)


def test_the_evaluation_replaces_the_output(both_hooked, model_folder):
    """The loss with the transcoder is that of a model whose MLP module is the transcoder."""
    models, tokenizer = both_hooked
    transcoder = tiny_transcoder()
    model, _ = load_model_and_tokenizer(str(model_folder), "cpu")
    model.model.layers[1].mlp = transcoder
    losses = [model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss.item() * (len(ids) - 1) for ids in CONTEXTS]
    expected = sum(losses) / sum(len(ids) - 1 for ids in CONTEXTS)
    for hooked in models.values():
        (figures, frequency), = evaluate(hooked, tokenizer, {1: transcoder}, CONTEXTS, torch.device("cpu"), batch_size=2).values()
        assert figures.ce_loss_with_sae == pytest.approx(expected, rel=1e-4)
        assert figures.l0 == pytest.approx(frequency.sum().item()) and figures.tokens == sum(len(ids) - 1 for ids in CONTEXTS)
        share = (figures.ce_loss_with_ablation - figures.ce_loss_with_sae) / (figures.ce_loss_with_ablation - figures.ce_loss_without_sae)
        assert figures.loss_recovered == pytest.approx(share)


def test_the_evaluation_puts_the_model_back_after_a_failure(both_hooked):
    models, tokenizer = both_hooked
    batch = pad_contexts(CONTEXTS, tokenizer, "cpu")

    def fails(_x):
        raise ValueError("broken")

    for hooked in models.values():
        before = hooked.logits(batch, {})
        with pytest.raises(ValueError, match="broken"):
            hooked.logits(batch, {1: fails})
        assert torch.equal(hooked.logits(batch, {}), before)
