"""A frozen, slow reading of ROME: full forward passes, one prompt at a time, a dense second moment and an explicit inverse."""

import torch
from torch.nn import functional


def naive_key(model, projection, contexts):
    seen = []
    handle = projection.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for context in contexts:
            model(torch.tensor([context.ids]))
    handle.remove()
    return torch.stack([hidden[0, context.position] for hidden, context in zip(seen, contexts)]).mean(0)


def naive_second_moment(model, tokenizer, projection, texts):
    rows = []
    handle = projection.register_forward_pre_hook(lambda _module, inputs: rows.append(inputs[0][0].double()))
    with torch.no_grad():
        for text in texts:
            model(torch.tensor([tokenizer(text)["input_ids"]]))
    handle.remove()
    activations = torch.cat(rows)
    return activations.T @ activations / len(activations)


def naive_shift(model, projection, contexts, steps, learning_rate, clamp, kl_factor=0.0625, weight_decay=1e-3):
    """delta after ``steps`` steps."""
    position, delta, start = 0, None, None

    def hook(_module, _inputs, output):
        nonlocal start
        if delta is None:
            start = output[0, position].clone()
            return output
        mask = torch.zeros_like(output)
        mask[:, position] = 1
        return output + mask * delta

    def logits(ids):
        return model(torch.tensor([ids])).logits[0].float().log_softmax(-1)

    handle = projection.register_forward_hook(hook)
    with torch.no_grad():
        position = contexts.essence.position
        before = logits(contexts.essence.ids)[position]
        position = contexts.prompts[0].position
        logits(contexts.prompts[0].ids)
    delta = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([delta], lr=learning_rate)
    target_tokens = sum(len(target) for target in contexts.targets)
    for _ in range(steps):
        nll = 0
        for context, target in zip(contexts.prompts, contexts.targets):
            position = context.position
            rows = logits(context.ids + target)[len(context.ids) - 1 : -1]
            nll = nll - rows.gather(1, torch.tensor(target)[:, None]).sum() / target_tokens
        position = contexts.essence.position
        kl = functional.kl_div(before, logits(contexts.essence.ids)[position], log_target=True, reduction="sum")
        loss = nll + kl_factor * kl + weight_decay * (delta @ delta) / (start @ start)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            if delta.norm() > clamp * start.norm():
                delta.mul_(clamp * start.norm() / delta.norm())
    handle.remove()
    return start, delta.detach()
