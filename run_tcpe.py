"""TCPE: edit what a code model knows, in the columns of single transcoder features, and measure what that did.

A run is one stage: noKE measures the unedited model, TCPE_pre computes one edit and applies all of it, TCPE applies the columns of
its active features. --demo runs all stages on the small model that comes with this repository.
"""

import sys
from typing import NoReturn

from d_running.config import FIGURES
from stages.config import add_run_flags, run_config
from stages.inputs import check_inputs
from util.cli import ArgumentParser, run_main
from util.errors import UserError

EXAMPLES = """\
  python run_tcpe.py --demo

  python run_tcpe.py --MODEL_NAME data/demo/model --layer_num 5 --TC_layer_file data/demo/transcoder --alg_name noKE \\
      --originals_path data/demo/test.csv --translation_batch_size 160 --container_workspace runs/workspace \\
      --output_file_path runs/before --preKE_cluster_result runs/before

  python run_tcpe.py --MODEL_NAME reference --alg_name noKE --without_rule casts --originals_path data/demo/test.csv \\
      --container_workspace runs/workspace --output_file_path runs/reference --preKE_cluster_result runs/reference

figures (metrics.json has them under the first name):
""" + "\n".join(f"  {name:30} {meaning}" for name, meaning in FIGURES.items())


def main() -> None:
    parser = ArgumentParser(description=__doc__, usage="python run_tcpe.py --demo | FLAGS", examples=EXAMPLES)
    parser.add_argument("--demo", action="store_true", help="run every stage on the embedded model and print one table; takes minutes")
    parser.add_argument("--demo_seed", type=int, help="with --demo: draw fresh test functions with this seed")
    add_run_flags(parser)
    given = vars(parser.parse_args())
    demo, demo_seed = given.pop("demo"), given.pop("demo_seed")
    if demo_seed is not None and not demo:
        raise UserError("--demo_seed belongs to --demo.")
    if demo:
        if others := given.keys() - {"invalidate_cache"}:
            raise UserError(f"--demo runs with settings of its own (demo/settings.py); leave out --{', --'.join(sorted(others))}.")
        from demo.chain import run_demo

        run_demo(demo_seed, given.get("invalidate_cache", False))
        return
    config = run_config(given)
    check_inputs(config)
    from stages.run import run_stage  # only now, so that help and complaints about flags come at once

    for name, value in run_stage(config).items():
        meaning = f"  {FIGURES[name].partition(':')[0]}" if name in FIGURES else ""
        sys.stdout.write(f"{name:32} {value:.4f}{meaning}\n" if isinstance(value, float) else f"{name:32} {value}{meaning}\n")


def command() -> NoReturn:
    """The command ``tcpe`` of an installation."""
    run_main(main, continues=True)


if __name__ == "__main__":
    command()
