"""Each mistake of a matrix file as a table: what is written, where it is told, and how."""

# ruff: noqa: E501 - one mistake a line reads better

from __future__ import annotations

import pytest

from rmcp.matrix.errors import MatrixError
from rmcp.matrix.load import load_text

HEAD = "rmcp: 1\nname: t\ndefaults: {workload: noop}\n"


def problems(text: str, head: str = HEAD) -> list[str]:
    with pytest.raises(MatrixError) as caught:
        load_text(head + text, "t.yaml")
    return [f"{p.position.line}:{p.position.column} {p.message}" for p in caught.value.problems]


AXES = "axes: {env: {default: s, values: {s: {}, t: {env: {A: '1'}}}}, dtype: [f32, f16]}\n"

MISTAKES = [
    # text after `rmcp: 1, name: t, defaults`, expected "line:column message" (the head has three lines)
    ("", ["1:1 the key `axes` is missing"]),
    ("axes: {a: x}", ["4:11 axis 'a' needs a list of values"]),
    ("axes: {a: []}", ["4:11 axis 'a' has no values"]),
    ("axes: {a: [x, x]}", ["4:15 value 'x' is twice in axis 'a'"]),
    ("axes: {a: [x/y]}", ["4:12 'x/y' cannot name a value of axis 'a'"]),
    ("axes: {a: [[1]]}", ["4:12 a value in the short form of axis 'a' must be a single word"]),
    ("axes: {a b: [1]}", ["4:8 'a b' is no name of an axis"]),
    ("axes: {outcome: [1]}", ["4:8 'outcome' has a meaning in expressions and cannot name an axis"]),
    ("axes: {a: {rolle: compare, values: [1]}}", ["4:12 unknown key 'rolle' in axis 'a'"]),
    ("axes: {a: {role: comparison, values: [1]}}", ["4:18 'comparison' is no `role`"]),
    ("axes: {a: {type: semver, values: [1]}}", ["4:18 'semver' is no `type`"]),
    ("axes: {a: {values: {x: {arg: {}}}}}", ["4:25 unknown key 'arg' in value 'x' of axis 'a'"]),
    ("axes: {a: {values: {x: {env: {'A=B': 1}}}}}", ["4:31 'A=B' is no name of an environment variable"]),
    ("axes: {a: {values: {x: {env: {A: '${HOME}'}}}}}", ["4:34 unknown variable ${HOME}"]),
    ("axes: {a: {values: {x: {seed: -1}}}}", ["4:31 `seed` must be a whole number from 0 to 9223372036854775807"]),
    ("axes: {a: {values: {x: {threads: 0}}}}", ["4:34 `threads` must be a whole number from 1 to 4096"]),
    ("axes: {a: {values: {x: {runtime: {engine: lxc, image: i}}}}}", ["4:43 unknown engine 'lxc'"]),
    ("axes: {a: {values: {x: {runtime: {engine: podman}}}}}", ["4:43 an engine needs an image to run"]),
    ("axes: {a: {values: {x: {runtime: {prefix: /p, image: i}}}}}", ["4:34 a runtime is either a container image or a prefix, not both"]),
    ("axes: {a: {values: {x: {workload: convd2d}}}}", ["4:35 there is no built-in workload 'convd2d'"]),
    ("axes: {a: {values: {x: {args: {k: 1}}}}, b: {values: {y: {args: {k: 1}}}}}", ["4:66 axis 'b' sets `args.k`, which another axis sets too"]),
    ("axes: {a: {default: x, values: [x, y]}, b: [y, z]}", ["4:45 value 'y' of axis 'b' clashes with another axis in ids"]),
    # one mistake is told once: what follows from it is not
    ("axis: {a: [1]}", ["4:1 unknown key 'axis' in the matrix"]),
    ("axes: {a: {vlaues: [1]}}\nexclude: [{match: {a: 2}, where: a > 3}]", ["4:12 unknown key 'vlaues' in axis 'a'"]),
    ("axes: {a: {type: semver, values: [1]}}\nset: [{where: a < 3, seed: 1}]", ["4:18 'semver' is no `type`"]),
    ("axes: {a: {default: x, values: [x, y, z]}, b: [y, z]}", ["4:48 value 'y' of axis 'b' clashes with another axis in ids"]),
    (AXES + "set: [{mach: {env: t}, seed: 1}]", ["5:8 unknown key 'mach' in a `set` rule"]),
    (AXES + "expect: [{outcme: crash, reson: r}]", ["5:11 unknown key 'outcme' in an `expect` rule", "5:26 unknown key 'reson' in an `expect` rule"]),
    (AXES + "exclude: [{reason: r}]", ["5:11 this rule needs `match` or `where`"]),
    (AXES + "exclude: [{match: {env: q}}]", ["5:25 no value of axis 'env' is 'q'"]),
    (AXES + "exclude: [{where: 'gfx == gfx1010'}]", ["5:19 'gfx' is known only on the machine that runs"]),
    (AXES + "exclude: [{where: 'dtype < f32'}]", ["5:26 in `where`: 'dtype' is text and has no order"]),
    (AXES + "exclude: [{where: 'dtype ==  '}]", ["5:28 in `where`: expected a value, found end of the expression"]),
    (AXES + "reduce: {strength: 9}", ["5:20 `strength` must be a whole number from 1 to 6"]),
    (AXES + "add: [{dtype: f32}]", ["5:7 an `add` entry says `why`"]),
    (AXES + "add: [{dtyp: f32, why: w}]", ["5:8 unknown key 'dtyp' in an `add` entry"]),
    (AXES + "set: [{match: {env: t}}]", ["5:7 this rule sets nothing"]),
    (AXES + "set: [{match: {env: t}, timeout: {cases: 1}}]", ["5:35 unknown key 'cases' in `timeout`"]),
    (AXES + "requires: [{where: env == t}]", ["5:12 a `requires` rule says what it `needs`"]),
    (AXES + "requires: [{needs: {devise: rocm}}]", ["5:21 unknown name 'devise'"]),
    (AXES + "requires: [{needs: {}}]", ["5:20 `needs` is empty"]),
    (AXES + "requires: [{needs: {device: []}}]", ["5:29 `device` needs a value"]),
    (AXES + "expect: [{where: env == t, reason: r}]", ["5:10 an `expect` rule needs an `outcome`"]),
    (AXES + "expect: [{where: env == t, outcome: crash}]", ["5:10 an `expect` rule says its `reason`"]),
    (AXES + "expect: [{outcome: crash, cause: sigsegv, reason: r}]", ["5:34 'sigsegv' is no cause"]),
    (AXES + "expect: [{outcome: crash, signal: 11, reason: r}]", ["5:35 '11' is no signal name"]),
    (AXES + "expect: [{outcome: crash, reason: r, until: soon}]", ["5:45 `until` must be a day such as 2027-06-30; found 'soon'"]),
    (AXES + "expect: [{where: 'outcome == crash', outcome: crash, reason: r}]", ["5:19 in `where`: unknown name 'outcome'"]),
    (AXES + "expect: [{where: 'env == T', outcome: crash, reason: r}]", ["5:26 in `where`: no value of axis 'env' is 'T'"]),
    (AXES + "expect: [{where: 'gfx == x and env in [t, q*]', outcome: crash, reason: r}]", ["5:43 in `where`: no value of axis 'env' is 'q*'"]),
    (AXES + "exclude: [{where: dtype != f23}]", ["5:28 in `where`: no value of axis 'dtype' is 'f23'"]),
    (AXES + "requires: [{needs: env == x}]", ["5:27 in `needs`: no value of axis 'env' is 'x'"]),
    (AXES + "profiles: {p: {select: dtype == f23}}", ["5:33 in `select`: no value of axis 'dtype' is 'f23'"]),
    (AXES + "profiles: {p: {selekt: x}}", ["5:16 unknown key 'selekt' in profile 'p'"]),
    (AXES + "profiles: {p: {select: 'env ='}}", ["5:29 in `select`: unexpected '='"]),
    (AXES + "limits: {cases: many}", ["5:17 `limits.cases` must be a whole number from 1 to 5000000"]),
    ("axes: {a: [!!int 1]}", ["4:12 the tag tag:yaml.org,2002:int is not understood"]),
    ("axes: {a: [1], a: [2]}", ["4:16 'a' is here twice"]),
    ("axes: {a: [1], [b]: 1}", ["4:16 a key must be a text"]),
    ("axes: {a: [1]}\n---\nx: 1", ["5:1 a second document begins here"]),
    ("axes: {a: [*b]}", ["4:12 nothing is anchored as &b before this", "4:12 '' cannot name a value of axis 'a'"]),
    ("axes: &x {a: *x}", ["4:14 *x stands inside itself", "4:14 axis 'a' needs a list of values"]),
    ("axes: {<<: 1, a: [1]}", ["4:12 `<<` takes a mapping or a list of mappings"]),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES, ids=[text[-60:] or "nothing" for text, _ in MISTAKES])
def test_mistakes(text: str, expected: list[str]) -> None:
    assert problems(text) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1 the file is empty"),
        ("# nothing\n", "1:1 the file is empty"),
        ("[a]", "1:1 a matrix is a mapping"),
        ("a: {b: c, d", "2:1 not valid YAML"),
        ("a: {b: \x07}", "1:8 not valid YAML"),
        ("\tx: 1", "1:1 not valid YAML"),
        ("name: x\naxes: {a: [1]}\ndefaults: {workload: noop}", "1:1 the key `rmcp` is missing"),
        ("rmcp: 2\naxes: {a: [1]}\ndefaults: {workload: noop}", "1:7 this rmcp reads matrix format 1, found '2'"),
        ("rmcp: 1\naxes: {a: [1]}", "1:1 no workload is given"),
        ("rmcp: 1\naxes: {a: [1]}\ndefault: {workload: noop}", "3:1 unknown key 'default' in the matrix"),
        ("rmcp: 1\naxes: {a: [1]}\ndefaults: {worklod: noop}", "3:12 unknown key 'worklod' in `defaults`"),
    ],
)
def test_mistakes_of_the_whole_file(text: str, expected: str) -> None:
    (told,) = problems(text, head="")
    assert told.startswith(expected)


def test_an_expression_over_several_lines_is_placed_at_its_beginning() -> None:
    text = AXES + 'exclude:\n  - where: "env == t\n      and dtyp == f16"\n'
    assert problems(text) == ["6:12 in `where` near 'dtyp == f16': unknown name 'dtyp'"]
