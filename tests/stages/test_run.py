"""A run from its configuration to its metrics: on a random model, with the judge replaced, so that no D compiler is needed."""

import csv
import dataclasses
import hashlib
import json

import pytest
import torch

from d_running.cluster import Clustering, read_clustering, write_clustering
from d_running.embedding import load_embedder
from d_running.evaluation import evaluate
from d_running.harness import render_test_program
from d_running.unit_test import Result
from huggingface import drafts
from huggingface.digest import model_digest
from huggingface.transcoder import save_transcoder
from stages import run as stage
from stages.config import changed, run_config
from stages.prepare import target_clusters
from stages.run import run_stage
from tcpe import tcpe_pre
from tcpe.request import EditRequest
from tcpe.saved import updates_in
from tcpe.update import RankOneUpdate
from tests.tiny import tiny_model, tiny_tokenizer, tiny_transcoder
from util.errors import UserError

NAMES = ["ABS", "MAX", "SUM"]
TEMPLATE = "{% for m in messages %}{{ bos_token }}[INST] {{ m['content'] }} [/INST] {% endfor %}"


@pytest.fixture
def model_and_tokenizer():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return tiny_model(), tokenizer


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A TCPE_pre run on three functions."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    (tmp_path / "java").mkdir()
    (tmp_path / "d").mkdir()
    for name in NAMES:
        (tmp_path / f"java/{name}.java").write_text(f"class {name} {{ static int f_gold(int n) {{ return n; }}\n//TOFILL\n}}")
        (tmp_path / f"d/{name}.d").write_text(render_test_program("int", ["int"], [[1]], [1]))
    save_transcoder(tiny_transcoder(), tmp_path / "transcoder")
    (tmp_path / "texts.txt").write_text("int x = 3;\n\ndouble z = sqrt(2);\n\nreturn dp.length;")
    with open(tmp_path / "requests.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Error", "brief_description", "prompt", "subject", "target_new", "layer_2_TC"])
        rows.writerow(["3", "Error: x", "int f() {{ return{} n; }}", " (int)", " cast(int)", "0"])
        rows.writerow(["4", "Error: x", "int dp{} = 3;", "[]", " int[] dp", "0"])
    return run_config(
        {
            "MODEL_NAME": "given",
            "layer_num": 2,
            "TC_layer_file": str(tmp_path / "transcoder"),
            "output_file_path": str(tmp_path / "pre"),
            "alg_name": "TCPE_pre",
            "i": 0,
            "edit_sequence_path": str(tmp_path / "requests.csv"),
            "mom2_dataset": str(tmp_path / "texts.txt"),
            "epsilon": 0.1,
            "skip_site_check": True,
            "v_num_grad_steps": 5,
            "save_k_v_upd": True,
            "container_workspace": str(tmp_path / "work"),
            "originals_path": str(tmp_path / "java"),
            "d_params_path": str(tmp_path / "d"),
            "translation_batch_size": 2,
            "preKE_cluster_result": str(tmp_path / "before"),
        }
    )


def as_no_ke(config):
    return changed(config, alg_name="noKE", output_file_path=f"{config.output}_noke")


@pytest.fixture(autouse=True)
def judge(monkeypatch):
    """A judge that finds every second translation right."""

    def judge(translations, samples, output, config, before=None, target_clusters=(), translator=None, embed=None):
        assert sorted(path.name for path in translations.iterdir()) == [f"{name}.d" for name in NAMES]
        results = [Result(f"{name}.d", name != "MAX", "No", "Error: x", 1, 1) for name in NAMES]
        clustering = Clustering(results, ["Success", "0", "Success"], {"compiler": "one"})
        return clustering, evaluate(before or clustering, clustering, target_clusters)

    monkeypatch.setattr(stage, "judge", judge)
    monkeypatch.setattr(drafts, "greedy_generate", lambda model, tokenizer, prompts, **_: ["int solution() {}"] * len(prompts))


def test_the_three_stages_follow_each_other_and_leave_the_model(config, model_and_tokenizer, tmp_path):
    digest = model_digest(model_and_tokenizer[0])
    before = run_stage(as_no_ke(config), model_and_tokenizer)
    assert before["columns"] == 0 and (tmp_path / "before/cluster.json").is_file()
    whole = run_stage(config, model_and_tokenizer)
    assert whole["columns"] == 96 and whole["targets"] == 1
    for row in (0, 1):
        run_stage(changed(config, i=row, output_file_path=str(tmp_path / f"pre{row}")), model_and_tokenizer)
    main = changed(config, alg_name="TCPE", lim=0.3, more_edits=["1:0.4"], output_file_path=str(tmp_path / "main"))
    active = run_stage(main, model_and_tokenizer)
    assert 0 < active["columns"] == active["active_union"] < 96
    ablation = run_stage(
        changed(main, more_edits=[], abla_exp=True, output_file_path=str(tmp_path / "ablation")), model_and_tokenizer
    )
    key = RankOneUpdate.load(updates_in(tmp_path / "work/updates", "layer_2_TC_row_0_*")[0]).key
    assert ablation["columns"] == 96 - int((key >= 0.3).sum())
    assert model_digest(model_and_tokenizer[0]) == digest
    written = {path.name for path in (tmp_path / "main").iterdir()}
    assert {"run.json", "metrics.json", "metrics.jsonl", "translations"} <= written
    assert json.loads((tmp_path / "main/metrics.json").read_text())["accuracy_of_target_cluster"] == 0


def test_an_interrupted_run_continues_with_the_same_edit(config, model_and_tokenizer, monkeypatch):
    run_stage(as_no_ke(config), model_and_tokenizer)
    calls = []

    def interrupted(model, tokenizer, prompts, **_):
        calls.append(len(prompts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return ["int solution() {}"] * len(prompts)

    monkeypatch.setattr(drafts, "greedy_generate", interrupted)
    digest = model_digest(model_and_tokenizer[0])
    with pytest.raises(KeyboardInterrupt):
        run_stage(config, model_and_tokenizer)
    assert model_digest(model_and_tokenizer[0]) == digest
    monkeypatch.setattr(tcpe_pre, "compute_update", lambda *_, **__: pytest.fail("the update was there"))
    run_stage(config, model_and_tokenizer)
    assert calls == [2, 1, 1]


def test_a_transcoder_that_does_not_fit_is_refused(config, model_and_tokenizer):
    with pytest.raises(UserError, match="of another model, layer or site"):
        run_stage(changed(as_no_ke(config), skip_site_check=False), model_and_tokenizer)
    assert not (config.output.parent / "pre_noke/translations").exists()


def test_skipping_the_site_check_and_naming_sites_stand_in_the_runs_record(config, model_and_tokenizer):
    named = changed(as_no_ke(config), TC_sites=["hook_resid_mid", "mlp_out"])
    assert run_stage(named, model_and_tokenizer)["transcoder_fvu"] > 0
    record = (named.output / "run.json").read_text()
    assert '"skip_site_check": true' in record and '"hook_resid_mid"' in record
    for sites, message in {("mlp_in",): "takes two names", ("mlp_in", "x"): "writes x, which is none of the outputs"}.items():
        with pytest.raises(UserError, match=message):
            run_stage(changed(named, TC_sites=list(sites)), model_and_tokenizer)


def test_a_mistake_leaves_a_finished_run_whole(config, model_and_tokenizer):
    run_stage(as_no_ke(config), model_and_tokenizer)
    run_stage(config, model_and_tokenizer)

    def content():
        return {path: path.read_bytes() for path in sorted(config.output.rglob("*")) if path.is_file()}

    finished = content()
    mistakes = {"mom2_dataset": "./nosuch.jsonl", "embedding_model": "./nosuch", "container_workspace": "/proc/nosuch", "fact_token": "subject_last"}
    for name, value in mistakes.items():
        change = {name: value, "invalidate_cache": True}
        if name == "fact_token":  # its own mistake: the texts of the second moment have changed since
            (config.output.parent / "texts.txt").write_text("int y = 4;")
            change = {}
        with pytest.raises(UserError):
            run_stage(changed(config, **change), model_and_tokenizer)
        assert content() == finished


def test_another_run_in_the_same_folder_is_refused_unless_thrown_away(config, model_and_tokenizer):
    run_stage(as_no_ke(config), model_and_tokenizer)
    run_stage(config, model_and_tokenizer)
    other = changed(config, v_lr=0.2)
    metrics = (config.output / "metrics.json").read_text()
    with pytest.raises(UserError, match="another v_lr"):
        run_stage(other, model_and_tokenizer)
    with pytest.raises(UserError, match="another model"):
        run_stage(config, (tiny_model(seed=9), model_and_tokenizer[1]))
    assert (config.output / "metrics.json").read_text() == metrics
    before = RankOneUpdate.load(config.output / "update")
    run_stage(changed(other, invalidate_cache=True), model_and_tokenizer)
    assert not torch.equal(RankOneUpdate.load(config.output / "update").value_shift, before.value_shift)


def test_mistakes_are_found_before_the_model_is_loaded(config, tmp_path):
    (tmp_path / "file").write_text("")
    mistakes = {
        "clustering": {},
        "out of range": {"i": 7},
        "lacks layer_2_TC_ef3": {"mlp_or_tc": "TC_ef3"},
        "no saved update": {"alg_name": "TCPE"},
        "Cannot write": {"output_file_path": str(tmp_path / "file/run")},
        "d_running.build_kecode": {"originals_path": str(tmp_path / "none")},
    }
    for words, change in mistakes.items():
        if words != "clustering":
            change = {"translate_only": True, **change}
        with pytest.raises(UserError, match=words):
            run_stage(changed(config, **change))


def test_a_before_of_another_model_or_clustering_is_refused_before_the_work(config, model_and_tokenizer, tmp_path):
    run_stage(as_no_ke(config), model_and_tokenizer)
    clustering = read_clustering(tmp_path / "before")
    for made_with, message in (
        ({"model": "other", "model_digest": "x" * 64}, r"model other \(xxxxxxxx\) before and given with .*transcoder \("),
        ({"threshold": 0.5}, "threshold 0.5 before and 0.9 after"),
    ):
        write_clustering(dataclasses.replace(clustering, made_with=made_with), tmp_path / "before")
        with pytest.raises(UserError, match=message):
            run_stage(config, model_and_tokenizer)
        assert not (config.output / "translations").exists()
    run_stage(changed(config, allow_version_change=True), model_and_tokenizer)


def test_no_ke_does_not_overwrite_another_before(config, model_and_tokenizer, tmp_path):
    run_stage(as_no_ke(config), model_and_tokenizer)
    clustering = read_clustering(tmp_path / "before")
    write_clustering(dataclasses.replace(clustering, groups=["Success", "1", "Success"]), tmp_path / "before")
    with pytest.raises(UserError, match="another clustering"):
        run_stage(as_no_ke(config), model_and_tokenizer)
    run_stage(changed(as_no_ke(config), invalidate_cache=True), model_and_tokenizer)
    assert read_clustering(tmp_path / "before") == clustering


def test_an_update_is_found_again_without_the_flag_that_saves_it_and_by_any_name_of_its_kind(config, model_and_tokenizer, tmp_path, caplog):
    requests = tmp_path / "requests.csv"
    requests.write_text(requests.read_text().replace("layer_2_TC", "layer_2_TC_ef3"))
    run_stage(as_no_ke(config), model_and_tokenizer)
    pre = changed(config, save_k_v_upd=False, mlp_or_tc="TC_ef3")
    run_stage(pre, model_and_tokenizer)
    main = changed(pre, alg_name="TCPE", mlp_or_tc=None, lim=-1, output_file_path=str(tmp_path / "main"))
    metrics = run_stage(main, model_and_tokenizer)
    assert metrics["columns"] == 96 and "--lim -1 keeps all 96 columns of the update of the request 3" in caplog.text
    by_folder = changed(main, save_path=str(pre.output), output_file_path=str(tmp_path / "folder"))
    assert run_stage(by_folder, model_and_tokenizer)["columns"] == 96
    with pytest.raises(UserError, match="no saved update of the request 3 for layer 2 in .*nowhere"):
        run_stage(changed(main, save_path=str(tmp_path / "nowhere"), output_file_path=str(tmp_path / "none")), model_and_tokenizer)


def test_two_searches_leave_two_updates_and_the_flags_tell_them_apart(config, model_and_tokenizer, tmp_path):
    run_stage(as_no_ke(config), model_and_tokenizer)
    for rate in (0.1, 0.4):
        run_stage(changed(config, v_lr=rate, output_file_path=str(tmp_path / f"pre_{rate}")), model_and_tokenizer)
    main = changed(config, alg_name="TCPE", lim=0.1, output_file_path=str(tmp_path / "main"))
    with pytest.raises(UserError, match=r"differ in v_lr \(0.[14], 0.[14]\)"):
        run_stage(main, model_and_tokenizer)
    run_stage(changed(main, v_lr=0.4), model_and_tokenizer)
    run = json.loads((tmp_path / "main/run.json").read_text())
    pre = RankOneUpdate.load(tmp_path / "pre_0.4/update")
    digests = [[hashlib.sha256(vector.numpy().tobytes()).hexdigest() for vector in pre.vectors()]]
    assert run["made_from"]["updates"] == hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:16]


def test_every_flag_of_the_search_reaches_it(config, model_and_tokenizer):
    run_stage(as_no_ke(config), model_and_tokenizer)
    flags = {"v_num_grad_steps": 4, "v_lr": 3.0, "clamp_norm_factor": 2, "kl_factor": 0.5, "v_weight_decay": 0.25}
    run_stage(changed(config, **flags), model_and_tokenizer)
    details = RankOneUpdate.load(config.output / "update").details
    assert details["value_settings"] == {
        "learning_rate": 3.0,
        "steps": 4,
        "clamp_norm_factor": 2,
        "kl_factor": 0.5,
        "weight_decay": 0.25,
        "stop_loss": 0.0,
    }
    losses = details["losses"]
    assert len(losses) == 4 and losses[-1]["weight_decay"] > 0.1 and losses[-1]["kl"] > 0.01
    for step in losses:
        assert step["loss"] == pytest.approx(step["nll"] + 0.5 * step["kl"] + 0.25 * step["weight_decay"], rel=1e-4)


def test_the_first_call_s_seconds_are_kept(config, model_and_tokenizer):
    before = as_no_ke(config)
    run_stage(changed(before, translate_only=True), model_and_tokenizer)
    timing = json.loads((before.output / "timing.json").read_text())
    assert timing.keys() == {"load", "translate"}
    run_stage(before, model_and_tokenizer)
    again = json.loads((before.output / "timing.json").read_text())
    assert again.keys() == {"load", "translate", "judge"} and again.items() > timing.items()
    (before.output / "timing.json").write_text(json.dumps(dict.fromkeys(again, 100.0)))
    run_stage(before, model_and_tokenizer)
    assert set(json.loads((before.output / "timing.json").read_text()).values()) == {100.0}
    run_stage(changed(before, invalidate_cache=True), model_and_tokenizer)
    assert max(json.loads((before.output / "timing.json").read_text()).values()) < 100


def test_a_function_longer_than_the_model_s_context_is_refused_before_the_edit(config, model_and_tokenizer, monkeypatch):
    run_stage(as_no_ke(config), model_and_tokenizer)
    monkeypatch.setattr(model_and_tokenizer[0].config, "max_position_embeddings", 30)
    with pytest.raises(UserError, match=r"The prompt of ABS, with the first token of its answer, has \d+ tokens, and this Llama.* at most 30"):
        run_stage(config, model_and_tokenizer)
    assert not (config.output / "run.json").exists()


CAST, MISSING = "Error: C style cast illegal, use `cast(int)x`", "Error: undefined identifier `Integer`"


@pytest.mark.parametrize(
    ("clusters", "description", "outcome"),
    [
        (["0"], CAST, ["0"]),
        ([], MISSING, ["1"]),
        (["0", "1"], MISSING, ["0", "1"]),
        (["Correctness"], "wrong sums", ["Correctness"]),
        (["0"], "", ["0"]),
        (["1"], CAST, f"the cluster 1 is '{MISSING}', and its brief_description .* is like cluster 0; cluster numbers belong to one clustering"),
        (["1"], "Error: no property `length` for type `int`", "is like none; cluster numbers belong to one"),
        ([], "Error: no property `length` for type `int`", "none of messages like"),
        (["7"], CAST, "has the clusters 0, 1, Correctness, and not 7"),
    ],
)
def test_a_cluster_s_number_must_name_what_the_request_describes(config, clusters, description, outcome):
    results = [Result(f"{n}.d", False, "Compilation", text, 0, 0) for n, text in enumerate([CAST, CAST, MISSING])]
    before = Clustering([*results, Result("3.d", False, "Correctness", "2 of 3", 2, 3)], ["0", "0", "1", "Correctness"])
    request = EditRequest("3", description, "int{} x", "s", "t", clusters)
    embed = load_embedder("builtin", 8)
    if isinstance(outcome, list):
        assert target_clusters(config, [request], before, embed) == outcome
    else:
        with pytest.raises(UserError, match=outcome):
            target_clusters(config, [request], before, embed)
