"""YAML 1.2: the core schema scalar by scalar, what is refused, and that what is written is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import suite.sweeps.yaml_file
from suite.errors import ConfigError
from suite.sweeps.yaml_file import (
    MOST_BYTES,
    MOST_DEPTH,
    MOST_NODES,
    flow_style,
    parse_yaml,
    read_yaml,
    to_yaml,
)

NAN, INF = math.nan, math.inf
CORE: dict[str, Any] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], None),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **{"0": 0, "-0": 0, "12": 12, "+12": 12, "-19": -19, "010": 10, "08": 8, "007": 7, "0100": 100},
    **{"0o17": 15, "0o0": 0, "0x1F": 31, "0xdeadBEEF": 0xDEADBEEF, "00": 0},
    **{"9223372036854775807": 2**63 - 1, "-9223372036854775808": -(2**63)},
    **{"1.": 1.0, ".5": 0.5, "-.5": -0.5, "+.5": 0.5, "0.": 0.0, "01.5": 1.5, "-0.0": -0.0},
    **{
        "1e3": 1e3,
        "1e-3": 1e-3,
        "1E5": 1e5,
        "12e03": 12e3,
        "-2E+05": -2e5,
        ".5e1": 5.0,
        "1.e2": 1e2,
    },
    **{".inf": INF, ".Inf": INF, ".INF": INF, "+.inf": INF, "-.INF": -INF},
    **{".nan": NAN, ".NaN": NAN, ".NAN": NAN, "1e308": 1e308, "0e-999": 0.0},
}
"""Plain scalars that are no strings (YAML 1.2.2, section 10.3.2)."""

WORDS = (
    *(
        "nULL",
        "tRUE",
        "yes",
        "no",
        "on",
        "off",
        "Yes",
        "NO",
        "y",
        "n",
        "inf",
        "nan",
        "+.nan",
        "-.NaN",
    ),
    *(
        "1_000",
        "0b11",
        "0o8",
        "0o",
        "0x",
        "0xG",
        "-0x1F",
        "+0o7",
        "1e",
        "1e+",
        ".",
        "+",
        ".e3",
    ),
    *("1:30", "22:22", "12:30:45", "190:20:30", "2020-01-01", "2020-01-01T10:00:00Z", "=", "<<"),
    *("1.2.3", "1 2", "e3", "0.1e", "--1", "+-1", "1-", "\u0661", "null x", "~x", "x: y"[:1]),
)
"""Plain scalars that are strings."""


def same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (a == b or (a != a and b != b))


@pytest.fixture(params=["libyaml", "pure"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read with each of PyYAML's parsers: the one in C, and the one in Python."""
    loader = yaml.SafeLoader if request.param == "pure" else yaml.CSafeLoader
    monkeypatch.setattr(suite.sweeps.yaml_file, "_PARSER", loader)


@pytest.mark.usefixtures("parser")
def test_plain_scalars_are_of_the_core_schema() -> None:
    for text, value in {**CORE, **{word: word for word in WORDS}}.items():
        for document in (f"a: {text}", f"a: {text}\nb: 1", f"- {text or '~'}"):
            found = parse_yaml(document, "t")
            found = found[0] if isinstance(found, list) else found["a"]
            assert same(found, value), (document, found)
        if text:
            assert parse_yaml(f"a: '{text}'", "t") == {"a": text}
            assert parse_yaml(f"a: !!str {text}", "t") == {"a": text}


@pytest.mark.usefixtures("parser")
def test_keys_are_names_as_they_are_written() -> None:
    text = "{010: a, 1: b, 0.30: c, true: d, on: e, 1:30: f, '~': g, 1e-3: h, ' ': i}"
    assert "".join(parse_yaml(text, "t").values()) == "abcdefghi"
    assert list(parse_yaml(text, "t")) == [
        "010",
        "1",
        "0.30",
        "true",
        "on",
        "1:30",
        "~",
        "1e-3",
        " ",
    ]


@pytest.mark.usefixtures("parser")
def test_merges() -> None:
    text = """
    low: &low {x: 1, y: 2}
    high: &high {y: 3, z: 4}
    one: {<<: *low, x: 5}
    after: {x: 5, <<: *low}
    two: {<<: [*high, *low], w: 6}
    word: {'<<': 7}
    """
    found = parse_yaml(text, "t")
    assert found["one"] == found["after"] == {"x": 5, "y": 2}
    assert found["two"] == {"w": 6, "x": 1, "y": 3, "z": 4}
    assert found["word"] == {"<<": 7}
    assert found["low"] == {"x": 1, "y": 2}


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
LADDER = "a0: &a0 x\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200))

REFUSED = {
    "a: 1\nb: 2\na: 3": "line 3: 'a' twice",
    "1: a\n'1': b": "line 2: '1' twice",
    "x:\n  - {b: 1, b: 1}": "line 2: 'b' twice",
    "a: &a {x: 1}\nb: {<<: *a, <<: *a}": "line 2: '<<' twice",
    "b: {<<: 5}": "line 1: << without a mapping",
    "b: {<<: [{x: 1}, 5]}": "line 1: << without a mapping",
    "lr: {{ lr }}": "line 1: a key that is not a string",
    "? [a, b]\n: 1": "line 1: a key that is not a string",
    "a: 1\nnull: 2": "line 2: a key that is null",
    "~: 2": "line 1: a key that is null",
    "a: 1\n---\nb: 2": "line 2: a second document",
    "a: 1\n---\n": "line 2: a second document",
    "a: [": "did not find expected node content",
    "a: b: c": "line 1",
    "a:\n\tb: 1": "line 2",
    "a: \x07": "YAML",
    "a: \ud800": "YAML",
    "a: &a [*a]": "no anchor &a is complete",
    "a: *b": "no anchor &b",
    "a: !!python/object/apply:os.system [ls]": "line 1: the tag",
    "a: !mine 1": "line 1: the tag",
    "a: !!binary aGk=": "line 1: the tag",
    "a: !!set {b}": "line 1: the tag",
    "a: !!int x": "'x' is no int",
    "a: !!bool 1": "'1' is no bool",
    "a: 9223372036854775808": "not a whole number that fits in 64 bits",
    "a: " + "9" * 5000: "not a whole number that fits in 64 bits",
    "a: 0x" + "f" * 17: "not a whole number that fits in 64 bits",
    "a: 1e400": "not a number that fits in 64 bits",
    "a: -1" + "0" * 400 + ".": "not a number that fits in 64 bits",
    "a: 1e-400": "not a number that fits in 64 bits",
    "[" * 100_000: f"more than {MOST_DEPTH} nested lists",
    "{a: " * 100_000: f"more than {MOST_DEPTH} nested lists",
    "- " * 5000: f"more than {MOST_DEPTH} nested lists",
    LADDER: f"more than {MOST_DEPTH} nested lists",
    BOMB: f"more than {MOST_NODES:,} values",
    "[" + "1," * (MOST_NODES + 1) + "]": f"more than {MOST_NODES:,} values",
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "here")
    assert caught.value.key == "here"
    assert REFUSED[text] in caught.value.expected
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", None),
        (b"# nothing\n", None),
        ("\ufeffa: é\r\nb: 2\r\n".encode(), {"a": "é", "b": 2}),
        (b"%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        (b"a: " + b"x" * 500_000, {"a": "x" * 500_000}),
    ],
)
def test_files_that_are_read(tmp_path: Path, data: bytes, found: Any) -> None:
    (tmp_path / "f.yaml").write_bytes(data)
    assert read_yaml(tmp_path / "f.yaml") == found


@pytest.mark.parametrize(
    "data",
    ["a: é".encode("latin-1"), "a: é".encode("utf-16"), bytes(range(256)), b"#" * (MOST_BYTES + 1)],
)
def test_files_that_are_not(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f.yaml").write_bytes(data)
    with pytest.raises(ConfigError, match="a readable YAML file"):
        read_yaml(tmp_path / "f.yaml")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=30)
    | st.text("0123456789xob+-._eE:~ \n'\"#&*!|>%@`{}[],?<=\t", max_size=8)
    | st.sampled_from([*CORE, *WORDS])
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from([*CORE, *WORDS]), inner, max_size=4)
    ),
    max_leaves=12,
)


def alike(a: Any, b: Any) -> bool:
    """Return whether data are equal, types and order of keys as well."""
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(alike, a, b))
    return same(a, b)


@given(DATA)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert alike(parse_yaml(to_yaml(value), "t"), value)
    if isinstance(value, dict | list):
        assert alike(parse_yaml(flow_style(value), "t"), value)
        assert "\n" not in flow_style(value)


@given(DATA)
def test_readers_of_yaml_1_1_read_it_back_as_well(value: Any) -> None:
    if all(isinstance(part, str | dict | list) for part in _parts(value)):
        assert alike(yaml.safe_load(to_yaml(value)), value)


def _parts(value: Any) -> list[Any]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(part for item in inside for part in _parts(item))]
