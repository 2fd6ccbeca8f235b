"""Policies: the cheapest sufficient remedy, its proof and its files; the bug-report bundle and its secrets."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmcp.diagnose.bundle import make_bundle, without_secrets
from rmcp.diagnose.explain import explanations
from rmcp.diagnose.policy import compile_policy
from rmcp.diagnose.policy_files import decision_page, env_text, policy_text, retest_text
from rmcp.diagnose.study import study
from rmcp.diagnose.variants import case_of
from rmcp.matrix.load import load_text
from rmcp.runs.model import AttemptRecord, CaseRecord, Run
from rmcp.words import Cause, Outcome
from rmcp_torch.workarounds.policy import parse

SIGNATURE = "crash|segfault|SIGSEGV"


def a_run(tmp_path, works, slow, remedies=("none", "unfold", "cpu"), envs=("stock",)):
    """`works(env, workaround)` on the guilty shapes; ``slow`` gives the time of each workaround."""
    cases = []
    for env, workaround, size, c in itertools.product(envs, remedies, (28, 43, 56), (3, 16, 20)):
        axes = {"env": env, "workaround": workaround, "shape": f"c{c}-h{size}"}
        args = {"n": 1, "c": c, "h": size, "w": size, "k": 16, "kernel": 3, "padding": 1, "workaround": workaround}
        guilty = size * size >= 1849 and c % 8 != 0 and not works(env, workaround)
        outcome = Outcome.CRASH if guilty else Outcome.PASS
        name = f"conv2d[{'/'.join(axes.values())}]"
        attempt = AttemptRecord(
            1, outcome, Cause.SEGFAULT if guilty else Cause.NONE, "SIGSEGV" if guilty else None,
            signature=SIGNATURE if guilty else "", metrics={} if guilty else {"median_s": slow[workaround]},
        )  # fmt: skip
        patch = {"MIOPEN_DEBUG_CONV_DIRECT": "0"} if env == "off" else {}
        cases.append(
            CaseRecord(name, name, name, "conv2d", axes, args, patch, {"name": "this"}, outcome, attempts=(attempt,))
        )
    return Run("run-1", tmp_path, {}, tuple(cases), runtimes={"this": {"torch": "2.0", "hip": "6.2", "device": "rocm"}})


def compiled_of(run):
    found = study(run)
    return compile_policy(found, explanations(found, {s: found.localise(s) for s in found.signatures()}))


SLOW = {"none": 1.0, "unfold": 2.5, "cpu": 1.1}


def test_the_cheapest_that_is_sufficient_is_taken_and_the_cpu_only_last(tmp_path):
    compiled = compiled_of(a_run(tmp_path, lambda env, w: w in ("unfold", "cpu"), SLOW))
    (choice,) = compiled.choices
    assert choice.remedy.value == "unfold"
    assert choice.remedy.slowdown == pytest.approx(2.5)
    assert (choice.remedy.cured, choice.remedy.failing) == (4, 4)
    assert choice.scope["rocm"] == "6.2"
    only_cpu = compiled_of(a_run(tmp_path, lambda env, w: w == "cpu", SLOW))
    assert only_cpu.choices[0].remedy.value == "cpu"


def test_an_environment_that_cures_goes_into_the_shell_file(tmp_path):
    run = a_run(tmp_path, lambda env, w: env == "off" or w == "cpu", SLOW, ("none", "cpu"), ("stock", "off"))
    compiled = compiled_of(run)
    assert compiled.choices[0].remedy.kind == "env"
    assert dict(compiled.env) == {"MIOPEN_DEBUG_CONV_DIRECT": "0"}
    text = env_text(compiled, "2027-01-01", run.id)
    assert "export MIOPEN_DEBUG_CONV_DIRECT=0" in text
    out = subprocess.run(
        [shutil.which("sh"), "-c", text + "echo $MIOPEN_DEBUG_CONV_DIRECT"],
        capture_output=True, text=True, timeout=10, check=True,
    )  # fmt: skip
    assert out.stdout == "0\n"


def test_an_environment_that_breaks_others_is_not_taken(tmp_path):
    run = a_run(tmp_path, lambda env, w: env == "off" or w == "unfold", SLOW, ("none", "unfold"), ("stock", "off"))
    broken = tuple(
        CaseRecord(
            c.id, c.key, c.row, c.workload, c.axes, c.args, c.env, c.runtime, Outcome.MISMATCH,
            attempts=(AttemptRecord(1, Outcome.MISMATCH, signature="mismatch|x"),),
        )
        if c.axes["env"] == "off" and c.args["h"] == 28
        else c
        for c in run.cases
    )  # fmt: skip
    compiled = compiled_of(Run("r", tmp_path, {}, broken, runtimes=run.runtimes))
    crash = next(c for c in compiled.choices if c.explanation.signature == SIGNATURE)
    assert crash.remedy.value == "unfold"


def test_where_nothing_works_it_says_so(tmp_path):
    run = a_run(tmp_path, lambda env, w: False, SLOW, ("none", "unfold"))
    compiled = compiled_of(run)
    assert compiled.unsolved
    page = decision_page(compiled, run.id)
    assert "no configuration passed everything" in page
    assert "CPU" in page
    assert json.loads(policy_text(compiled, "2027-01-01", "r"))["rules"] == []


def test_the_file_is_what_the_target_reads_and_matches_only_the_guilty_layers(tmp_path):
    run = a_run(tmp_path, lambda env, w: w == "unfold", SLOW, ("none", "unfold"))
    text = policy_text(compiled_of(run), "2027-01-01", run.id)
    policy = parse(json.loads(text))
    (rule,) = json.loads(text)["rules"]
    assert rule["expires"] == "2027-01-01"
    assert rule["proof"]["cured"] == rule["proof"]["failing"] == 4
    assert rule["proof"]["signature"] == SIGNATURE
    assert len(rule["cases"]) == 4
    base = {"n": 1, "k": 16, "kernel": 3, "stride": 1, "padding": 1, "dilation": 1, "groups": 1, "dtype": "float32"}
    for size, c in itertools.product((28, 43, 56), (3, 16, 20)):
        arguments = {**base, "c": c, "h": size, "w": size, "hw": size * size, "memory_format": "contiguous"}
        guilty = size * size >= 1849 and c % 8 != 0
        assert policy.choose(arguments) == ("unfold" if guilty else "none"), (size, c, rule["where"])


def test_the_retest_file_is_an_expectations_file(tmp_path):
    run = a_run(tmp_path, lambda env, w: w == "unfold", SLOW, ("none", "unfold"))
    data = json.loads(retest_text(compiled_of(run), "2027-01-01", run.id))
    assert data["rmcp"] == 1
    (entry,) = data["expect"]
    assert entry["outcome"] == ["crash"]
    text = json.dumps({
        "rmcp": "1", "name": "m", "defaults": {"workload": "conv2d"},
        "axes": {
            "workaround": ["none", "unfold"],
            "shape": {"values": {
                f"c{c}-h{h}": {"args": {"n": 1, "c": c, "h": h, "w": h, "k": 16, "kernel": 3}}
                for h in (28, 43, 56) for c in (3, 16, 20)
            }},
        },
        "expect": data["expect"],
    })  # fmt: skip
    assert len(load_text(text, "m.yaml").expect) == 1


PLANTED = {
    "HF_TOKEN": "hf_abcdefghijklmnopqrstuvwxyz0123",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIplantedK7MDENG",
    "MIOPEN_PLANTED_TOKEN": "plantedmiopentoken",
    "GITHUB_TOKEN": "ghp_planted0123456789abcdefghij",
    "DATABASE_URL": "postgres://user:plantedpassword@db/x",
}


def test_no_planted_secret_gets_into_the_bundle(tmp_path):
    run = a_run(tmp_path, lambda env, w: False, SLOW, ("none",))
    record = next(c for c in run.cases if c.outcome is Outcome.CRASH)
    logs = tmp_path / "attempts" / "x" / "1"
    logs.mkdir(parents=True)
    leak = "\n".join(f"{name}={value}" for name, value in PLANTED.items())
    (logs / "stderr.txt").write_text(
        leak
        + "\nconnecting to https://bob:plantedpw@example.org/x\nAuthorization: Bearer plantedbearer\n"
        + "-----BEGIN RSA PRIVATE KEY-----\nplantedkey\n-----END RSA PRIVATE KEY-----\n"
        + "/home/plantedname/x.py\nSegmentation fault\n"
    )
    attempt = AttemptRecord(
        1, Outcome.CRASH, Cause.SEGFAULT, "SIGSEGV", signature=SIGNATURE, directory="attempts/x/1",
        message="died with HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz0123",
    )  # fmt: skip
    record = CaseRecord(
        record.id, record.key, record.row, record.workload, record.axes, record.args,
        {"MIOPEN_DEBUG_CONV_DIRECT": "0", **PLANTED}, record.runtime, Outcome.CRASH, attempts=(attempt,),
    )  # fmt: skip
    facts = {"hostname": "plantedhost", "kernel": "6.1", "gpus": [{"name": "RX 5700", "unique_id": "plantedserial"}]}
    run = Run("r", tmp_path, {}, run.cases, facts=facts, runtimes=run.runtimes)
    environ = {**PLANTED, "HSA_ENABLE_SDMA": "0", "PATH": "/home/plantedname/bin", "USER": "plantedname"}
    path = tmp_path / "bundle.zip"
    make_bundle(case_of(record), record, run, environ, ["h: 56 -> 43"]).write(path)
    with zipfile.ZipFile(path) as archive:
        everything = {name: archive.read(name).decode() for name in archive.namelist()}
    for name, text in everything.items():
        for secret in (*PLANTED.values(), "planted"):
            assert secret not in text, (name, secret)
    assert "Segmentation fault" in everything["logs/stderr.txt"]
    assert "MIOPEN_DEBUG_CONV_DIRECT=0" in everything["environment.txt"]
    assert "HSA_ENABLE_SDMA=0" in everything["environment.txt"]
    assert "RX 5700" in everything["facts.json"]
    for heading in ("Operating system", "GPU", "ROCm", "Steps to reproduce", "PyTorch"):
        assert heading in everything["README.md"]
    assert len(everything["repro.py"].splitlines()) < 30


def test_equal_content_gives_equal_bundles(tmp_path):
    run = a_run(tmp_path, lambda env, w: False, SLOW, ("none",))
    record = run.cases[-1]
    for name in ("a.zip", "b.zip"):
        make_bundle(case_of(record), record, run, {}, []).write(tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@given(st.sampled_from(sorted(PLANTED)), st.sampled_from(["=", ": ", '": "', "='"]))
def test_secrets_by_name_are_hidden_in_any_writing(name, sign):
    if name != "DATABASE_URL":
        assert "XYZplanted" not in without_secrets(f"x {name}{sign}XYZplanted y")


@given(st.text(alphabet="abc =:\n/0123456789", max_size=60))
def test_harmless_text_stays(text):
    assert without_secrets(text) == text
