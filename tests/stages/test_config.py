"""Flags are the fields of the configuration, and impossible ones are refused by name."""

import re
import subprocess
import sys
import time

import pytest

from stages.config import RunConfig, add_run_flags, run_config
from util.cli import ArgumentParser
from util.errors import UserError
from util.flags import flags_of

GIVEN = [
    *("--MODEL_NAME", "m", "--layer_num", "4", "--output_file_path", "out", "--alg_name", "TCPE", "--i", "0"),
    *("--translation_batch_size", "8", "--preKE_cluster_result", "b", "--container_workspace", "w"),
]


def parse(*more):
    parser = ArgumentParser()
    add_run_flags(parser)
    return run_config(vars(parser.parse_args([*GIVEN, *more])))


def test_flags_become_a_configuration():
    config = parse("--lim", "0.3", "--abla_exp", "--context_template_length_params", "[[5, 2]]", "--more_edits", "1", "2:0.5:1.2")
    assert (config.edit.lim, config.edit.abla_exp, config.edit.i, config.edit.clamp_norm_factor) == (0.3, True, 0, 4)
    assert config.edits == [(0, 0.3, 1), (1, 0.3, 1), (2, 0.5, 1.2)]
    config = parse("--lim", "20%", "--more_edits", "1:top:16", "2:top:8:1.5", "3:5.0%:2", "4::3")
    assert config.edits == [(0, "20%", 1), (1, "top:16", 1), (2, "top:8", 1.5), (3, "5%", 2), (4, "20%", 3)]
    assert config.kind == "MLP" and str(config.edit.updates(config.workspace)) == "w/updates"
    assert parse("--mlp_or_tc", "TC_ef4", "--TC_layer_file", "data/demo/transcoder").kind == "TC_ef4"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--lim -0.5", "--lim"),
        ("--lim nan", "--lim"),
        ("--lim 0%", "--lim"),
        ("--lim 120%", "such as 20%"),
        ("--lim top:0", "--lim"),
        ("--lim top", "such as top:16"),
        ("--more_edits 1:top:x", "such as top:16"),
        ("--more_edits 1:0.1:0", "--upd_decay"),
        ("--more_edits x", "ROW:LIM"),
        ("--upd_decay 0", "--upd_decay"),
        ("--layer_num -1", "--layer_num"),
        ("--translation_batch_size 0", "--translation_batch_size"),
        ("--v_lr 0", "--v_lr"),
        ("--epsilon -1", "--epsilon"),
        ("--alg_name ROME", "invalid choice"),
        ("--mlp_or_tc Transcoder", "must be MLP, TC, or TC_"),
        ("--mlp_or_tc TC_ef4", "without --TC_layer_file the MLP itself is edited"),
        ("--mlp_or_tc MLP --TC_layer_file data/demo/transcoder", "the transcoder data/demo/transcoder is edited"),
        ("--i x", "invalid int"),
        ("--no_such_flag", "unrecognized"),
        ("--abla_exp --lim -1", "no column"),
        ("--more_edits 1:2:3:4", "ROW:LIM"),
        ("--context_template_length_params [3]", "JSON list"),
        ("--context_template_length_params [", "invalid"),
        ("--TC_layer_file /no/such", "no transcoder"),
        ("--alg_name noKE --abla_exp", "--abla_exp"),
        ("--MODEL_NAME=", "--MODEL_NAME"),
    ],
)
def test_impossible_flags_are_refused(flags, words):
    with pytest.raises(UserError, match=re.escape(words)):
        parse(*flags.split())


def test_help_is_quick_and_complete():
    start = time.perf_counter()
    text = subprocess.run([sys.executable, "run_tcpe.py", "--help"], capture_output=True, text=True, check=True).stdout
    assert time.perf_counter() - start < 3
    assert all(f"--{name} " in text or f"--{name}\n" in text for name in flags_of(RunConfig))


def test_a_mistake_is_one_sentence_and_exit_code_2():
    run = subprocess.run([sys.executable, "run_tcpe.py", *GIVEN, "--lim", "-3"], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("error: --lim") and run.stderr.count("\n") == 1
