"""A sweep's file as tasks: which commands it takes, what each waits for, and what of it is done.

A sweep is a YAML file, or a CSV with a line for each setting. ``settings`` holds one setting a line, each the flags of run_tcpe.py that it
changes; ``common`` holds the flags of all of them. Every setting is made for every row of the edit requests. What several need is made once.
"""

import csv
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field
from json import dumps
from pathlib import Path
from typing import Any, get_origin

import yaml

from d_running.evaluation import METRICS_FILE
from stages.config import RunConfig, add_run_flags, run_config
from stages.methods import methods
from stages.run_folder import RUN_FILE
from tcpe.config import EditConfig
from tcpe.request import load_request
from util.cli import ArgumentParser
from util.errors import UserError
from util.files import ROOT, check_writable, read_json, write_json
from util.flags import flags_of

PLAN_FILE, LOGS, STATUS = "sweep.json", "logs", "status"
BEFORE, STATISTICS, PRE, MAIN, ABLATION = "noKE", "statistics", "TCPE_pre", "TCPE", "ablation"
STAGES = (PRE, MAIN, ABLATION)
"""What is made for each setting and row, by default."""

CHAINED = ("output_file_path", "preKE_cluster_result", "abla_exp", "invalidate_cache")
"""Flags that the chain itself gives."""

HOW = ("device", "device_map", "translation_batch_size", "jobs", "run_name", "wandb_project", "wandb_entity")
"""Flags that may change between two calls of one sweep: they say how something is computed, not what."""

_OF_MOMENTS = ("MODEL_NAME", "container_workspace", "mom2_dataset", "mom2_n_samples", "dtype", "device", "device_map", "trust_remote_code")


@dataclass(frozen=True)
class Task:
    """One command of a sweep.

    Attributes:
        name: its own; of a run also the folder, below the sweep's.
        kind: noKE, statistics, TCPE_pre, TCPE, ablation, or another method's name.
        arguments: of Python.
        needs: the names of the tasks whose results it reads.
        follows: that of them which it alone belongs to, as TCPE to its TCPE_pre; "" if there is none.
        setting: the name of its setting; "" for what settings share.
        row: of the edit requests; None if it edits nothing.
        flags: the flags of its run that differ from their defaults.
    """

    name: str
    kind: str
    arguments: list[str]
    needs: list[str] = field(default_factory=list)
    follows: str = ""
    setting: str = ""
    row: int | None = None
    flags: dict[str, Any] = field(default_factory=dict)

    def command(self, python: str) -> str:
        """Its command, as bash reads it."""
        return shlex.join([python, *self.arguments])

    @property
    def log(self) -> str:
        """Its log's place below the sweep's folder."""
        return f"{LOGS}/{self.name}.log"

    @property
    def status(self) -> str:
        """The place below the sweep's folder of the file with the exit status of its last try."""
        return f"{STATUS}/{self.name}"


@dataclass(frozen=True)
class Plan:
    """The tasks of a sweep.

    Attributes:
        sweep: the file that it was made from.
        folder: where everything goes.
        tasks: by name; each comes behind those that it needs.
    """

    sweep: str
    folder: Path
    tasks: dict[str, Task]

    def state(self, task: Task) -> str:
        """What has become of a task: "finished", "failed", "interrupted" (begun, and neither of these), or "missing"."""
        status = self.exit_status(task)
        run = self.folder / task.name
        if ((run / METRICS_FILE).is_file() and (run / RUN_FILE).is_file()) or (task.kind == STATISTICS and status == 0):
            return "finished"
        if status:
            return "failed"
        return "interrupted" if (run / RUN_FILE).is_file() or (self.folder / task.log).is_file() else "missing"

    def exit_status(self, task: Task) -> int | None:
        """Of the task's last try; None if there was none, or it was ended before it could say."""
        path = self.folder / task.status
        text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        return int(text) if text.isdecimal() else None

    def unfinished(self) -> list[Task]:
        """The tasks that are still to be made, each behind those that it needs."""
        return [task for task in self.tasks.values() if self.state(task) != "finished"]

    def reason(self, task: Task) -> str:
        """The last error in a failed task's log; "" if there is none."""
        path = self.folder / task.log
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        said = [line for line in lines if line.startswith("error: ")] or [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
        return said[-1].removeprefix("error: ") if said else ""

    def write(self) -> None:
        """Leave the plan in its folder, for `read_plan`; tasks of an earlier plan there stay in it.

        Raises:
            UserError: if the folder holds a task of this name with another flag; or it cannot be written to.
        """
        check_writable(self.folder)
        tasks = dict(self.tasks)
        if (self.folder / PLAN_FILE).is_file():
            for name, old in read_plan(self.folder).tasks.items():
                new = tasks.setdefault(name, old).flags
                if different := sorted(flag for flag in old.flags.keys() | new.keys() if flag not in HOW and old.flags.get(flag) != new.get(flag)):
                    raise UserError(f"{self.folder} holds the task {name} of a sweep with another {', '.join(different)}; name another output_path.")
        described = [asdict(task) for task in tasks.values()]
        write_json(self.folder / PLAN_FILE, {"sweep": self.sweep, "folder": str(self.folder), "tasks": described})


def read_plan(folder: Path) -> Plan:
    """The plan that a sweep left in its folder.

    Raises:
        UserError: if there is none, or it is damaged.
    """
    value = read_json(folder / PLAN_FILE, "the sweep's plan")
    try:
        tasks = [Task(**task) for task in value["tasks"]]
        return Plan(value["sweep"], folder, {task.name: task for task in tasks})
    except (TypeError, KeyError) as error:
        raise UserError(f"{folder / PLAN_FILE} is no sweep's plan ({error}); give the sweep's own command again.") from error


def make_plan(sweep: str, output_path: str | None = None) -> Plan:
    """The tasks of the file ``sweep``.

    Args:
        output_path: folder of everything; by default what the file says.

    Raises:
        UserError: for a file that cannot be read, a flag that is unknown or given twice, two settings that are the same, values that do not go
            together, a row that is not there; each names the setting's line.
    """
    common, common_places, settings, rest = _read(Path(sweep))
    folder = output_path or rest.get("output_path")
    if not folder:
        raise UserError(f"{sweep} names no folder for the results; give it an output_path, or --output_path to this command.")
    stages = rest.get("stages", list(STAGES))
    if not isinstance(stages, list) or not stages or (unknown := [stage for stage in stages if stage not in STAGES]):
        raise UserError(f"The stages of {sweep} must be some of {', '.join(STAGES)}, not {unknown or stages}.")
    builder = _Builder(sweep, Path(folder), stages, common_places)
    for where, own in settings:
        if doubled := sorted(common.keys() & own.keys()):
            raise UserError(f"{where} gives {', '.join(doubled)}, which common gives to all settings already; leave one of the two out.")
    for name, (where, own) in zip(_names(settings), settings):
        given = {flag: value for flag, value in (common | own).items() if flag != "name"}
        builder.add(name, where, given, rest.get("rows"))
    return Plan(sweep, Path(folder), builder.tasks)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str], list[tuple[str, dict[str, Any]]], dict[str, Any]]:
    """The common flags, the words for the place of each, each setting with the words for its place, and what else the file says."""
    if path.suffix == ".csv":
        return {}, {}, _read_csv(path), {}
    value, common_lines, setting_lines = _read_yaml(path)
    if isinstance(value, list):
        value = {"settings": value}
    known = ("common", "settings", "rows", "stages", "output_path")
    if not isinstance(value, dict) or (unknown := [str(name) for name in value if name not in known]):
        found = f"has {', '.join(unknown)}" if isinstance(value, dict) else "is no mapping"
        raise UserError(f"A sweep's file holds {', '.join(known)}; {path} {found}.")
    common, settings = value.get("common") or {}, value.get("settings", [{}])
    if isinstance(settings, str):
        lines = _read_csv(path.parent / settings)
    elif isinstance(settings, list) and settings:
        places = [f", line {line}" for line in setting_lines] or [""]
        lines = [(f"Setting {number} of {path}{places[number - 1]}", line if line is not None else {}) for number, line in enumerate(settings, 1)]
    else:
        raise UserError(f"The settings of {path} must be a list, one setting a line, or the name of a CSV.")
    for where, line in [(f"common of {path}", common), *lines]:
        if not isinstance(line, dict) or not all(isinstance(name, str) for name in line):
            raise UserError(f"{where} must be flags with their values, such as {{v_lr: 0.1}}, not {line!r}.")
    return common, {name: f"common of {path}, line {line}" for name, line in common_lines.items()}, lines, value


class _OnceLoader(yaml.SafeLoader):
    """Refuses a key that a mapping has already, where YAML would take the last one."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if doubled := sorted({str(key) for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(doubled)} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> tuple[Any, dict[str, int], list[int]]:
    """What the file says, the line of each common flag, and that of each setting."""
    try:
        text = path.read_text(encoding="utf-8")
        value, root = yaml.load(text, _OnceLoader), yaml.compose(text, yaml.SafeLoader)
    except OSError as error:
        raise UserError(f"Cannot read the sweep {path}: {error.strerror}; name a YAML or CSV file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"The sweep {path} is not valid YAML: {' '.join(str(error).split())}") from error
    parts = {key.value: part for key, part in root.value} if isinstance(root, yaml.MappingNode) else {"settings": root}
    common, settings = parts.get("common"), parts.get("settings")
    return (
        value,
        {key.value: key.start_mark.line + 1 for key, _ in common.value} if isinstance(common, yaml.MappingNode) else {},
        [node.start_mark.line + 1 for node in settings.value] if isinstance(settings, yaml.SequenceNode) else [],
    )


def _read_csv(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Settings from a CSV whose columns are flags; an empty cell gives none."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except OSError as error:
        raise UserError(f"Cannot read the sweep {path}: {error.strerror}; name a YAML or CSV file.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"The sweep {path} is no CSV in UTF-8 ({error}).") from error
    head, *body = rows or [[]]
    if doubled := sorted({name for name in head if head.count(name) > 1}):
        raise UserError(f"The sweep {path} has the column {', '.join(doubled)} twice; leave one out.")
    if not body:
        raise UserError(f"The sweep {path} holds no setting; its first line names flags, each further line gives their values.")
    settings = []
    for number, cells in enumerate(body, 2):
        where = f"Line {number} of {path}"
        if len(cells) != len(head):
            raise UserError(f"{where} has {len(cells)} cells and the header {len(head)}.")
        settings.append((where, {name: cell for name, cell in zip(head, cells) if cell}))
    return settings


def _names(settings: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """A name for each setting: its own, or one made of its flags.

    Raises:
        UserError: if two have the same name.
    """
    names: dict[str, str] = {}
    for where, own in settings:
        text = str(own.get("name") or "_".join(f"{flag}_{value}" for flag, value in own.items() if flag != "name") or "default")
        name = re.sub(r"[^\w.+=-]+", "-", text.replace("%", "pct")).strip("-.")[:100]
        if not name or name.startswith((BEFORE, STATISTICS)) or name in ("workspace", LOGS, STATUS, "slurm"):
            raise UserError(f"{where} cannot be called {text!r}, which is no folder's name or the sweep's own; give it another name.")
        if name in names:
            raise UserError(f"{where} is called {name} as {names[name]} is; leave one out, or give each a name of its own.")
        names[name] = where
    return list(names)


class _Builder:
    """Collects the tasks of one setting after the other; what is there already is shared."""

    def __init__(self, sweep: str, folder: Path, stages: Sequence[str], common_places: Mapping[str, str]) -> None:
        self.tasks: dict[str, Task] = {}
        self._sweep, self._folder, self._stages, self._common_places = sweep, folder, stages, common_places
        self._parser = ArgumentParser(add_help=False)
        add_run_flags(self._parser)
        self._shared: dict[str, str] = {}
        self._settings: dict[str, str] = {}

    def add(self, name: str, where: str, given: Mapping[str, Any], rows: Any) -> None:
        """Add what the setting ``name`` takes."""
        if chained := sorted(given.keys() & set(CHAINED)):
            raise UserError(f"{where} gives {', '.join(chained)}, which the sweep sets itself; leave it out.")
        given = {"container_workspace": str(self._folder / "workspace"), **given}
        own_method = given.pop("alg_name", None)
        row = given.pop("i", None)
        try:
            flags = self._parsed(given)
            same = _key(flags | {"alg_name": own_method, "i": row})
            if same in self._settings:
                raise UserError(f"it is the same as {self._settings[same][0].lower() + self._settings[same][1:]}; leave one out.")
            self._settings[same] = where
            before = self._before(flags)
            for index in self._rows(flags, rows if row is None else [row]):
                self._add_row(name, index, flags, before, own_method)
        except UserError as error:
            named = re.search(r"--(\w+)", str(error))  # a flag that common gives is no setting's fault
            raise UserError(f"{self._common_places.get(named[1], where) if named else where}: {error}") from error

    def _parsed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The flags with their values, as the command line would read them."""
        return vars(self._parser.parse_args(_words(given)))

    def _rows(self, flags: Mapping[str, Any], rows: Any) -> list[int]:
        """The rows of the edit requests that a setting is made for, all of which can be read."""
        alone = {**flags, "more_edits": []}
        config = self._config(alone, i=0, alg_name=PRE, output_file_path="x", preKE_cluster_result="y")
        path, layer = config.edit.edit_sequence_path, config.model.layer_num
        if rows is None:
            found = list(range(_count_rows(path)))
        else:
            found = [index for part in (rows if isinstance(rows, list) else [rows]) for index in _range(part)]
            if doubled := sorted({index for index in found if found.count(index) > 1}):
                raise UserError(f"rows names {', '.join(map(str, doubled))} twice; leave one out.")
        for index in found:
            load_request(path, index, layer, config.kind)
        if not found:
            raise UserError(f"{path} holds no edit request.")
        return found

    def _before(self, flags: Mapping[str, Any]) -> str:
        """The noKE run of a setting, which all settings share that differ in their edits alone."""
        of_edits = flags_of(EditConfig).keys() | {"seed"}
        of_edits |= {flag for method in methods().values() if method.flags is not None for flag in flags_of(method.flags)}
        own = {name: value for name, value in flags.items() if name not in of_edits}
        return self._share(BEFORE, _key(own), lambda name: self._run(name, BEFORE, own, BEFORE))

    def _statistics(self, flags: Mapping[str, Any]) -> list[str]:
        """The pass over texts that a setting's key needs; one pass for all layers of a model."""
        if flags.get("TC_sites"):  # the pass reads transcoders where their checkpoints say, so such a run makes its own
            return []
        own = {name: flags[name] for name in _OF_MOMENTS if name in flags}
        own.setdefault("mom2_dataset", flags_of(EditConfig)["mom2_dataset"][0].default)
        site = ":".join(filter(None, (str(flags["layer_num"]), flags.get("TC_layer_file"))))

        def make(name: str) -> Task:
            return Task(name, STATISTICS, ["-m", "tcpe.second_moment", "--sites", site, *_words(own)])

        name = self._share(STATISTICS, _key(own), make)
        arguments = self.tasks[name].arguments
        if site not in arguments:
            arguments.insert(arguments.index("--sites") + 1, site)
        return [name]

    def _share(self, kind: str, key: str, make: Any) -> str:
        """The name of the one task of this kind and key."""
        if kind + key not in self._shared:
            count = sum(task.kind == kind for task in self.tasks.values()) + 1
            name = kind if count == 1 else f"{kind}_{count}"
            self._shared[kind + key] = name
            self.tasks[name] = make(name)
        return self._shared[kind + key]

    def _add_row(self, setting: str, row: int, flags: Mapping[str, Any], before: str, own_method: str | None) -> None:
        own = {**flags, "i": row}
        if own_method in (None, PRE, MAIN):
            wanted = list(self._stages) if own_method is None else [own_method]
            config = self._config(own, alg_name=MAIN, output_file_path="x", preKE_cluster_result="y")
            pre = [self._pre(setting, other, flags, before) for other, _, _ in config.edits]
            for kind in (kind for kind in wanted if kind != PRE):
                name = f"{setting}/{row}/{kind}"
                alone = pre[0] if len(pre) == 1 else ""
                run = {**own, **({"abla_exp": True} if kind == ABLATION else {})}
                self.tasks[name] = self._run(name, kind, run, before, pre, alone, setting)
            return
        if own_method not in methods() or not methods()[own_method].edits:
            raise UserError(f"alg_name {own_method} is no method that edits; there are {', '.join(n for n, m in methods().items() if m.edits)}.")
        name = f"{setting}/{row}/{own_method}"
        self.tasks[name] = self._run(name, own_method, own, before, [before], "", setting)

    def _pre(self, setting: str, row: int, flags: Mapping[str, Any], before: str) -> str:
        """The TCPE_pre run of a row, which all settings share that differ in what is applied of it alone."""
        own = {name: value for name, value in flags.items() if name not in methods()[MAIN].decides} | {"i": row}
        key = f"{PRE}{_key(own)}"
        if key not in self._shared:
            name = self._shared[key] = f"{setting}/{row}/{PRE}"
            self.tasks[name] = self._run(name, PRE, own, before, [before, *self._statistics(flags)], "", setting)
        return self._shared[key]

    def _run(
        self, name: str, kind: str, flags: Mapping[str, Any], before: str, needs: Iterable[str] = (), follows: str = "", setting: str = ""
    ) -> Task:
        """A run of run_tcpe.py."""
        given = {
            **flags,
            "alg_name": MAIN if kind == ABLATION else kind,
            "output_file_path": str(self._folder / name),
            "preKE_cluster_result": str(self._folder / before),
        }
        self._config(given)
        return Task(name, kind, [str(_program()), *_words(given)], list(needs), follows, setting, given.get("i"), given)

    @staticmethod
    def _config(flags: Mapping[str, Any], **more: Any) -> RunConfig:
        """The checked configuration of a run."""
        return run_config({**flags, **more})


def _program() -> Path:
    """run_tcpe.py, as seen from the current folder where that is the repository's."""
    return Path("run_tcpe.py") if Path.cwd() == ROOT else ROOT / "run_tcpe.py"


def _key(flags: Mapping[str, Any]) -> str:
    """Stands for the values of all flags, those that are not given among them."""
    defaults = {name: field.default for name, (field, _) in _all_flags().items() if field.default_factory is MISSING}
    return dumps(dict(sorted((defaults | dict(flags)).items())), default=str)


def _words(flags: Mapping[str, Any]) -> list[str]:
    """Flags as words of a command line.

    Raises:
        UserError: for a value that no command line can give.
    """
    known = _all_flags()
    words: list[str] = []
    for name, value in flags.items():
        metadata, hint = (known[name][0].metadata, known[name][1]) if name in known else ({}, str)
        if hint is bool:
            text = str(value).lower()
            if text not in ("true", "false", "1", "0", "yes", "no"):
                raise UserError(f"--{name} is a switch, true or false, not {value!r}.")
            words += [f"--{name}"] if text in ("true", "1", "yes") else []
        elif metadata.get("parse"):
            words.append(f"--{name}={value if isinstance(value, str) else dumps(value)}")
        elif get_origin(hint) is list:
            words += [f"--{name}", *(map(str, value) if isinstance(value, list) else shlex.split(str(value)))]
        elif isinstance(value, list | dict):
            raise UserError(f"--{name} takes one value, not {value!r}; one setting a line.")
        elif value is not None:
            words.append(f"--{name}={value}")
    return words


def _all_flags() -> dict[str, tuple[Any, Any]]:
    """The flags of runs and of methods by name, each with its field and type."""
    flags = dict(flags_of(RunConfig))
    for method in methods().values():
        if method.flags is not None:
            flags |= flags_of(method.flags)
    return flags


def _count_rows(path: str) -> int:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return sum(1 for _ in csv.DictReader(file))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the edit requests {path}: {error}.") from error


def _range(part: Any) -> list[int]:
    """``3``, ``"3"``, ``"0-4"`` or ``"0-4,7"`` as numbers.

    Raises:
        UserError: if it is none of these.
    """
    numbers: list[int] = []
    for text in str(part).split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", text)
        if match is None:
            raise UserError(f"rows must be numbers of edit requests, such as 3, 0-4 or [0, 2], not {part!r}.")
        numbers += range(int(match[1]), int(match[2] or match[1]) + 1)
    return numbers
