"""Nothing that a run says is ever interpreted, and the filter's two implementations agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import synthetic
from conftest import OpenPage

from rmcp.compare import compare
from rmcp.report.comparison import write_comparison
from rmcp.report.html import write_html
from rmcp.runs.model import Problem, Run
from rmcp.words import Outcome

# ruff: noqa: E501
pytestmark = pytest.mark.browser
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "expressions.json").read_text(encoding="utf-8"))
EVIL = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>"
    "<!--<script>{{7*7}}${alert(4)}\x1b]8;;javascript:alert(5)\x07\x1b[31mred\x1b[0m\u202egnp.exe\u2066\x00\ud800'\"`|\\"
)


def hostile_run(path: Path, long: int) -> Run:
    """A run in which every text is hostile and one line is ``long`` characters."""
    text = EVIL + "x" * long
    one = synthetic.attempt(
        1, Outcome.CRASH, message=text, signature=text, titles=(EVIL,), notes=(text,), phase=EVIL,
        phases=((EVIL, 0.1), ("b", 0.2)), fields={EVIL: text, "address": EVIL}, metrics={EVIL: EVIL},
        observed={EVIL: [EVIL]}, checks=({"name": EVIL, "fingerprint": EVIL, "picture": [EVIL]},), signal=EVIL,
        predecessors=(EVIL,), level=EVIL, source=EVIL,
    )  # fmt: skip
    cases = [
        synthetic.case(
            {EVIL: EVIL, "other": name}, Outcome.CRASH, attempts=(one,), id=EVIL + name, reason=text, env={EVIL: text},
            args={EVIL: EVIL}, runtime={"name": EVIL}, workload=EVIL, signature=text, stability=EVIL, device=EVIL, signal=EVIL,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    run = synthetic.run_of(
        cases, path, id=EVIL, facts={EVIL: EVIL, "gfx": EVIL}, runtimes={EVIL: {EVIL: EVIL, "torch": EVIL}},
        manifest={"matrix": {"name": EVIL, "path": EVIL}, "options": {EVIL: EVIL}}, problems=(Problem(EVIL, text),),
    )  # fmt: skip
    (path / "explain.json").write_text(json.dumps([{"sentence": EVIL, "rule": EVIL, "proof": [EVIL]}]))
    return synthetic.store_texts(run, {"stderr.txt": text + "\n" + text, "kernel.log": text, "stacks.txt": text})


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile")
    write_html(hostile_run(path, 1_000_000), path / "report.html")
    return path / "report.html"


def poke(page: Any) -> None:
    """Open everything there is."""
    page.locator(".grid-body [role=row]").first.click()
    page.locator("#drawer details.evidence").first.wait_for()
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    for tab in range(page.locator("[role=tab]").count()):
        page.evaluate("n => document.querySelectorAll('[role=tab]')[n].click()", tab)
        page.wait_for_timeout(30)


def test_hostile_texts_do_nothing(open_page: OpenPage, hostile_page: Path) -> None:
    assert hostile_page.stat().st_size < 2_000_000, "a megabyte of one line is cut"
    page = open_page(hostile_page)
    poke(page)
    assert page.evaluate("document.querySelectorAll('script').length") == 4, "index, columns, evidence, program"
    assert page.evaluate("document.querySelectorAll('img, svg, iframe, object, embed, base, link, form').length") == 0
    text = page.locator("#drawer").inner_text()
    assert "<script>alert(1)</script>" in text
    assert "\x1b" not in text
    assert "\u202e" not in page.locator("body").inner_text()
    assert "‹U+202E›" in text
    copied = page.evaluate("document.querySelector('#drawer details.repro').textContent")
    assert "\u202e" not in copied.split("env ")[0]


def test_hostile_comparison(open_page: OpenPage, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    run = hostile_run(tmp_path / "a", 10)
    other = synthetic.run_of(run.cases[:1], tmp_path / "b", id=EVIL + "2", facts={EVIL: EVIL + "2"})
    write_comparison(compare([run, other]), tmp_path / "c.html")
    page = open_page(tmp_path / "c.html", "#tab=all")
    page.locator(".grid-body [role=row]").first.click()
    for tab in range(page.locator("[role=tab]").count()):
        page.evaluate("n => document.querySelectorAll('[role=tab]')[n].click()", tab)
    assert page.evaluate("document.querySelectorAll('script').length") == 3, "index, columns, program"
    assert page.evaluate("document.querySelectorAll('img, svg').length") == 0


def test_hostile_address(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(
        run_page,
        "#q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&case=%3Cscript%3E&tab=__proto__&g=constructor&s=-toString",
    )
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.locator("[role=tab]").count() >= 4


def test_the_policy_holds(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page, quiet=False)
    ran = page.evaluate(
        """async () => {
          const done = {};
          // Not at once: what the debugger itself evaluates may use eval.
          await new Promise((resolve) => setTimeout(resolve, 10));
          try { eval('done.eval = true'); } catch (error) { done.evalError = error.name; }
          globalThis.inlineRan = false;
          const script = document.createElement('script');
          script.textContent = 'globalThis.inlineRan = true';
          document.body.append(script);
          const button = document.createElement('button');
          button.setAttribute('onclick', 'globalThis.inlineRan = true');
          document.body.append(button);
          button.click();
          done.inline = globalThis.inlineRan;
          try { await fetch('http://127.0.0.1:9/x'); done.fetch = 'went'; } catch (error) { done.fetch = error.name; }
          const image = new Image();
          done.image = await new Promise((resolve) => { image.onload = () => resolve('loaded'); image.onerror = () => resolve('refused'); image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw='; });
          return done;
        }"""
    )
    assert ran == {"evalError": "EvalError", "inline": False, "fetch": "TypeError", "image": "refused"}


def test_filter_vectors(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page)
    results = page.evaluate(
        """vectors => vectors.map(({ expr, facts, types }) => {
          try {
            return { result: [false, true, null][rmcp.evaluate(rmcp.compileExpression(expr, null, types), facts)] };
          } catch (error) {
            if (error.offset === undefined) return { broken: String(error) };
            return { error: error.offset };
          }
        })""",
        VECTORS,
    )
    wrong = []
    for vector, result in zip(VECTORS, results, strict=True):
        expected = {"error": vector["error"]} if "error" in vector else {"result": vector["result"]}
        if result != expected:
            wrong.append((vector["expr"][:80], vector["facts"], expected, result))
    assert wrong == []


def test_columns_and_single_facts_agree(open_page: OpenPage, run_page: Path) -> None:
    """The page judges a leaf once per distinct value; row by row it must come to the same."""
    page = open_page(run_page)
    wrong = page.evaluate(
        """() => {
          const { table } = rmcp.view;
          const texts = ['dtype == float16 and not env in [env1, env2] or outcome == crash', 'shape == c3-h?-k[13] and seconds >= 1.5',
            'nosuch == 1 or dtype == float32', 'not nosuch == 1', 'rocm >= 6.1 and env != env0', 'is:bad and not is:flaky'];
          const wrong = [];
          for (const text of texts) {
            const node = rmcp.compileExpression(text, null, {});
            const mask = table.truth(node);
            for (let row = 0; row < table.n; row++) {
              const facts = {};
              for (const [name, source] of table.names) {
                if (source.columns || name === '_rank') continue; // the order in which rows come first is no fact
                facts[name] = source.nums ? source.nums[row] : source.pool[source.codes[row]];
              }
              if (rmcp.evaluate(node, facts) !== mask[row]) wrong.push([text, row]);
            }
          }
          return wrong;
        }"""
    )
    assert wrong == []
