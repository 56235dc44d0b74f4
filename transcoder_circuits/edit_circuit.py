"""The circuit of an edit: what turns the edited features on at the edited token, and what the change of the value does to the logits.

usage: python -m transcoder_circuits.edit_circuit runs/demo/default/length/TCPE --transcoders data/demo/transcoders
                                          prints it and writes circuit.json into the run's folder; with --graph also graph.html and graph.svg,
                                          the attribution graph before the edit and after it
"""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface.config import LoadingConfig, loading_flags
from util.cli import ArgumentParser
from util.errors import CheckpointError, UserError
from util.files import check_writable, write_json
from util.flags import add_flags

if TYPE_CHECKING:  # these import torch, which help and complaints about flags need not wait for
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from huggingface.transcoder import Transcoder
    from tcpe.update import Edit
    from transcoder_circuits.components import Component
    from transcoder_circuits.frozen import FrozenPass

FILE = "circuit.json"
NODES = 12
"""Nodes of each list."""

logger = logging.getLogger(__name__)


class EditCircuit:
    """The circuit of one edit on its own request.

    Args:
        model: with the edited layer's transcoder in its place, not edited.
        transcoders: of other layers; what they do not cover counts as error.
        ids: the request's prompt, and the target as far as the unedited model would write it itself.
        position: the edited token.
        target, instead: the first token of the target that the unedited model does not write, and what it writes there.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        transcoders: "dict[int, Transcoder]",
        edit: "Edit",
        ids: Sequence[int],
        position: int,
        target: int,
        instead: int,
    ) -> None:
        import torch

        from huggingface.architectures import mlp_of
        from huggingface.sites import resolve
        from huggingface.transcoder import Transcoder
        from tcpe.update import applied
        from transcoder_circuits.components import direction_vector, logit_vector
        from transcoder_circuits.frozen import FrozenPass

        self.model, self.edit, self.ids, self.position = model, edit, list(ids), position
        self.layer, self.target, self.instead = edit.layer, target, instead
        own = mlp_of(model, edit.layer)
        if not isinstance(own, Transcoder):
            raise UserError("The edit is of an MLP's neurons, and circuits are made of a transcoder's features; give an edit of a transcoder.")
        self.transcoders = {**transcoders, edit.layer: own}
        self.before = FrozenPass(model, self.transcoders, ids)
        weight = own.down_proj.weight.detach().clone()
        with applied(model, [edit]):
            self.after = FrozenPass(model, self.transcoders, ids)
            self.change = self.after.layers[edit.layer].features @ (own.down_proj.weight.detach().float() - weight.float()).T
        self.columns = edit.columns()
        one = self.before.layers[edit.layer]
        self.weights = torch.zeros(own.n_features)
        self.weights[self.columns] = edit.update.key_direction[self.columns]
        self._firing = self.weights * (one.features[position].cpu() != 0)
        if not self._firing.any():
            other = "the run or update without --abla_exp" if edit.ablation else "an edit of this model and transcoder"
            raise UserError(f"None of the edited features is active at the edited token of the request; give {other}.")
        reads = resolve(own.sites, model, edit.layer).reads
        assert one.transcoder is not None
        encoder = one.transcoder.up_proj
        self.key = direction_vector(
            self._firing.to(one.W_enc.device) @ one.W_enc,
            edit.layer,
            "resid_mid",
            position,
            site="stream" if reads == "resid_mid" else reads,
            name="key",
            bias=float(self._firing.to(encoder.bias.device) @ encoder.bias),
        )
        self.logit = logit_vector(model, [target], [instead], token=len(self.ids) - 1, name="target-instead")
        self._undisturbed = {edited: self._run(edited) for edited in (False, True)}

    def _key_of(self, features: "Tensor") -> float:
        """The key along its direction, of the edited layer's features at the edited token."""
        return float(features.float().cpu() @ self.weights)

    def _difference(self, logits: "Tensor") -> float:
        return float(logits[self.target] - logits[self.instead])

    def _run(self, edited: bool) -> tuple[float, float]:
        """The key and the difference of logits in a real forward pass."""
        import torch

        from huggingface.activations import Point, read_activations
        from tcpe.update import applied

        point = Point(self.layer, "neurons")
        ids = torch.tensor([self.ids], device=self.model.device)
        with torch.inference_mode(), applied(self.model, [self.edit] if edited else []):
            key = self._key_of(read_activations(self.model, [point], input_ids=ids, use_cache=False)[point][0, self.position])
            return key, self._difference(self.model(input_ids=ids, use_cache=False).logits[0, -1].float())

    def removed(self, component: "Component", query: int) -> dict[str, Any]:
        """What taking away one upstream part does to the key and, in the edited model, to the logits: predicted, frozen, and in a real pass.

        One prediction holds all other features, the other lets the active ones follow, however far; the truth switches features off and on.

        Args:
            query: where a head writes.
        """
        import torch

        from transcoder_circuits.patching import changed

        found: dict[str, Any] = {}
        for name, cache, edited in (("key", self.before, False), ("logit", self.after, True)):
            one, change = cache.layers[component.layer], torch.zeros_like(cache.embedding)
            attention = component.attn_head is not None
            if attention:
                head, source = component.attn_head, component.token
                written = one.values[source, head] @ one.W_O[head]
                change[query] = -one.pattern[head, query, source] * written
            else:
                assert component.token is not None
                change[component.token] = -one.features[component.token, component.feature_idx] * one.W_dec[:, component.feature_idx]
            held, predicted = (
                self._predicted(cache, list(cache.push(component.layer, change, linear, attention)), component.layer) for linear in (False, True)
            )
            stream = one.attn_out_norm.push(change) if attention else one.write.push(change)
            with changed(self.model, component.layer, stream, attention):
                real = self._run(edited)
            number = 0 if name == "key" else 1
            found[name] = {"held": held[number], "predicted": predicted[number], "real": real[number] - self._undisturbed[edited][number]}
        return found

    def _predicted(self, cache: "FrozenPass", pushed: "list[tuple[Tensor, Tensor]]", first: int) -> tuple[float, float]:
        """The change of the key and of the logits' difference that a pushed change makes."""
        key, _ = cache.in_stream(self.key)
        logit, _ = cache.in_stream(self.logit)
        in_key = float(pushed[self.layer - first][0][self.position] @ key)
        return in_key, float(pushed[-1][1][-1] @ logit)

    def data(self, texts: Sequence[str], nodes: int = NODES) -> dict[str, Any]:
        """Everything as JSON values; ``texts`` are the tokens as they read."""
        from transcoder_circuits.circuit_analysis import get_top_contribs, greedy_get_top_paths, path_text
        from transcoder_circuits.components import ComponentType

        before = self.before
        paths = greedy_get_top_paths(self.model, self.transcoders, before, self.key, 3, nodes, do_raw_attribution=True, absolute=True)
        children = get_top_contribs(self.model, self.transcoders, before, self.key, k=3 * nodes, absolute=True)
        upstream = [node for node in children if node.component.component_type in (ComponentType.MLP, ComponentType.ATTN)][:nodes]
        key, _ = before.in_stream(self.key)
        through = before.through(key[None], [self.position], [before.span(self.key)])
        by_token = through.embeddings[0]
        total_key, was = self._undisturbed[False]
        now = self._undisturbed[True][1]
        predicted = self._predicted(before, list(before.push(self.layer, self.change, linear_features=True)), self.layer)[1]
        direct = self._predicted(before, list(before.push(self.layer, self.change)), self.layer)[1]
        at_edit = self.change.clone()
        at_edit[[token for token in range(len(self.ids)) if token != self.position]] = 0
        alone = self._predicted(before, list(before.push(self.layer, at_edit, linear_features=True)), self.layer)[1]
        return {
            "layer": self.layer,
            "position": self.position,
            "tokens": list(texts),
            "target": self.target,
            "instead": self.instead,
            "columns": self.columns.tolist(),
            "key": {
                "value": total_key,
                "features": [
                    {"feature": feature, "activation": float(before.layers[self.layer].features[self.position, feature]), "weight": weight}
                    for feature in self.columns.tolist()
                    if (weight := float(self.weights[feature]))
                ],
                "paths": [{"contribution": path[-1].contrib, "path": path_text(path)} for depth in paths for path in depth],
                "tokens": [
                    {"token": token, "text": texts[token], "contribution": float(by_token[token])}
                    for token in by_token.abs().argsort(descending=True).tolist()[:nodes]
                ],
                "errors": float(through.errors.sum()),
                "biases": float(through.bias.sum()) + self.key.bias,
            },
            "value": {
                "logits_before": was,
                "logits_after": now,
                "real": now - was,
                "predicted": predicted,
                "predicted_past_later_features": direct,
                "predicted_from_the_edited_token_alone": alone,
                "norm_by_token": [round(float(norm), 6) for norm in self.change.norm(dim=1)],
            },
            "logit": self._both(nodes),
            "removed": [
                {"part": str(node.component), "token": texts[node.component.token or 0], "contribution": node.contrib}
                | self.removed(node.component, self.position)
                for node in upstream
            ],
        }

    def _both(self, nodes: int) -> list[dict[str, Any]]:
        """The features that contribute most to the difference of logits, before the edit and after it."""
        found: dict[str, dict[tuple[int, int, int], float]] = {}
        for name, cache in (("before", self.before), ("after", self.after)):
            vector, _ = cache.in_stream(self.logit)
            values = cache.through(vector[None], [len(self.ids) - 1], [cache.span(self.logit)]).features[0].tolist()
            found[name] = dict(zip(zip(*(part.tolist() for part in cache.active)), values))
        keys = sorted(found["before"] | found["after"], key=lambda one: -max(abs(found[name].get(one, 0.0)) for name in found))
        return [
            {
                "part": f"mlp{layer}tc[{feature}]@{token}",
                **{name: values.get((layer, token, feature), 0.0) for name, values in found.items()},
                "edited": layer == self.layer and bool(self.weights[feature]),
            }
            for layer, token, feature in keys[:nodes]
            if any(values.get((layer, token, feature)) for values in found.values())
        ]


def first_difference(model: "PreTrainedModel", ids: Sequence[int], target: Sequence[int]) -> tuple[list[int], int, int]:
    """The prompt with the target as far as the model writes it itself, the target's next token, and what the model writes instead.

    Where it writes the whole target itself, the first token against the second best.
    """
    import torch

    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*ids, *target[:-1]]], device=model.device), use_cache=False).logits[0, len(ids) - 1 :].float()
    for number, wanted in enumerate(target):
        written = int(logits[number].argmax())
        if written != wanted:
            return [*ids, *target[:number]], wanted, written
    return list(ids), target[0], int(logits[0].topk(2).indices[1])


def circuit_of_edit(
    target: str,
    transcoders: Sequence[str],
    lim: Any = None,
    nodes: int = NODES,
    model_flags: dict[str, Any] | None = None,
    also: "Callable[[EditCircuit, PreTrainedTokenizerFast, dict[str, Any], Path], object] | None" = None,
) -> tuple[dict[str, Any], Path]:
    """The circuit of the edit of a run, or of a saved update (see ``explain.neurons.find_subject``), and where it belongs.

    Args:
        also: called while the model is loaded, with the circuit, what was found and where it belongs.

    Raises:
        UserError: if the edit, a model or a transcoder is not there, or they do not belong together.
    """
    from explain.model import loaded_model
    from explain.neurons import find_subject
    from tcpe.contexts import build_contexts
    from tcpe.request import EditRequest
    from transcoder_circuits.paths import token_texts
    from transcoder_circuits.sets import load_transcoders

    subject = find_subject(target, lim)
    names, edit = subject.model | (model_flags or {}), subject.edit
    if not names.get("MODEL_NAME"):
        raise CheckpointError(f"{target} does not say which model it is of; give --MODEL_NAME, and --TC_layer_file.")
    if not names.get("TC_layer_file"):
        raise UserError(f"{target} is an edit of an MLP, and circuits are made of a transcoder's features; give an edit of a transcoder.")
    others = load_transcoders(transcoders) if transcoders else {}
    details = edit.update.details
    request = EditRequest(**details["request"])
    with loaded_model(names) as (model, tokenizer, _):
        edit.check(model)
        contexts = build_contexts(tokenizer, request, details.get("templates", []), details.get("fact_token", "subject_last"))
        prompt, wanted = contexts.prompts[0], contexts.targets[0]
        ids, token, instead = first_difference(model, prompt.ids, wanted)
        circuit = EditCircuit(model, others, edit, ids, prompt.position, token, instead)
        data = circuit.data(token_texts(tokenizer, ids), nodes)
        data |= {"title": request.brief_description, "target_text": tokenizer.decode([token]), "instead_text": tokenizer.decode([instead])}
        if also is not None:
            also(circuit, tokenizer, data, subject.page.with_name(FILE))
    return data, subject.page.with_name(FILE)


def circuit_text(data: dict[str, Any], shown: int = NODES) -> str:
    """The circuit as a person reads it."""
    key, value = data["key"], data["value"]
    lines = [f"{data['title']}: layer {data['layer']}, token {data['position']} {data['tokens'][data['position']]!r}, {len(data['columns'])} columns"]
    lines += ["", f"The key along its direction is {key['value']:.3f}. What makes it:"]
    lines += [f"  {path['contribution']:+8.3f}  {path['path']}" for path in sorted(key["paths"], key=lambda one: -abs(one["contribution"]))[:shown]]
    lines += ["", f"By token, through heads and past features (errors {key['errors']:+.3f}, biases {key['biases']:+.3f}):"]
    lines += [f"  {one['contribution']:+8.3f}  {one['token']:4} {one['text']!r}" for one in key["tokens"][:shown]]
    lines += [
        "",
        f"The logit of {data['target_text']!r} less that of {data['instead_text']!r}: {value['logits_before']:+.3f} before, "
        f"{value['logits_after']:+.3f} after; the change of the value makes {value['predicted']:+.3f} (predicted, frozen) and "
        f"{value['real']:+.3f} (real).",
        "",
        "  before    after  what contributes to it (* edited)",
    ]
    lines += [f"{one['before']:+8.3f} {one['after']:+8.3f}  {one['part']}{' *' if one['edited'] else ''}" for one in data["logit"][:shown]]
    lines += ["", "Taken away: the key, then the logit after the edit: predicted with features held, with features following; real"]
    for one in data["removed"][:shown]:
        figures = (one[what][how] for what in ("key", "logit") for how in ("held", "predicted", "real"))
        lines.append(f"  {' '.join(f'{figure:+8.3f}' for figure in figures)}  {one['part']}  {one['token']!r}")
    return "\n".join(lines) + "\n"


def main() -> None:
    from explain.neurons import TextStream
    from tcpe.lim import parse_lim
    from transcoder_circuits.edit_graph import PAGE, page_beside, write_edit_graph
    from transcoder_circuits.graph import add_graph_flags, check_graph_flags

    parser = ArgumentParser(prog="python -m transcoder_circuits.edit_circuit", description=__doc__)
    parser.add_argument("target", metavar="RUN_OR_UPDATE", help="the folder of a run, or a saved update as python -m tcpe.edits takes it")
    parser.add_argument("--transcoders", nargs="*", default=[], help="transcoders of other layers (the edited one's own comes "
        "with the edit): folders, or with a folder layer_N for each; without them no features of other layers are found")
    parser.add_argument("--output_path", help=f"the circuit; by default {FILE} in the run's folder, or beside the update")
    parser.add_argument("--lim", type=parse_lim, help="which features are active; by default as the run applied it, or 0.1 for an update")
    parser.add_argument("--nodes", type=int, default=NODES, help="of each list (default: %(default)s)")
    parser.add_argument("--MODEL_NAME", help="the model, where it is not the one that made the edit")
    parser.add_argument("--TC_layer_file", help="the transcoder that the edit is of, where it has been moved")
    add_flags(parser, LoadingConfig, "how the model is loaded, where not as for the edit")
    graph = parser.add_argument_group("the attribution graph before and after")
    graph.add_argument("--graph", action="store_true", help=f"draw it: {PAGE} and its picture in the run's folder, or named as --output_path")
    add_graph_flags(graph)
    arguments = parser.parse_args()
    if arguments.nodes < 1:
        raise UserError(f"--nodes must be at least 1, not {arguments.nodes}.")
    check_graph_flags(arguments)
    if arguments.output_path and Path(arguments.output_path).suffix != ".json":
        raise UserError(f"The circuit is a file that ends in .json, and {arguments.output_path} does not; give another --output_path.")
    if not arguments.graph and (arguments.dataset or arguments.png):
        raise UserError("--dataset and --png are of the graph; give --graph too.")
    if not arguments.transcoders:
        logger.warning("No --transcoders of other layers are given: the circuit has none of their features, and their MLPs count as error")
    texts = TextStream(arguments.dataset, arguments.n_texts) if arguments.dataset else None
    pages: list[Path] = []

    def draw(circuit: EditCircuit, tokenizer: "PreTrainedTokenizerFast", data: dict[str, Any], place: Path) -> None:
        pages.extend(write_edit_graph(page_beside(place, arguments.output_path), circuit, tokenizer, data, texts, arguments))

    flags = {name: value for name in ("MODEL_NAME", "TC_layer_file") if (value := getattr(arguments, name)) is not None}
    flags |= loading_flags(arguments)
    drawn = draw if arguments.graph else None
    data, place = circuit_of_edit(arguments.target, arguments.transcoders, arguments.lim, arguments.nodes, flags, drawn)
    path = Path(arguments.output_path) if arguments.output_path else place
    check_writable(path.parent)
    write_json(path, data)
    sys.stdout.write(circuit_text(data, arguments.nodes) + "".join(f"{one}\n" for one in (path, *pages)))


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
