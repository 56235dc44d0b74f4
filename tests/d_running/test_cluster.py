import csv
import json
import random
import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from d_running import cluster, grouping
from d_running.cluster import align, cluster_results, nearest_cluster, read_clustering, write_clustering
from d_running.embedding import embedding_settings, load_embedder
from d_running.evaluation import check_comparable, evaluate
from d_running.unit_test import Result
from util.errors import BenchmarkError, UserError

EMBED = load_embedder("builtin", 8)
CAST, LENGTH = "C style cast illegal, use `cast(int)%s`", "cannot implicitly convert expression `%s.length` of type `ulong` to `int`"
BOUNDS = "core.exception.ArrayIndexError@translation.d(%d): index [%d] is out of bounds for array of length %d"
ARRAY, IDENTIFIER = "instead of C-style syntax, use D-style `%s`", "undefined identifier `%s`"


def failure(name, text):
    return Result(f"{name}.d", False, "Compilation", f"translation.d(7): Error: {text}\ntranslation.d(9): Error: more", 0, 0)


RESULTS = [
    failure("a", CAST % "sum"),
    failure("b", ARRAY % "int[] dp"),
    failure("c", CAST % "(a + b)"),
    failure("d", IDENTIFIER % "Integer"),
    failure("e", IDENTIFIER % "Math"),
    failure("f", ARRAY % "long[][] memo"),
    Result("g.d", True, "No", "", 10, 10),
    Result("h.d", False, "Correctness", "9 of 10 tests passed", 9, 10),
    Result("i.d", False, "RuntimeError", BOUNDS % (6, 1, 1), 0, 0),
    Result("j.d", False, "RuntimeError", BOUNDS % (9, 20, 12), 0, 0),
]
GROUPS = ["0", "1", "0", "3", "4", "1", "Success", "Correctness", "2", "2"]  # by size, of equals by the alphabet
AS_THEY_OPEN = ["0", "1", "0", "2", "3", "1", "Success", "Correctness", "4", "4"]


@pytest.mark.parametrize(
    ("template", "one", "other", "alike"),
    [
        (CAST, "sum", "(a + b)", True),
        (LENGTH, "s", "arr", True),
        (ARRAY, "int[] dp", "long[][] memo", True),
        (IDENTIFIER, "Integer", "Math", False),
        ("cannot implicitly convert expression `x` of type `%s` to `int`", "ulong", "double", False),
    ],
)
def test_builtin_embedding_weighs_the_error_more_than_the_sample(template, one, other, alike):
    rows = EMBED([template % one, template % other])
    assert rows.dtype == np.float32 and np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert (rows[0] @ rows[1] > 0.9) == alike


def test_the_quotes_of_the_compiler_do_not_matter():
    ldc = [(CAST % "n"), (IDENTIFIER % "Math")]
    assert np.array_equal(EMBED(ldc), EMBED(["C style cast illegal, use ‘cast(int)n’", "undefined identifier 'Math'"]))


def test_embedders_embed_no_text_twice(monkeypatch):
    seen = []
    monkeypatch.setattr("d_running.embedding._hashed", lambda text, _: seen.append(text) or np.ones(1, np.float32))
    embed = load_embedder("builtin", 8)
    embed(["a", "b", "a"])
    assert embed(["c", "a"]).shape == (2, 1)
    assert seen == ["a", "b", "c"]


WORDS = ["error", ":", "undefined", "identifier", "cast", "illegal", "`", "integer", "math", "more", "##s"]


def save_encoder(folder, max_positions=64, causal=False):
    """A tiny sentence-transformers model with mean pooling, random weights and its own prompt in front of every text."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    (folder / "words.txt").parent.mkdir(parents=True, exist_ok=True)
    (folder / "words.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(0)
    sizes = {"vocab_size": 16, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(**sizes, max_position_embeddings=max_positions, is_decoder=causal, initializer_range=1.0)
    BertModel(config).eval().save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "words.txt"), model_max_length=max_positions).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"))
    model = SentenceTransformer(modules=[transformer, Pooling(32)], prompts={"own": "math math"}, default_prompt_name="own", device="cpu")
    model.save(str(folder / "encoder"))
    return folder / "encoder"


def test_a_sentence_transformer_is_pooled_at_its_first_token_of_that_many_tokens(tmp_path):
    from transformers import AutoModel, AutoTokenizer

    path = save_encoder(tmp_path)
    embed = load_embedder(str(path), 6)
    texts = ["Error: undefined identifier", "Error: cast illegal", "Error: cast illegal `math` more mores"]
    rows = embed(texts)
    assert rows.shape == (3, 32) and rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert np.allclose(rows[1], rows[2], atol=1e-6)  # alike in their first four tokens, `:` being one
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()
    ids = tokenizer(texts[2], return_tensors="pt", truncation=True, max_length=6)["input_ids"]  # as the original does
    assert ids.shape == (1, 6)  # [CLS], four tokens, [SEP]
    with torch.no_grad():
        first = model(ids).last_hidden_state[0, 0].numpy()
    assert np.allclose(rows[2], first / np.linalg.norm(first), atol=1e-5)
    assert embedding_settings(str(path), 6) == {"embedding_model": "encoder", "max_length": 6, "special_tokens": "counted"}
    assert load_embedder(str(save_encoder(tmp_path / "short", 5)), 8)(texts).shape == (3, 32)  # no more than the model can take


def test_an_embedding_model_that_is_missing_or_cannot_serve_is_named(tmp_path):
    with pytest.raises(UserError, match="Cannot load the embedding model .*nowhere.*; give a local path"):
        load_embedder(str(tmp_path / "nowhere"), 8)
    with pytest.raises(UserError, match="reads from left to right only"):
        load_embedder(str(save_encoder(tmp_path, causal=True)), 8)
    with pytest.raises(UserError, match="--max_length must be at least 1"):
        load_embedder("builtin", 0)
    with pytest.raises(UserError, match="--max_length 2 leaves no token of a message beside the 2 special ones"):
        load_embedder(str(save_encoder(tmp_path / "two")), 2)


TEMPLATES = [CAST, LENGTH, ARRAY, IDENTIFIER, "no property `%s` for type `int[]`", "%s"]
failures = st.builds(str.__mod__, st.sampled_from(TEMPLATES), st.sampled_from(["a", "Math", "int[] b", "x.y(1, 2)", "c + d", ""]))


@given(st.lists(failures, max_size=12), st.randoms(use_true_random=False))
def test_clusters_do_not_depend_on_the_order_of_results(texts, chance):
    results = RESULTS + [failure(f"k{index:02}", text) for index, text in enumerate(texts)]
    clustering = cluster_results(results, EMBED, grouping="original")
    shuffled = cluster_results(chance.sample(results, len(results)), EMBED, grouping="original")
    assert shuffled == clustering
    assert [result.name for result in clustering.results] == sorted(result.name for result in results)
    assert (clustering.results[: len(RESULTS)], clustering.groups[: len(RESULTS)]) == (RESULTS, AS_THEY_OPEN)
    assert sum(len(own) for own in clustering.members.values()) == len(results)
    other = cluster_results([replace(result, path=f"z{result.path}") for result in results[::2]], EMBED)
    assert align(clustering, other, EMBED) == align(shuffled, other, EMBED)


def naive_leader_clusters(rows, which, threshold):
    """KECode's leader clustering, message by message."""
    labels, opened = [None] * len(which), 0
    for i in range(len(which)):
        if labels[i] is None:
            for j in range(i, len(which)):
                if which[i] == which[j] or np.dot(rows[which[i]].astype(float), rows[which[j]].astype(float)) > threshold:
                    labels[j] = opened
            opened += 1
    return labels


@given(st.data())
def test_leader_clustering_agrees_with_the_naive_reading(data):
    texts = data.draw(st.integers(1, 25))
    which = [*range(texts), *data.draw(st.lists(st.integers(0, texts - 1), max_size=40))]
    which = data.draw(st.permutations(which))
    which = [list(dict.fromkeys(which)).index(text) for text in which]  # numbered as they come
    rows = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(texts, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    threshold = data.draw(st.floats(-1, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "_TEXTS_AT_A_TIME", data.draw(st.integers(1, 8)))
        labels = grouping._leader_clusters(rows, np.array(which), threshold)
    assert labels.tolist() == naive_leader_clusters(rows, which, threshold)


def test_a_cosine_at_the_threshold_does_not_depend_on_its_neighbours():
    rows = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for pair in range(0, 300, 7):
        exact = float((rows[0].astype(float) * rows[pair].astype(float)).sum())
        for threshold in (exact, np.nextafter(exact, -1)):
            alone, together = grouping.near(rows[:1], rows[pair : pair + 1], threshold), grouping.near(rows, rows, threshold)
            assert alone[0, 0] == together[0, pair] == (threshold < exact)


def naive_align(after, before, threshold):
    """The rule of `align`, message by message."""
    old = {result.name: (brief, group) for result, brief, group in zip(before.results, before.briefs, before.groups)}
    olds = [name for name in before.names if name.isdigit()]
    groups, free = [], {}
    for result, brief, group in zip(after.results, after.briefs, after.groups):
        having = [(-before.messages(name)[brief], int(name)) for name in olds if brief in before.messages(name)]
        cosines = [(-round(float(EMBED([brief])[0].astype(float) @ EMBED([text])[0].astype(float)), 9), int(name))
                   for name in olds for text in before.messages(name)]
        if not group.isdigit():
            groups.append(group)
        elif old.get(result.name, ("", ""))[0] == brief and old[result.name][1].isdigit():
            groups.append(old[result.name][1])
        elif having:
            groups.append(str(min(having)[1]))
        elif cosines and -min(cosines)[0] > threshold:
            groups.append(str(min(cosines)[1]))
        else:
            groups.append(f"new {group}")
            free[int(group)] = None
    first = max(map(int, olds), default=-1) + 1
    names = {f"new {group}": str(first + number) for number, group in enumerate(sorted(free))}
    return [names.get(group, group) for group in groups]


@given(st.lists(failures, max_size=15), st.lists(failures, max_size=15), st.integers(1, 200), st.sampled_from([0.3, 0.7, 0.95]), st.data())
@settings(max_examples=50)
def test_alignment_agrees_with_the_naive_reading(old, new, cosines_at_a_time, threshold, data):
    rules = st.sampled_from(["order_free", "original"])
    before, after = (
        cluster_results([failure(f"{i:02}", text) for i, text in enumerate(texts)], EMBED, grouping=data.draw(rules)) for texts in (old, new)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "_COSINES_AT_A_TIME", cosines_at_a_time)
        assert align(after, before, EMBED, threshold).groups == naive_align(after, before, threshold)


def naive_order_free_clusters(messages, threshold):
    """The rule of `grouping.order_free_clusters`, message by message."""
    texts = sorted(set(messages), key=lambda text: (-messages.count(text), text))
    rows = dict(zip(texts, EMBED(texts).astype(float)))
    leaders = []
    for text in texts:
        if not any(rows[text] @ rows[leader] > threshold for leader in leaders):
            leaders.append(text)
    follows = {text: max(leaders, key=lambda leader: (round(rows[text] @ rows[leader], 6), -leaders.index(leader))) for text in texts}
    sizes = Counter(follows[message] for message in messages)
    order = sorted(sizes, key=lambda leader: (-sizes[leader], leaders.index(leader)))
    return [order.index(follows[message]) for message in messages]


@given(st.lists(failures, min_size=1, max_size=25), st.sampled_from([0.3, 0.7, 0.95]), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_messages_does_not_matter(messages, threshold, chance):
    clusters = grouping.order_free_clusters(messages, EMBED, threshold)
    assert clusters == naive_order_free_clusters(messages, threshold)
    order = chance.sample(range(len(messages)), len(messages))
    assert grouping.order_free_clusters([messages[i] for i in order], EMBED, threshold) == [clusters[i] for i in order]


# Messages whose likeness is a chain, not classes: the original's leaders then depend on who comes first.
CHAIN = ["undefined identifier `%s`, did you mean variable `%s`?", "undefined identifier `%s`, did you mean function `%s`?",
         "undefined identifier `%s` in module `%s`", "undefined identifier `%s` here `%s`", "no identifier `%s` here, `%s`"]  # fmt: skip


def shuffled_metrics(rule, count=200):
    """The metrics of one edit under ``count`` orders of the samples, and the clusters that each order leads to."""
    chance = random.Random(0)
    texts = [chance.choice(CHAIN) % (chance.choice("abcdefgh"), chance.choice(["x", "yy", "Integer", "sumOf"])) for _ in range(60)]
    changed = [text if chance.random() < 0.5 else chance.choice([None, "C style cast illegal", chance.choice(CHAIN) % ("q", "z")]) for text in texts]
    metrics, partitions = set(), set()
    for _ in range(count):
        names = chance.sample(range(len(texts)), len(texts))
        old, new = (
            [failure(f"{n:03}", t) if t else Result(f"{n:03}.d", True, "No", "", 9, 9) for n, t in zip(names, which)] for which in (texts, changed)
        )
        before, after = (cluster_results(which, EMBED, made_with={"compiler": "LDC 1"}, grouping=rule) for which in (old, new))
        after = align(after, before, EMBED)
        target = before.groups[names[0]]
        metrics.add(evaluate(before, after, [target]))
        for one in (before, after):
            partitions.add(tuple(one.groups[name] for name in names))
    return metrics, partitions


def test_metrics_do_not_depend_on_the_order_of_the_samples():
    metrics, partitions = shuffled_metrics("order_free")
    assert (len(metrics), len(partitions)) == (1, 2)
    assert len(shuffled_metrics("original", 20)[0]) > 1


def test_every_text_is_embedded_once_and_memory_stays_small():
    """5,000 failures in 1,000 clusters, and their alignment."""
    asked = []

    def embed(texts):
        asked.extend(texts)
        rows = np.zeros((len(texts), 64), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:] = np.random.default_rng(int(text.split()[-1]) // 3).choice([-1, 1], 64) / 8  # three texts alike
        return rows

    results = [failure(f"{i:04}", f"number {i * 7 % 3000}") for i in range(5000)]
    tracemalloc.start()
    clustering = cluster_results(results, embed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(clustering.names) == 1000
    assert max(Counter(asked).values()) == 1 and len(asked) == 3000
    assert peak < 100e6  # a matrix of all pairs of failures has 200 MB
    assert align(clustering, clustering, embed).groups == clustering.groups


def test_a_threshold_that_is_no_cosine_is_refused():
    for threshold in (1.5, float("nan")):
        with pytest.raises(UserError, match="is no cosine"):
            cluster_results(RESULTS, EMBED, threshold)
    assert len(cluster_results(RESULTS, EMBED, 1).names) == 10  # equal messages only


descriptions = st.text(st.characters(codec="utf-8") | st.sampled_from('\r\n\t",;\0\ufeff\udcff'), max_size=40)


@given(st.lists(descriptions, min_size=1, max_size=4))
def test_a_clustering_is_read_as_it_was_written(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("clustering")
    results = RESULTS + [replace(failure(f"z{i}", ""), description=text) for i, text in enumerate(texts)]
    clustering = cluster_results(results, EMBED, made_with={"compiler": "LDC 1", "threshold": 0.9, "grouping": "order_free"})
    write_clustering(clustering, folder)
    for path in (folder, folder / "cluster.json", folder / "cluster.csv"):
        assert read_clustering(path) == clustering


def test_a_clustering_of_another_tool_is_read(tmp_path):
    table = "group,path,error,success,description,more\n1,/work/b.d,Compilation,FALSE,Error: x,?\nSuccess,a.d,No,1,,?\n"
    (tmp_path / "cluster.csv").write_text(table, encoding="utf-8-sig")
    clustering = read_clustering(tmp_path)
    assert (clustering.groups, [result.name for result in clustering.results]) == (["Success", "1"], ["a", "b"])
    assert clustering.results[1] == Result("b.d", False, "Compilation", "Error: x", 0, 0)
    assert clustering.made_with == {}


PUBLISHED = [
    # description,error,success,path,brief_description,group,correct,total: counts and groups are numbers, messages Python's repr of them.
    [r"b'translation.d(7): Error: C style cast illegal, use `cast(int)sum`\ntranslation.d(9): Error: more\n'", "Compilation", "False",
     "/workspace/A.d", "Error: C style cast illegal, use `cast(int)sum`", "0.0", "", ""],
    [r"translation.d(3): Error: undefined identifier `Integer`\n  more\n", "Compilation", "False", "B.d", "", "1", "nan", "0.0"],
    ["", "No", "True", "/workspace/C.d", "nan", "Success", "10.0", "10.0"],
    ["#Results:9, 10", "Correctness", "False", "D.d", "nan", "Correctness", "9.0", "10.0"],
]  # fmt: skip


def test_the_published_clustering_is_read(tmp_path):
    with (tmp_path / "cluster.csv").open("w", newline="") as file:
        columns = ["description", "error", "success", "path", "brief_description", "group", "correct", "total"]
        csv.writer(file).writerows([columns, *PUBLISHED])
    before = read_clustering(tmp_path)
    assert before.groups == ["0", "1", "Success", "Correctness"]
    assert [(result.correct, result.total) for result in before.results] == [(0, 0), (0, 0), (10, 10), (9, 10)]
    assert before.briefs[:2] == ["Error: C style cast illegal, use `cast(int)sum`", "Error: undefined identifier `Integer`"]
    assert before.results[0].description == "translation.d(7): Error: C style cast illegal, use `cast(int)sum`\ntranslation.d(9): Error: more\n"
    for number, brief in enumerate(before.briefs[:2]):
        assert nearest_cluster(before, brief, EMBED) == str(number)
    same = [failure("A", CAST % "sum"), failure("B", IDENTIFIER % "Integer"), *before.results[2:]]
    after = align(cluster_results(same, EMBED), before, EMBED)
    assert after.groups == before.groups and evaluate(before, after, ["0"]).change_of_target_cluster == 1
    write_clustering(before, tmp_path / "copy")
    assert read_clustering(tmp_path / "copy") == before


def test_a_clustering_of_the_former_rules_says_so(tmp_path):
    write_clustering(cluster_results(RESULTS, EMBED, made_with={"threshold": 0.9, "embedding_model": "some/model", "max_length": 8}), tmp_path)
    before = read_clustering(tmp_path)
    now = {"threshold": 0.9, "grouping": "order_free", **embedding_settings("some/model", 8)}
    with pytest.raises(BenchmarkError, match="grouping original before and order_free after, special_tokens not counted before and counted after"):
        check_comparable(before.made_with, now)
    assert "special_tokens" not in embedding_settings("builtin", 8)


DAMAGE = {
    "missing column": ("path,group\na.d,0\n", "line 2 has no description, error, success"),
    "cut off": ("description,error,success,path,group\n,No,True,a.d,Success\n,No,Tr", "line 3 has no path, group"),
    "cut off in a text": ('description,error,success,path,group\n"Error: ', "unexpected end of data"),
    "no boolean": ("description,error,success,path,group\n,No,perhaps,a.d,Success\n", "line 2 has the success 'perhaps'"),
    "no kind of error": ("description,error,success,path,group\n,Wrong,False,a.d,0\n", "the error 'Wrong'"),
    "two opinions": ("description,error,success,path,group\n,No,True,a.d,0\n", "line 2 is in the group '0', and its success is True"),
    "no number": ("description,error,success,path,group,correct\n,No,True,a.d,Success,x\n", "line 2 has the correct 'x', which is no count"),
    "a sample twice": ("description,error,success,path,group\n,No,True,a.d,Success\n,No,True,x/a.d,Success\n", "names a sample twice"),
    "empty": ("", "is empty"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_clustering_is_one_sentence(tmp_path, damage):
    text, message = DAMAGE[damage]
    (tmp_path / "cluster.csv").write_text(text)
    with pytest.raises(BenchmarkError, match=message):
        read_clustering(tmp_path)


def test_a_missing_clustering_and_a_damaged_info_are_one_sentence(tmp_path):
    with pytest.raises(BenchmarkError, match="Cannot read the clustering"):
        read_clustering(tmp_path / "none")
    write_clustering(cluster_results(RESULTS, EMBED), tmp_path)
    for text, message in (("[]", "does not say how"), ('{"compi', "is not valid JSON")):
        (tmp_path / "cluster_info.json").write_text(text)
        with pytest.raises(UserError, match=message):
            read_clustering(tmp_path)


def test_new_clusters_take_the_old_names():
    before = cluster_results(RESULTS, EMBED)
    assert before.groups == GROUPS
    assert align(before, before, EMBED) == replace(before, made_with={"names_from": before.digest})
    changed = [
        failure("a", LENGTH % "s"),  # new words: the next free number
        failure("b", IDENTIFIER % "Math"),  # the words of another sample before
        failure("c", CAST % "x"),
        *RESULTS[3:],
    ]
    after = align(cluster_results(changed, EMBED), before, EMBED)
    assert after.groups == ["5", "4", "0", "3", "4", "1", "Success", "Correctness", "2", "2"]


def test_nearest_cluster_of_a_message():
    before = cluster_results(RESULTS, EMBED)
    assert nearest_cluster(before, "Error: " + CAST % "y", EMBED) == "0"
    assert nearest_cluster(before, "Error: something else entirely", EMBED) is None


def test_command_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "results.json").write_text(json.dumps([vars(result) for result in RESULTS]))
    (tmp_path / "results_info.json").write_text('{"compiler": "LDC 1", "front_end": "2"}')

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["cluster", *map(str, arguments)])
        cluster.main()
        return capsys.readouterr().out.splitlines()

    lines = run(tmp_path, "--output_path", tmp_path / "one")
    assert lines[-1].split() == ["all", "10"] and sum(int(line.split()[1]) for line in lines[:-1]) == 10
    made_with = json.loads((tmp_path / "one/cluster_info.json").read_text())
    assert made_with == {"compiler": "LDC 1 (front end 2)", "embedding_model": "builtin", "max_length": 8, "threshold": 0.9, "grouping": "order_free"}
    run(tmp_path / "results.json", "--output_path", tmp_path / "two", "--before", tmp_path / "one")
    assert (tmp_path / "one/cluster.csv").read_bytes() == (tmp_path / "two/cluster.csv").read_bytes()
    with pytest.raises(UserError, match="--threshold"):
        run(tmp_path, "--output_path", tmp_path / "three", "--threshold", "much")
