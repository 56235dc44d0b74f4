"""The benchmark's card: what it holds, what its inputs notice, where its oracles differ, and that it can be solved; a page and JSON."""

import html
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from d_running.build_kecode import REPORT_FILE
from d_running.config import UnitTestConfig
from d_running.dataset import Sample, load_samples
from d_running.gold import written_types
from d_running.mutants import MUTANTS_FILE
from d_running.stronger_inputs import NEW_INPUTS_FILE
from d_running.translate import reference_translations, write_translations
from d_running.unit_test import RESULTS_INFO_FILE, Result, run_unit_tests
from util.cli import ArgumentParser
from util.errors import BenchmarkError
from util.files import read_json, write_json, write_text
from util.flags import add_flags

CARD_JSON, CARD_HTML = "card.json", "card.html"
_SHOWN = 12
_COUNTS = ("score", "killed", "survived", "equivalent", "not_compiled")


def make_card(
    samples: Sequence[Sample], results: Sequence[Result], judged_with: Mapping[str, Any], build: Mapping[str, Any], new: Mapping[str, Any],
    mutants: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The card as a JSON object.

    Args:
        results: of the reference's translations.
        judged_with: what results_info.json says.
        build: the builder's report.json; empty if there is none, as for the published set.
        new: the builder's new_inputs.json; empty without ``--inputs strong``.
        mutants: mutants.json; empty if mutants were not judged.
    """
    types = [written_types(sample.java) for sample in samples]
    totals = [result.total for result in results if result.total]
    lines = [len(sample.java.splitlines()) for sample in samples]
    return {
        "samples": {
            "count": len(samples),
            "by_return_type": _counted(return_type for return_type, _ in types),
            "by_parameters": _counted(_parameters(param_types) for _, param_types in types),
            "with_arguments_compared": build.get("samples_with_arguments", 0),
            "lines_of_java": _spread(lines),
        },
        "inputs": {
            "count": sum(totals),
            "a_sample": _spread(totals),
            "new": sum(len(sample["new"]) for sample in new.get("samples", [])),
            "samples_with_new": sum(bool(sample["new"]) for sample in new.get("samples", [])),
        },
        "mutation": _mutation(new, mutants),
        "oracle": _oracle(build),
        "solvability": {
            "solver": "the reference",
            "solved": sum(result.success for result in results),
            "not_solved": [
                {"id": result.name, "error": result.error, "description": result.description.partition("\n")[0]}
                for result in results if not result.success
            ],
            **{key: judged_with[key] for key in ("compiler", "front_end", "sandbox")},
        },
    }  # fmt: skip


def _parameters(types: Sequence[str]) -> str:
    """What kinds of parameters there are, without their order and number."""
    kinds = set(map(_kind, types))
    return " and ".join(kind for kind in ("matrix", "array", "text", "number", "other") if kind in kinds) or "unknown"


def _kind(kind: str) -> str:
    if kind.endswith("[][]"):
        return "matrix"
    if kind.endswith("[]"):
        return "array"
    if kind in ("String", "char"):
        return "text"
    return "number" if kind in ("byte", "short", "int", "long", "float", "double") else "other"


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _spread(values: Sequence[int]) -> dict[str, float]:
    return {"least": min(values, default=0), "median": statistics.median(values or [0]), "most": max(values, default=0)}


def _mutation(new: Mapping[str, Any], mutants: Mapping[str, Any]) -> dict[str, Any]:
    """The scores that are known: of the inputs as they are, and of the original ones alone."""
    scores = {name.removeprefix("mutants_"): new[name] for name in ("mutants_original", "mutants_strong") if name in new}
    if mutants:
        scores["measured"] = {key: mutants[key] for key in _COUNTS}
        worst = sorted(mutants["samples"], key=lambda sample: (-sample["survived"], sample["id"]))
        scores["kinds"] = {kind: {key: counts[key] for key in _COUNTS} for kind, counts in mutants["kinds"].items()}
        scores["samples_with_most_survivors"] = [
            {"id": sample["id"], "survived": sample["survived"], "for": sample["survivors"][0]["before"], "such_as": sample["survivors"][0]["after"]}
            for sample in worst[:_SHOWN] if sample["survived"]
        ]  # fmt: skip
    return scores


def _oracle(build: Mapping[str, Any]) -> dict[str, Any]:
    if not build:
        return {}
    names = (
        "oracle", "reals", "java", "python", "samples_given", "samples_kept", "samples_left_out", "agree", "disagree", "not_compared",
        "disagree_by_wrap_around_alone", "disagree_by_lost_fraction_alone", "right_translations_failing_under_python",
    )  # fmt: skip
    disagreements = [
        {"id": sample["id"], "inputs": len(sample["disagreements"]), "of": sample["inputs"], **sample["disagreements"][0]}
        for sample in build["samples"] if sample["disagreements"]
    ]  # fmt: skip
    left_out = _counted(re.sub(r"^its parameter \w+", "a parameter", sample["reason"]) for sample in build["samples"] if not sample["kept"])
    return {name: build[name] for name in names} | {"left_out": left_out, "disagreements": disagreements}


def card_page(card: Mapping[str, Any], title: str) -> str:
    """The card as one page of HTML, which needs no other file."""
    samples, inputs, solved = card["samples"], card["inputs"], card["solvability"]
    mutation, oracle = card["mutation"], card["oracle"]
    scores = [(name, mutation[name]) for name in ("measured", "strong", "original") if name in mutation]
    tiles = [
        (f"{samples['count']}", "samples"),
        (f"{inputs['count']}", f"inputs, {inputs['new']} of them new" if inputs["new"] else "inputs"),
        (_percent(scores[0][1]["score"]) if scores else "–", "of mutants killed" if scores else "mutants not judged"),
        (f"{oracle['disagree']}" if oracle else "–", "samples on which Java and Python differ"),
        (f"{solved['solved']}", f"of {samples['count']} solved by the reference"),
    ]
    parts = [f"<h1>{_text(title)}</h1>", '<div class="tiles">']
    parts += [f"<div><b>{_text(value)}</b><span>{_text(what)}</span></div>" for value, what in tiles]
    parts += ["</div>", '<div class="two"><section>', "<h2>Samples by type of the result</h2>", _bars(samples["by_return_type"]), "</section>"]
    parts += ["<section><h2>Samples by parameters</h2>", _bars(samples["by_parameters"]), "</section></div>"]
    a_sample, lines = inputs["a_sample"], samples["lines_of_java"]
    parts.append(
        f"<p>Inputs a sample: {a_sample['least']} to {a_sample['most']}, median {a_sample['median']:g}. "
        f"Lines of Java: {lines['least']} to {lines['most']}, median {lines['median']:g}."
    )
    if inputs["new"]:
        parts[-1] += f" {inputs['samples_with_new']} samples have generated inputs, with Java's own results."
    if samples["with_arguments_compared"]:
        parts[-1] += f" Arguments are compared after the call too in {samples['with_arguments_compared']} samples."
    parts[-1] += "</p>"
    parts += ["<h2>What the inputs notice</h2>", *_mutation_parts(mutation, scores)]
    parts += ["<h2>Whose results are expected</h2>", *_oracle_parts(oracle)]
    parts += [
        "<h2>Whether it can be solved</h2>",
        f"<p>{solved['solved']} of {samples['count']} samples are solved by {_text(solved['solver'])}, judged with {_text(solved['compiler'])} "
        f"(front end {_text(solved['front_end'])}), contained by {_text(solved['sandbox'])}.</p>",
    ]
    if solved["not_solved"]:
        parts.append(_table(["not solved", "error", "message"], [(one["id"], one["error"], one["description"]) for one in solved["not_solved"]]))
    return f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{_text(title)}</title>\n{_STYLE}\n' + "\n".join(parts) + "\n</html>\n"


def _mutation_parts(mutation: Mapping[str, Any], scores: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    if not scores:
        return [f"<p>Mutants were not judged: run <code>python -m d_running.mutants</code> and name its {MUTANTS_FILE} with --mutants.</p>"]
    words = {"measured": "inputs as they are", "strong": "with new inputs", "original": "original inputs alone"}
    head = ["", "killed of those that count", "killed", "survived", "mean the same", "do not compile"]
    rows = [(words[name], *_row(counts)) for name, counts in scores]
    parts = [
        "<p>A mutant is a right translation with one small mistake. Those that do not compile, or that no generated input told from the right "
        "function, do not count.</p>",
        _table(head, rows),
    ]
    if kinds := mutation.get("kinds"):
        parts.append(_table(["kind of mistake", *head[1:]], [(kind, *_row(counts)) for kind, counts in kinds.items()]))
    if worst := mutation.get("samples_with_most_survivors"):
        rows = [(one["id"], one["survived"], one["such_as"], one["for"]) for one in worst]
        parts.append(_table(["samples with most survivors", "survivors", "such as", "for"], rows))
    return parts


def _row(counts: Mapping[str, Any]) -> tuple[Any, ...]:
    return (_percent(counts["score"]), *(counts[key] for key in _COUNTS[1:]))


def _oracle_parts(oracle: Mapping[str, Any]) -> list[str]:
    if not oracle:
        return ["<p>This set was not built here, so it is not known whose results it expects, or where Java and Python differ.</p>"]
    parts = [
        f"<p>{_text(oracle['oracle'].capitalize())}'s own results, reals: {_text(oracle['reals'])} ({_text(oracle['java'])}, Python "
        f"{_text(oracle['python'])}). Of {oracle['samples_given']} samples {oracle['samples_kept']} are kept. Java and Python agree on "
        f"{oracle['agree']}, differ on {oracle['disagree']} ({oracle['disagree_by_wrap_around_alone']} by wrap-around alone, "
        f"{oracle['disagree_by_lost_fraction_alone']} by a lost fraction alone), not compared: {oracle['not_compared']}. Against Python's "
        f"results a right translation would fail on {oracle['right_translations_failing_under_python']}.</p>"
    ]
    if oracle["left_out"]:
        parts.append(_table(["left out because", "samples"], list(oracle["left_out"].items())))
    rows = [(one["id"], f"{one['inputs']} of {one['of']}", one["arguments"], one["java"], one["python"]) for one in oracle["disagreements"]]
    if rows:
        parts.append(f"<details><summary>The {len(rows)} samples on which they differ</summary>")
        parts += [_table(["sample", "inputs", "first such input", "Java", "Python"], rows), "</details>"]
    return parts


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _text(value: Any) -> str:
    text = str(value)
    return html.escape(text if len(text) <= 110 else f"{text[:107]}…")


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def cell(value: Any) -> str:
        numeric = isinstance(value, int) or str(value).endswith(" %")
        return f"<td{' class=n' if numeric else ''}>{_text(value)}</td>"

    lines = [f"<tr>{''.join(map(cell, row))}</tr>" for row in rows]
    return f"<table><tr>{''.join(f'<th>{_text(word)}</th>' for word in head)}</tr>\n" + "\n".join(lines) + "</table>"


def _bars(counts: Mapping[str, int]) -> str:
    most = max(counts.values(), default=1)
    return '<div class="bars">' + "".join(
        f'<span>{_text(name)}</span><span><i style="width:{72 * count / most:.1f}%"></i>{count}</span>' for name, count in counts.items()
    ) + "</div>"  # fmt: skip


_STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2630; max-width: 1080px; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; margin-bottom: 1rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
.tiles { display: grid; grid-template-columns: repeat(5, 1fr); gap: .8rem; }
.tiles div { background: #f1f4f7; border-radius: 8px; padding: .8rem 1rem; } .tiles b { display: block; font-size: 1.6rem; }
.tiles span { color: #55616e; font-size: .85rem; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 2rem; }
.bars { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .8rem; align-items: center; }
.bars i { display: inline-block; height: .8rem; background: #2f6f9f; border-radius: 2px; margin-right: .5rem; vertical-align: -1px; }
table { border-collapse: collapse; margin: .6rem 0 1rem; font-size: .9rem; width: 100%; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid #cfd8e0; } td { border-bottom: 1px solid #e6ebf0; overflow-wrap: anywhere; }
th, td { padding: .25rem .8rem .25rem 0; vertical-align: top; } td.n { font-variant-numeric: tabular-nums; }
summary { cursor: pointer; color: #2f6f9f; }
</style>"""


def main() -> None:
    """Command line: ``python -m d_running.report --originals_path KECODE/kecode.csv --output_path OUT``."""
    parser = ArgumentParser(prog="python -m d_running.report", description=__doc__)
    parser.add_argument("--originals_path", type=Path, required=True, help="folder of ID.java files, or a kecode.csv")
    parser.add_argument("--d_params_path", type=Path, help="folder of ID.d test programs; not needed with a kecode.csv")
    parser.add_argument("--mutants", type=Path, help=f"the {MUTANTS_FILE} of python -m d_running.mutants, or the folder that holds it")
    parser.add_argument("--title", default="KECode", help="heading of the page (%(default)s)")
    parser.add_argument("--output_path", type=Path, required=True, help=f"folder for {CARD_HTML}, {CARD_JSON} and the reference's results")
    add_flags(parser, UnitTestConfig)
    given = vars(parser.parse_args())
    originals, d_params, mutants, title, output = (given.pop(name) for name in ("originals_path", "d_params_path", "mutants", "title", "output_path"))
    config = UnitTestConfig(**given)
    samples = load_samples(originals, d_params, config.language_pair)
    folder = originals.parent
    build, new = (_beside(folder / name) for name in (REPORT_FILE, NEW_INPUTS_FILE))
    judged = _read_mutants(mutants) if mutants else {}
    translations = output / "translations"
    write_translations(reference_translations(samples, pair=config.language_pair), translations, overwrite=True, pair=config.language_pair)
    results = run_unit_tests(translations, samples, output, config)
    card = make_card(samples, results, read_json(output / RESULTS_INFO_FILE, "how it was judged"), build, new, judged)
    write_json(output / CARD_JSON, card)
    write_text(output / CARD_HTML, card_page(card, title))
    sys.stdout.write(f"{output / CARD_HTML}\n{output / CARD_JSON}\n")


def _beside(path: Path) -> dict[str, Any]:
    """What the builder wrote beside the samples; nothing if they were not built here."""
    return read_json(path, "what the builder wrote") if path.exists() else {}


def _read_mutants(path: Path) -> dict[str, Any]:
    """A mutants.json.

    Raises:
        BenchmarkError: if it is none.
    """
    path = path / MUTANTS_FILE if path.is_dir() else path
    values = read_json(path, "the judged mutants")
    if not isinstance(values, dict) or not {"kinds", "samples", *_COUNTS} <= values.keys():
        raise BenchmarkError(f"{path} holds no judged mutants; make it with python -m d_running.mutants.")
    return values


if __name__ == "__main__":
    from util.cli import run_main

    run_main(main)
