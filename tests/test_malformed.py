"""Malformed sweep files and command lines: one message that names the key, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suite.errors import MOST_SHOWN, ConfigError, nearest
from suite.sweeps.sweep import Sweep, load_sweep

PLAIN = """base:
  task: {kind: modular_addition, modulus: 7, fraction: 0.5}
  model: {kind: transformer, width: 8, heads: 2, hidden: 8}
  budget: 20
seeds: [0]
"""
GROUP = "experiments:\n  a:\n" + "".join(f"    {line}\n" for line in PLAIN.splitlines())
VECTORS = "kind: student_teacher"
MLP = PLAIN.replace("kind: modular_addition, modulus: 7, fraction: 0.5", VECTORS).replace(
    "{kind: transformer, width: 8, heads: 2, hidden: 8}", "{kind: mlp, depth: 100000}"
)
BIG = "{kind: transformer, width: 1000000000000}"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Sweep]:
    """Return a function that loads a text beside the files ``plain`` and ``group``."""
    (tmp_path / "plain.yaml").write_text(PLAIN)
    (tmp_path / "group.yaml").write_text(GROUP)

    def read(text: str, *overrides: str) -> Sweep:
        path = tmp_path / "s.yaml"
        path.write_text(text, encoding="utf-8")
        return load_sweep([str(path)], [tmp_path], overrides)

    return read


REFUSED = {
    # experiments, bodies and what extends
    "extends: group\nexperiments:\n": "experiments",
    "extends: group\nexperiments: [1]\n": "experiments",
    "extends: group\nexperiments: {a: 5}\n": "experiments.a",
    "extends: group\nexperiments: {a: null}\n": "experiments.a",
    "experiments: {a: null}\n": "experiments.a",
    "experiments: {a: [1]}\n": "experiments.a",
    "experiments: {}\n": "experiments",
    "experiments:\n": "experiments",
    "extends: [plain]\n": "extends",
    "extends: 5\n": "extends",
    "extends: plain\nsearch: [1]\n": "search",
    "extends: plain\nsearch:\n": "search",
    "extends: plain\naxes: [1]\n": "axes",
    "extends: plain\naxes.n: 5\naxes.n.x: {}\n": "axes.n",
    "extends: plain\naxes: {n: {x: {}}}\naxes.n.x: {}\n": "axes.n.x",
    "extends: plain\nsearch: {a: {grid: [1]}}\nsearch.a: {grid: [2]}\n": "search.a",
    "extends: plain\nbase: 5\n": "base",
    "extends: plain\nbase.: 5\n": "base.",
    "extends: plain\naxes.: {a: {}}\n": "axes.",
    "extends: plain\nbase..budget: 5\n": "base..budget",
    "extends: plain\nseeds: 5\n": "seeds",
    "extends: plain\nreference: [1]\n": "reference",
    "extends: plain\naxes: {arm: {b: {}}}\nreference: {5: b}\n": "reference.5",
    "include: [group]\nseeds: 5\none_seed: true\n": "seeds",
    "include: []\n": "include",
    "include: [[group]]\n": "include",
    "include: [group]\nchanges: {a: null}\n": "changes.a",
    "include: [group]\nchanges.a: 5\n": "changes.a",
    PLAIN + "one_seed: true\n": "one_seed",
    # keys that are misspelt
    "inclde: [group]\n": "inclde",
    "experimnts: {a: {}}\n": "experimnts",
    "extnds: plain\n": "extnds",
    PLAIN.replace("seeds", "sedes"): "sedes",
    PLAIN.replace("base:", "bsae:"): "bsae",
    "experiments:\n  a: {seedz: [0]}\n": "experiments.a.seedz",
    # values of other types
    PLAIN.replace("kind: transformer", "kind: [transformer]"): "model.kind",
    PLAIN.replace("kind: modular_addition", "kind: {a: b}"): "task.kind",
    PLAIN.replace("kind: modular_addition", "kind: null"): "task.kind",
    PLAIN.replace("budget: 20", "budget: [20]"): "budget",
    PLAIN.replace("budget: 20", "budget: {steps: null}"): "budget",
    PLAIN.replace("budget: 20", "budget: '20'"): "budget",
    PLAIN.replace("budget: 20", "budget: 1_000"): "budget",
    PLAIN + "games: [pong]\naxes: [a]\n": "axes",
    PLAIN + "games: {pong: 1}\n": "games",
    PLAIN + "axes:\n": "axes",
    PLAIN + "axes: {n: {}}\n": "axes.n",
    PLAIN + "axes: {n: [a]}\n": "axes.n",
    PLAIN + "axes: {n: {a: 5}}\n": "axes.n.a",
    PLAIN.replace("budget: 20", "interventions: [nap]")
    + "axes: {n: {a: {interventions.²: 1}}}\n": "axes.n.a.interventions.²",
    PLAIN.replace("seeds: [0]", "seeds: [0, '1']"): "seeds[1]",
    PLAIN.replace("seeds: [0]", "seeds: [-1]"): "seeds[0]",
    PLAIN.replace("seeds: [0]", "seeds: [true]"): "seeds[0]",
    PLAIN.replace("seeds: [0]", "seeds: [0.0]"): "seeds[0]",
    PLAIN.replace("seeds: [0]", "seeds: [.nan]"): "seeds[0]",
    PLAIN.replace("seeds: [0]", "seeds: [0, 0]"): "seeds",
    PLAIN.replace("seeds: [0]", "seeds: {0: 1}"): "seeds",
    PLAIN.replace("seeds: [0]", "seeds:"): "seeds",
    # sizes
    PLAIN.replace("{kind: transformer, width: 8, heads: 2, hidden: 8}", BIG): "model",
    PLAIN.replace("hidden: 8", "hidden: 9223372036854775807"): "model",
    PLAIN.replace("modulus: 7", "modulus: 10000000"): "task",
    PLAIN.replace("budget: 20", "budget: 1000000000000000"): "budget",
    PLAIN.replace("budget: 20", "budget: {epochs: 1.0e+300}"): "budget.epochs",
    MLP: "model.depth",
    PLAIN.replace("seeds: [0]", f"seeds: {list(range(2000))}")
    + f"axes: {{n: {{{', '.join(f'a{i}: null' for i in range(30))}}}}}\n": "axes",
    PLAIN + "samples: 1000000000\nsearch: {budget: {choice: [1, 2]}}\n": "samples",
    PLAIN + "samples: 2500\nsearch: {optimizer.lr: {uniform: [0.1, 0.2]}}\n": "search",
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_one_message_names_the_key(text: str, load: Callable[..., Sweep]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    key = caught.value.key.replace("[a] ", "")
    assert key in (f"s.yaml: {REFUSED[text]}", f"s.yaml: experiments.{REFUSED[text]}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inclde: [group]\n", "did you mean 'include'"),
        ("experimnts: {a: {}}\n", "did you mean 'experiments'"),
        ("experiments: {a: {}}\ninclud: [group]\n", "did you mean 'include'"),
        (PLAIN.replace("seeds", "sedes"), "did you mean 'seeds'"),
        (PLAIN.replace("hidden: 8", "hiden: 8"), "did you mean 'hidden'"),
        ("include: [group]\nchanges: {b: {}}\n", "one of: a"),
    ],
)
def test_the_nearest_key_is_named(text: str, said: str, load: Callable[..., Sweep]) -> None:
    with pytest.raises(ConfigError, match=said):
        load(text)


TAKEN: dict[str, dict[str, Any]] = {
    "extends: plain\nsearch.optimizer.lr: {grid: [0.1, 0.2]}\n": {"optimizer.lr": [0.1, 0.2]},
    "extends: plain\nsearch: {}\nsearch.optimizer.lr: {grid: [0.3]}\n": {"optimizer.lr": [0.3]},
    "extends: group\nexperiments.a: {base: {budget: 40}}\n": {"budget.steps": [40]},
    "extends: group\nexperiments.a.base.budget: 41\n": {"budget.steps": [41]},
    "extends: group\nexperiments.a.base: {budget: 42}\n": {"budget.steps": [42]},
    "extends: plain\nbase.budget: 43\n": {"budget.steps": [43]},
    "extends: plain\naxes.n.low.rate: {optimizer.lr: 0.5}\n": {"optimizer.lr": [0.5]},
    "extends: plain\naxes.n: {low: {optimizer.lr: 0.6}}\n": {"optimizer.lr": [0.6]},
    "include: [group]\nchanges.a.budget: 44\n": {"budget.steps": [44]},
    "include: [group]\nchanges.a: {budget: 45}\n": {"budget.steps": [45]},
    PLAIN + "base.budget: 46\n": {"budget.steps": [46]},
    PLAIN + "search.optimizer.lr: {grid: [0.7]}\n": {"optimizer.lr": [0.7]},
    PLAIN + "axes.n: {low: {optimizer.lr: 0.8}}\n": {"optimizer.lr": [0.8]},
    GROUP + "experiments.a.base.budget: 47\n": {"budget.steps": [47]},
    GROUP + "    base.budget: 48\n": {"budget.steps": [48]},
}


@pytest.mark.parametrize("text", TAKEN, ids=range(len(TAKEN)))
def test_dotted_keys_are_taken(text: str, load: Callable[..., Sweep]) -> None:
    ((path, values),) = TAKEN[text].items()
    found = []
    for trial in load(text).trials:
        value = trial.config
        for name in path.split("."):
            value = getattr(value, name)
        found.append(value)
    assert found == values


def test_names_with_dots_survive_a_file_that_extends(
    load: Callable[..., Sweep], tmp_path: Path
) -> None:
    axes = "axes: {the.rate: {0.1: {optimizer.lr: 0.1}, 0.2: {optimizer.lr: 0.2}}}\n"
    (tmp_path / "dots.yaml").write_text(PLAIN + axes + "reference: {the.rate: '0.1'}\n")
    sweep = load("extends: dots\nbase.budget: 5\n")
    assert sweep.tasks["modular_addition_7"].reference == {"0.1": "0.1", "0.2": "0.1"}
    sweep = load("extends: dots\nreference.the.rate: '0.2'\n")
    assert sweep.tasks["modular_addition_7"].reference == {"0.1": "0.2", "0.2": "0.2"}
    sweep = load("extends: dots\nreference: '0.2'\n")
    assert sweep.tasks["modular_addition_7"].reference == {"0.1": "0.2", "0.2": "0.2"}


SETTINGS = {
    "": "--set",
    "=": "--set",
    "budget": "--set",
    "=5": "--set",
    ":budget=5": "--set",
    "x" * 300 + ":budget=5": "--set",
    "seed=5": "--set",
    "a..b=1": "--set a..b",
    ".=1": "--set .",
    "budget.=1": "--set budget.",
    ".".join(["a"] * 1000) + "=1": "--set",
    "model={{ x }}": "--set model",
    "model=!!python/none x": "--set model",
    "model=\ud800": "--set model",
    "model.kind=[a]": "s.yaml: model.kind",
    "budget=" + "9" * 5000: "--set budget",
    "interventions=[": "--set interventions",
    "interventions.0=nap": "s.yaml: interventions",
    "interventions.²=nap": "s.yaml: interventions",
    "interventions+=nap": "--set interventions+",
    "model.width.x=5": "s.yaml: model.width",
    "seeds=5": "s.yaml: seeds",
    "seeds=[a]": "s.yaml: seeds[0]",
    "seeds.0=5": "s.yaml: seeds",
    "+=[1]": "s.yaml: ",
    "bud\x1b[31mget=5": "s.yaml: 'bud\\x1b[31mget'",
}


@pytest.mark.parametrize("setting", SETTINGS, ids=range(len(SETTINGS)))
def test_settings_that_are_refused(setting: str, load: Callable[..., Sweep]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(PLAIN, setting)
    if setting.count(".") < 100:
        assert caught.value.key == SETTINGS[setting]
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 3 * MOST_SHOWN


@pytest.mark.parametrize("place", [-1, "²", "٣", "1e0", "9" * 5000, "1", "0x0", " 0"])
def test_places_of_a_list(place: object, load: Callable[..., Sweep]) -> None:
    with pytest.raises(ConfigError, match="a place in a list, from 0 to 0"):
        load(
            PLAIN, "interventions=[{kind: nap, which: matrices}]", f"interventions.{place}.every=2"
        )


def test_a_model_keeps_its_kind_beside_dotted_keys(load: Callable[..., Sweep]) -> None:
    model = "model: transformer\n  model.width: 8\n  model.heads: 2"
    text = PLAIN.replace("model: {kind: transformer, width: 8, heads: 2, hidden: 8}", model)
    assert load(text).trials[0].config.model.width == 8  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="once"):
        load(PLAIN.replace("budget: 20", "budget: 20\n  budget.steps: 5"))


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    names = ("fifo", "folder", "loop", "gone", "zero", "x" * 5000, "\x00", "", ".", "..", "~")
    for name in names:
        for given in (name, str(tmp_path / f"{name}.yaml")):
            with pytest.raises(ConfigError) as caught:
                load_sweep([given], [tmp_path])
            assert caught.value.key == "config"
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ConfigError, match="a mapping with 'base'"):
        load_sweep(["empty"], [tmp_path])


def test_files_that_include_one_another_end(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("include: [b]\n")
    (tmp_path / "b.yaml").write_text("include: [a]\n")
    with pytest.raises(ConfigError, match="does not include this one"):
        load_sweep(["a"], [tmp_path])
    for index in range(1200):
        (tmp_path / f"f{index}.yaml").write_text(f"include: [f{index + 1}]\n")
    with pytest.raises(ConfigError, match="at most 20 files"):
        load_sweep(["f0"], [tmp_path])
    for index in range(18):  # two to the eighteenth paths to the last of them
        for half in "lr":
            text = f"include: [l{index + 1}, r{index + 1}]\n"
            (tmp_path / f"{half}{index}.yaml").write_text(text)
    for half in "lr":
        (tmp_path / f"{half}18.yaml").write_text(GROUP)
    with pytest.raises(ConfigError, match="only one file with 'a'"):
        load_sweep(["l0"], [tmp_path])
    (tmp_path / "self.yaml").write_text("extends: self\n")
    with pytest.raises(ConfigError, match="does not extend another"):
        load_sweep(["self"], [tmp_path])


def test_values_in_messages_are_short() -> None:
    loop: list[object] = []
    loop.append(loop)
    for value in ("x" * 10**6, 10**5000, list(range(10**5)), loop):
        assert len(str(ConfigError("key", value, "less"))) < 2 * MOST_SHOWN
    assert nearest("b", map(str, range(1000))).endswith(" and 940 more")
