"""A model's forward pass on one prompt, frozen: with its attention patterns and norms' scales fixed, every part's contribution is exact.

A direction that is read somewhere is put in there and followed backwards, down the residual stream: what each part wrote is multiplied by it.
``FrozenPass.direct`` stops at heads and features, which is what paths are made of; ``FrozenPass.through`` goes on through the heads, which is
what whole graphs are made of. Both are linear in the direction, work on a batch of them, and never make a matrix of features by features.

Beyond transcoder_circuits: norms are pulled back exactly, with their weight, centring, offset and the norms behind a sublayer; its scalar
(v·y)/(v·x) is exact for folded, centred weights alone.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from huggingface.activations import Point, Site, read_activations
from huggingface.architectures import architecture_of, attention_norm_of, is_parallel, layers_of, mlp_norm_of, place_of
from huggingface.attention import attention_heads
from huggingface.context import check_fits_context
from huggingface.sites import resolve, without_weight
from huggingface.transcoder_adapter import adapt
from transcoder_circuits.components import FeatureVector
from transcoder_circuits.cross_layer import CrossLayer
from transcoder_circuits.frozen_parts import Active, Direct, FrozenLayer, FrozenNorm, Through, Writers, freeze_norm
from transcoder_circuits.pushed import Changes, pushed
from transcoder_circuits.sets import Transcoders, by_layer
from util.errors import CheckpointError, UserError


class FrozenPass:
    """The frozen forward pass of a model on one prompt, which transcoder_circuits' functions take as their ``cache``.

    A transcoder that is spliced into the model is read like the MLP that it replaced; give it among ``transcoders`` too, and its layer has no error.

    Args:
        transcoders: by layer, or in the order of the layers; layers without one count as error. Or a cross-layer transcoder.
        ids: the prompt's token ids.

    Attributes:
        ids: as given.
        transcoders: by layer; of a cross-layer transcoder what each layer reads and writes into itself.
        cross: the cross-layer transcoder, or None.
        layers: what each computed.
        embedding: float32 [token, d_model], what layer 0 reads.
        logits: float32 [token, vocabulary].

    Raises:
        UserError: if the prompt is empty or longer than the model's context.
        CheckpointError: if a transcoder does not fit the model.
    """

    @torch.no_grad()
    def __init__(self, model: PreTrainedModel, transcoders: Transcoders | CrossLayer, ids: Sequence[int]) -> None:
        if not len(ids):
            raise UserError("The prompt has no tokens; give a text.")
        check_fits_context(model, len(ids), "The prompt")
        self.model, self.ids, self.n_layers = model, [int(one) for one in ids], len(layers_of(model))
        self.cross = transcoders if isinstance(transcoders, CrossLayer) else None
        if isinstance(transcoders, CrossLayer):
            if transcoders.n_layers != self.n_layers:
                raise CheckpointError(f"The cross-layer transcoder has {transcoders.n_layers} layers, the model {self.n_layers}; give its own.")
            transcoders = [transcoders.layer_transcoder(layer) for layer in range(self.n_layers)]
        self.transcoders = by_layer(transcoders)
        if unknown := [layer for layer in self.transcoders if not 0 <= layer < self.n_layers]:
            raise UserError(f"There is a transcoder for layer {unknown[0]}, and the model's layers are 0 to {self.n_layers - 1}; leave it out.")
        sites: tuple[Site, ...] = ("resid_pre", "attn_in", "pattern", "attn_out", "attn_added", "resid_mid", "mlp_out", "resid_post")
        points = [Point(layer, site) for layer in range(self.n_layers) for site in sites]
        read = read_activations(model, points, input_ids=torch.tensor([self.ids], device=model.device), use_cache=False)
        found = {point: value[0].float() for point, value in read.items()}
        self.embedding = found[Point(0, "resid_pre")]
        self.parallel = is_parallel(model)
        self.stream = [found[Point(layer, "resid_pre")] for layer in range(self.n_layers)] + [found[Point(self.n_layers - 1, "resid_post")]]
        self.layers: list[FrozenLayer] = []
        self._rows: dict[tuple[int, int], Tensor] = {}
        for layer in range(self.n_layers):
            self.layers.append(self._layer(layer, {site: found[Point(layer, site)] for site in sites}))
        norm = place_of(model, model, "final_norm")
        assert norm is not None
        self.final_norm = freeze_norm(norm, self.stream[-1], architecture_of(model).norm_weight_offset)

    def _layer(self, layer: int, at: dict[Site, Tensor]) -> FrozenLayer:
        model, offset = self.model, architecture_of(self.model).norm_weight_offset
        heads = attention_heads(model, layer)
        module = layers_of(model)[layer]
        post_attention, post_mlp = place_of(model, module, "post_attention_norm"), place_of(model, module, "post_mlp_norm")
        transcoder = self.transcoders.get(layer)
        norm = mlp_norm_of(model, layer)
        n_tokens, resid_mid, mlp_out = len(self.ids), at["resid_mid"], at["mlp_out"]
        identity = FrozenNorm(resid_mid.new_ones(n_tokens))
        write = freeze_norm(post_mlp, mlp_out, offset) if post_mlp is not None else identity
        written = mlp_out
        features = preactivations = resid_mid.new_zeros(n_tokens, 0)
        read = identity
        if transcoder is not None:
            transcoder = adapt(transcoder, model, layer).float()
            sites = resolve(transcoder.sites, model, layer)
            if sites.reads == "mlp_in":
                read = freeze_norm(norm, resid_mid, offset)
            elif sites.reads == "normalized":
                read = freeze_norm(norm if isinstance(norm, nn.Identity) else without_weight(norm, offset), resid_mid, offset)
            elif sites.reads == "resid_mid_centred":
                read = FrozenNorm(identity.scale, centred=True)
            x = read.push(resid_mid) if read.bias is None else read.push(resid_mid) + read.bias
            if sites.writes != "mlp_out":
                written = write.push(mlp_out)
                scale = None if sites.writes == "added" else write.weight
                if scale is not None:
                    written = written / scale
                write = FrozenNorm(identity.scale, scale)
            preactivations = transcoder.up_proj(x)
            features = transcoder.activation(preactivations)
            written = written - transcoder.decode(features, x)
            written = written - self.written_from_below(layer)
        return FrozenLayer(
            heads=heads,
            pattern=at["pattern"],
            values=heads.by_head(heads.values(at["attn_in"].to(heads.W_V.dtype))).float(),
            attn_in_norm=freeze_norm(attention_norm_of(model, layer), at["resid_pre"], offset),
            attn_out_norm=freeze_norm(post_attention, at["attn_out"], offset) if post_attention is not None else identity,
            read=read,
            write=write,
            transcoder=transcoder,
            features=features,
            preactivations=preactivations,
            error=written,
            attn_out=at["attn_out"],
        )

    def written_from_below(self, layer: int) -> Float[Tensor, "token d_model"]:
        """What features of lower layers write into a layer across layers; zeros for transcoders of single layers."""
        total = torch.zeros_like(self.embedding)
        for source, below in enumerate(self.layers[:layer]) if self.cross is not None else ():
            assert self.cross is not None
            token, feature = below.features.nonzero().unbind(1)
            if (source, layer) not in self._rows:
                rows = self.cross.decoder_rows(source, layer, feature).to(total)
                self._rows[source, layer] = rows * below.features[token, feature, None]
            total.index_add_(0, token, self._rows[source, layer])
        return total

    @cached_property
    @torch.no_grad()
    def logits(self) -> Float[Tensor, "token vocabulary"]:
        """What the model predicts, float32, behind any cap."""
        from huggingface.stream_ends import unembed

        return unembed(self.model, self.stream[-1].to(self.model.dtype)).float()

    @cached_property
    def active(self) -> Active:
        """All features that are not zero."""
        places = [one.features.nonzero() for one in self.layers]
        parts = [(torch.full((len(found),), layer, device=found.device), *found.unbind(1)) for layer, found in enumerate(places)]
        return Active(*(torch.cat(part) for part in zip(*parts)))

    @cached_property
    @torch.no_grad()
    def writers(self) -> list[Writers]:
        """For each layer the active features that write into it."""
        layers, tokens, features = self.active
        inside = [(layers == layer).nonzero()[:, 0] for layer in range(self.n_layers)]
        found = []
        for number, one in enumerate(self.layers):
            own = inside[number]
            places, rows = [own], [self.embedding.new_zeros(0, self.embedding.shape[1])]
            if one.transcoder is not None:
                rows = [one.W_dec.T[features[own]] * one.features[tokens[own], features[own], None]]
            for source in range(number) if self.cross is not None else ():
                places.append(inside[source])
                rows.append(self._rows[source, number])
            found.append(Writers.of(torch.cat(places), tokens[torch.cat(places)], torch.cat(rows), len(self.ids), len(layers)))
        return found

    def _check_per_layer(self) -> None:
        if self.cross is not None:
            raise UserError("Paths go through features that write into their own layer alone; of a cross-layer transcoder draw the graph.")

    def position(self, token: int) -> int:
        """A token's position from the front.

        Raises:
            UserError: if the prompt has no such token.
        """
        n = len(self.ids)
        if not -n <= token < n:
            raise UserError(f"The prompt has no token {token}: its {n} tokens are 0 to {n - 1}, or -{n} to -1 from the end.")
        return token % n

    def span(self, vector: FeatureVector) -> tuple[int, int]:
        """Which parts a direction can see, [first, stop): part -1 is the embedding, 2l the attention of layer l, 2l + 1 its MLP.

        Raises:
            UserError: for a layer or sublayer that is not there.
        """
        layer = vector.layer
        if not 0 <= layer < self.n_layers:
            raise UserError(f"The model has no layer {layer}: its layers are 0 to {self.n_layers - 1}.")
        spans = {
            "resid_pre": (-1, 2 * layer),
            "resid_mid": (-1, 2 * layer + (not self.parallel)),
            "resid_post": (-1, 2 * layer + 2),
            "attn_added": (2 * layer, 2 * layer + 1),
            "mlp_out": (2 * layer + 1, 2 * layer + 2),
            "added": (2 * layer + 1, 2 * layer + 2),
        }
        if vector.sublayer not in spans:
            raise UserError(f"A layer has no {vector.sublayer}; it has {', '.join(spans)}.")
        return spans[vector.sublayer]

    def _norm_before(self, vector: FeatureVector) -> FrozenNorm | None:
        """The norm between the residual stream and what a direction reads, None without one."""
        if vector.site == "stream":
            return None
        if vector.site == "final_norm":
            return self.final_norm
        layer = vector.layer
        x = self.stream[layer] if self.parallel else self.stream[layer] + self.added_by_attention(layer)
        offset, norm = architecture_of(self.model).norm_weight_offset, mlp_norm_of(self.model, layer)
        if vector.site == "mlp_in":
            return freeze_norm(norm, x, offset)
        if vector.site == "normalized":
            return freeze_norm(norm if isinstance(norm, nn.Identity) else without_weight(norm, offset), x, offset)
        if vector.site == "resid_mid_centred":
            return FrozenNorm(x.new_ones(len(x)), centred=True)
        raise UserError(f"{vector.site} is no site that a circuit can begin at.")

    def added_by_attention(self, layer: int) -> Float[Tensor, "token d_model"]:
        """What a layer's attention adds to the residual stream."""
        one = self.layers[layer]
        added = one.attn_out_norm.push(one.attn_out)
        return added if one.attn_out_norm.bias is None else added + one.attn_out_norm.bias

    def in_stream(self, vector: FeatureVector) -> tuple[Float[Tensor, " d_model"], float]:
        """A direction as one of the residual stream at its token, and the constant that its norm's bias adds."""
        token = self.position(vector.token)
        v = vector.vector.detach().float().to(self.embedding.device)
        if v.shape != self.embedding.shape[1:]:
            raise UserError(f"The direction has width {len(v)}, and the model {self.embedding.shape[1]}; give one of this model.")
        if vector.sublayer == "mlp_out" and (post := place_of(self.model, layers_of(self.model)[vector.layer], "post_mlp_norm")) is not None:
            # What is added is what is put out times a number for each width; backwards it is divided.
            layer = self.layers[vector.layer]
            if layer.transcoder is not None and layer.write.weight is None:
                raise UserError(f"The transcoder of layer {vector.layer} writes behind the norm, so its layer has no {vector.sublayer}; use added.")
            frozen = layer.write if layer.write.weight is not None else freeze_norm(post, layer.error, architecture_of(self.model).norm_weight_offset)
            assert frozen.weight is not None
            return v / (frozen.weight * frozen.scale[token]), 0.0
        norm = self._norm_before(vector)
        if norm is None:
            return v, 0.0
        return norm.pull(v[None], torch.tensor([token], device=v.device))[0], norm.constant(v).item()

    def activation(self, vector: FeatureVector) -> float:
        """What a root finds: a feature's own activation, and for another direction its product with what is there."""
        component = vector.component
        layer = self.layers[vector.layer]
        if vector.site != "stream" and component.feature_idx is not None and layer.transcoder is not None:
            return layer.features[self.position(vector.token), component.feature_idx].item()
        v, constant = self.in_stream(vector)
        found = self.direct(v[None], [self.position(vector.token)], [self.span(vector)]).total().item() + constant + vector.bias
        return max(found, 0.0) if component.feature_idx is not None and vector.bias else found

    @torch.no_grad()
    def direct(
        self, vectors: Float[Tensor, "batch d_model"], tokens: Sequence[int], spans: Sequence[tuple[int, int]]
    ) -> Direct:
        """What each part contributes to directions of the residual stream, each at its token and seeing the parts of its span."""
        self._check_per_layer()
        v, device = vectors, vectors.device
        token = torch.tensor(list(tokens), device=device)
        first, stop = (torch.tensor(side, device=device) for side in zip(*spans))
        features: dict[int, Tensor] = {}
        heads: dict[int, Tensor] = {}
        errors: dict[int, Tensor] = {}
        mlp_biases: dict[int, Tensor] = {}
        attn_biases: dict[int, Tensor] = {}
        pending: Tensor | None = None
        for number, layer in reversed(list(enumerate(self.layers))):
            sees_mlp, sees_attn = ((first <= part) & (part < stop) for part in (2 * number + 1, 2 * number))
            if sees_mlp.any():
                seeing = sees_mlp[:, None]
                w = layer.write.pull(v, token) * seeing
                errors[number] = (w * layer.error[token]).sum(-1)
                mlp_biases[number] = layer.write.constant(v) * sees_mlp
                if layer.transcoder is not None:
                    features[number] = (w @ layer.W_dec) * layer.features[token]
                    mlp_biases[number] = mlp_biases[number] + w @ layer.transcoder.down_proj.bias
                    if layer.transcoder.skip is not None:
                        # A linear path beside the features only moves the direction to where the transcoder reads.
                        back = w @ layer.transcoder.skip.weight
                        mlp_biases[number] = mlp_biases[number] + layer.read.constant(back)
                        pending = layer.read.pull(back, token)
                        if not self.parallel:
                            v, pending = v + pending, None
                            # What looked at the MLP alone now looks at all before it.
                            first = torch.where(sees_mlp, torch.full_like(first, -1), first)
                            sees_attn = (first <= 2 * number) & (2 * number < stop)
            if sees_attn.any():
                w = layer.attn_out_norm.pull(v, token) * sees_attn[:, None]
                mixed = torch.einsum("bm,hdm->bhd", w, layer.W_O)
                heads[number] = torch.einsum("bhd,khd->bhk", mixed, layer.values) * layer.pattern[:, token].transpose(0, 1)
                attn_biases[number] = w @ layer.heads.b_O.float() + layer.attn_out_norm.constant(v) * sees_attn
            if pending is not None:
                v, pending, first = v + pending, None, torch.where(sees_mlp, torch.full_like(first, -1), first)
        embedding = (v * self.embedding[token]).sum(-1) * (first < 0)
        return Direct(features, heads, embedding, errors, mlp_biases, attn_biases)

    def below_feature(
        self, layer: int, feature: Int[Tensor, " batch"], token: Int[Tensor, " batch"], factor: Float[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch d_model"], Float[Tensor, " batch"]]:
        """The directions of the residual stream that features' pre-activations, times a factor, are read along, and their constant parts."""
        one = self.layers[layer]
        assert one.transcoder is not None
        encoder = one.W_enc[feature] * factor[:, None]
        return one.read.pull(encoder, token), factor * one.transcoder.up_proj.bias[feature] + one.read.constant(encoder)

    def below_head(
        self, layer: int, head: Int[Tensor, " batch"], query: Int[Tensor, " batch"], source: Int[Tensor, " batch"],
        vectors: Float[Tensor, "batch d_model"],
    ) -> tuple[Float[Tensor, "batch d_model"], Float[Tensor, " batch"]]:
        """The directions that heads read at their sources for directions ``vectors`` that they write along, and their constant parts."""
        one = self.layers[layer]
        written = torch.einsum("bm,bdm->bd", one.attn_out_norm.pull(vectors, query), one.W_O[head])
        written = written * one.pattern[head, query, source][:, None]
        read = torch.einsum("bd,bmd->bm", written, one.W_V[head])
        return one.attn_in_norm.pull(read, source), (written * one.b_V[head]).sum(-1)

    @torch.no_grad()
    def through(
        self, vectors: Float[Tensor, "batch d_model"], tokens: Sequence[int], spans: Sequence[tuple[int, int]]
    ) -> Through:
        """What every feature, error and token contributes to directions of the residual stream, through all heads on the way.

        Takes batch * token * d_model numbers; the spans' first part must be the embedding.
        """
        assert all(first == -1 for first, _ in spans), "a direction of one sublayer alone is no start of a graph"
        device, n_batch = vectors.device, len(vectors)
        rows, token = torch.arange(n_batch, device=device), torch.tensor(list(tokens), device=device)
        stops = torch.tensor([stop for _, stop in spans], device=device)
        # Nothing flows back from a token to later ones.
        seen = slice(max(tokens) + 1)
        last = max(stop for _, stop in spans)
        g = vectors.new_zeros(n_batch, seen.stop, vectors.shape[1])
        features = vectors.new_zeros(n_batch, len(self.active.layer) + 1)
        errors = vectors.new_zeros(n_batch, self.n_layers, len(self.ids))
        bias = vectors.new_zeros(n_batch)
        for number, layer in reversed(list(enumerate(self.layers))):
            late: Tensor | None = None
            self._put(g, vectors, rows, token, stops == 2 * number + 2)
            if last >= 2 * number + 2:
                w = layer.write.pull(g, seen)
                errors[:, number, seen] = (w * layer.error[seen]).sum(-1)
                bias += layer.write.constant(g).sum(-1)
                if layer.transcoder is not None:
                    self.writers[number].add(w, features)
                    bias += (w @ layer.transcoder.down_proj.bias).sum(-1)
                    if layer.transcoder.skip is not None:
                        back = w @ layer.transcoder.skip.weight
                        bias += layer.read.constant(back).sum(-1)
                        late = layer.read.pull(back, seen)
            if late is not None and not self.parallel:
                g, late = g + late, None
            self._put(g, vectors, rows, token, stops == 2 * number + 1)
            if last >= 2 * number + 1:
                w = layer.attn_out_norm.pull(g, seen)
                bias += (w @ layer.heads.b_O.float()).sum(-1) + layer.attn_out_norm.constant(g).sum(-1)
                mixed = torch.einsum("bqm,hdm->bqhd", w, layer.W_O)
                at_sources = torch.einsum("hqk,bqhd->bkhd", layer.pattern[:, seen, seen], mixed)
                bias += (at_sources * layer.b_V).sum((1, 2, 3))
                g = g + layer.attn_in_norm.pull(torch.einsum("bkhd,hmd->bkm", at_sources, layer.W_V), seen)
            g = g if late is None else g + late
        self._put(g, vectors, rows, token, stops == 0)
        embeddings = vectors.new_zeros(n_batch, len(self.ids))
        embeddings[:, seen] = (g * self.embedding[seen]).sum(-1)
        return Through(features[:, :-1], errors, embeddings, bias)

    @staticmethod
    def _put(g: Tensor, vectors: Tensor, rows: Tensor, token: Tensor, where: Tensor) -> None:
        """Let some directions of a batch begin."""
        g[rows[where], token[where]] += vectors[where]

    def push(
        self, layer: int, change: Float[Tensor, "token d_model"], linear_features: bool = False, attention: bool = False
    ) -> Iterator[tuple[Float[Tensor, "token d_model"], Float[Tensor, "token d_model"]]]:
        """What a change of what ``layer`` writes does to what each MLP's norm reads and each layer returns, from that layer on, all frozen.

        Args:
            change: at the site where the layer's transcoder writes, or else what its MLP puts out; with ``attention``, what that puts out.
            linear_features: let active features follow what they read; else they keep their values.
        """
        changes = Changes(attention={layer: change}) if attention else Changes(mlp={layer: change})
        return pushed(self, changes, "linear" if linear_features else "held")
