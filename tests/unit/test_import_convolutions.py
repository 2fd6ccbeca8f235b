"""MIOpen command logs in all their forms, and CSV files, as matrices."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmcp.catalogue.driver import read_log
from rmcp.catalogue.table import looks_like_table, read_table
from rmcp.catalogue.write import matrix_name
from rmcp.cli import main
from rmcp.errors import UserError
from rmcp.matrix.expand import expand
from rmcp.matrix.load import load_text
from rmcp_torch.catalogue import Convolution, Sightings, arguments, from_dict, matrix_text, name_of

PLAIN = "-n 128 -c 3 -H 32 -W 32 -k 64 -y 3 -x 3 -p 1 -q 1 -u 1 -v 1 -l 1 -j 1 -m conv -g 1 -F 1 -t 1"
NHWC = " --in_layout NHWC --fil_layout NHWC --out_layout NHWC"
ONE = Convolution(128, 3, (32, 32), 64, (3, 3), (1, 1), (1, 1), (1, 1), bias=False)


def only(text: str) -> tuple[Convolution, Sightings]:
    found = read_log(text)
    assert not found.skipped
    ((one, seen),) = found.convolutions.items()
    return one, seen


@pytest.mark.parametrize(
    "line",
    [
        f"MIOpen(HIP): Command [LogCmdConvolution] ./bin/MIOpenDriver conv {PLAIN}",
        f"MIOpen(HIP): Command [LogCmdFindConvolution] ./bin/MIOpenDriver conv {PLAIN}",
        f"MIOpen(OpenCL): Command [LogCmdConvolution] ./bin/MIOpenDriver conv {PLAIN}",
        f"MIOpen: Command [LogCmdConvolution] ./bin/MIOpenDriver conv {PLAIN}",
        f"MIOpen(HIP): Command [LogCmdConvolution] MIOpenDriver.exe conv {PLAIN}",
        f"[4711 4712] 3.141 MIOpen(HIP): Command [LogCmdConvolution] ./bin/MIOpenDriver conv {PLAIN} -S 11",
        f"miopenConvolutionForward: ./bin/MIOpenDriver conv {PLAIN}",
        f"> MIOpen(HIP): Command [LogCmdConvolution] ./bin/MIOpenDriver conv {PLAIN}",
        "> > MIOpen: Command [LogCmdConvolution] ./bin/MIOpenDriver conv -n 128 -c 3 -H 32 -W 32 -k\n"
        "> > 64 -y 3 -x 3 -p 1 -q 1 -u 1\n> > -v 1 -l 1 -j 1 -m conv -g 1 -F 1 -t 1\n> > thank you",
        '"MIOpen(HIP): Command [LogCmdConvolution] ./bin/MIOpenDriver conv -n 128 -c 3 -H 32 -W 32 -k "\n'
        '    "64 -y 3 -x 3 -p 1 -q 1 -u 1 -v 1 -l 1 -j 1 -m conv -g 1 -F 1 -t 1";',
        f"`MIOpenDriver conv {PLAIN}`",
        "MIOpenDriver conv --batchsize 128 --in_channels 3 --in_h 32 --in_w 32 --out_channels 64 --fil_h 3 "
        "--fil_w 3 --pad_h 1 --pad_w 1 --spatial_dim 2 --group_count 1 --mode conv --pad_mode default "
        "--forw 1 --in_d 1 --pad_d 0",
        f"./bin/MIOpenDriver conv {PLAIN} -in_layout=NCHW\r\nnext line",
        "./bin/MIOpenDriver conv \\\n  -n 128 -k 64 \\\n  -p 1 -q 1 -F 1",  # the rest: defaults
    ],
)
def test_every_form_of_a_line(line: str) -> None:
    one, seen = only(line)
    assert one == ONE
    assert (seen.forward, seen.backward, seen.places) == (1, 0, {"forward": 1})


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("convfp16 " + PLAIN, ONE._replace(dtype="float16")),
        ("convbfp16 " + PLAIN, ONE._replace(dtype="bfloat16")),
        ("conv " + PLAIN + NHWC, ONE._replace(memory_format="channels_last")),
        ("conv " + PLAIN + " -g 3 -c 96 -k 96", ONE._replace(groups=3, c=96, k=96)),
        ("conv " + PLAIN + " -m trans -Y 1 -X 0", ONE._replace(transposed=True, output_padding=(1, 0))),
        ("conv " + PLAIN + " -u 2 -v 3 -l 4 -j 5 -y 1 -x 384 -p 0 -q 128",
         ONE._replace(stride=(2, 3), dilation=(4, 5), kernel=(1, 384), padding=(0, 128))),
        ("conv " + PLAIN + " -z valid", ONE._replace(padding=(0, 0))),
        (
            "conv -n 1 -c 16 --in_d 5 -H 104 -W 60 -k 16 --fil_d 1 -y 1 -x 1 --pad_d 0 -p 0 -q 0 "
            "--conv_stride_d 2 -u 1 -v 1 --dilation_d 1 -l 1 -j 1 --spatial_dim 3 --in_layout NDHWC "
            "--fil_layout NDHWC --out_layout NDHWC -F 1",
            Convolution(1, 16, (5, 104, 60), 16, (1, 1, 1), (2, 1, 1), (0, 0, 0), (1, 1, 1), bias=False,
                        memory_format="channels_last"),
        ),
    ],
)  # fmt: skip
def test_what_the_flags_mean(flags: str, expected: Convolution) -> None:
    assert only("./bin/MIOpenDriver " + flags)[0] == expected


@pytest.mark.parametrize(
    ("forw", "forward", "backward"),
    [
        ("-F 0", 1, 1),
        ("", 1, 1),
        ("-F 1", 1, 0),
        ("-F 2", 0, 1),
        ("-F 4", 0, 1),
        ("-F 3", 1, 1),
        ("-F 6", 0, 1),
    ],
)
def test_directions(forw: str, forward: int, backward: int) -> None:
    _, seen = only(f"MIOpenDriver conv -n 1 {forw}")
    assert (seen.forward, seen.backward) == (forward, backward)


def test_duplicates_are_one_case_with_counts() -> None:
    line = "MIOpen(HIP): Command [LogCmd{}Convolution] ./bin/MIOpenDriver conv {} -F {} -t 1\n"
    base = PLAIN.replace(" -F 1 -t 1", "")
    text = "".join(line.format(find, base, way) for way in (1, 2, 4) for find in ("Find", ""))
    _, seen = only(text)
    assert (seen.forward, seen.backward) == (2, 4)
    assert seen.places == {"forward": 2, "data gradient": 2, "weight gradient": 2}
    matrix = load_text(matrix_text(read_log(text).convolutions, "m", "d"), "m.yaml")
    (case,) = expand(matrix).cases
    assert case.args["direction"] == "backward"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("bnorm -n 1 -c 2", "MIOpenDriver bnorm"),
        ("rnn -n 1", "MIOpenDriver rnn"),
        ("convint8 -n 1", "MIOpenDriver convint8"),
        ("conv -m weird", "mode weird"),
        ("conv -n many", "a command whose batchsize is 'many'"),
        ("conv -H 0", "a command with sizes that make no convolution"),
        ("conv -c 3 -g 2", "a command whose groups do not divide its channels"),
        ("conv --in_layout CHWN", "layout CHWN"),
        ("conv -z same", "pad mode same"),
    ],
)
def test_what_is_passed_over_is_counted(command: str, reason: str) -> None:
    found = read_log(f"./bin/MIOpenDriver {command}\n./bin/MIOpenDriver {command}\n")
    assert found.convolutions == {}
    assert found.skipped == {reason: 2}
    assert found.commands == 2


def test_zero_batch_is_a_convolution() -> None:
    assert only("MIOpenDriver conv -n 0")[0].n == 0


@given(st.text())
def test_no_text_raises(text: str) -> None:
    read_log("./bin/MIOpenDriver conv " + text)
    read_log(text)


dims = st.integers(1, 40)
convolutions = st.builds(
    Convolution,
    n=st.integers(0, 64),
    c=st.just(24),
    size=st.tuples(dims, dims),
    k=st.just(48),
    kernel=st.tuples(dims, dims),
    stride=st.tuples(dims, dims),
    padding=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    dilation=st.tuples(dims, dims),
    groups=st.sampled_from([1, 2, 24]),
    bias=st.booleans(),
    transposed=st.booleans(),
    output_padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dtype=st.sampled_from(["float32", "float16", "bfloat16"]),
    memory_format=st.sampled_from(["contiguous", "channels_last", "preserve"]),
    autocast=st.sampled_from(["", "float16"]),
)


@given(st.lists(convolutions, min_size=1, max_size=8, unique=True), st.text(max_size=30), st.booleans())
def test_a_matrix_holds_exactly_the_convolutions(ones: list[Convolution], place: str, backward: bool) -> None:
    seen = {}
    for one in ones:
        seen[one] = Sightings(2, int(backward))
        seen[one].places[place] = 2
        assert from_dict({k: list(v) if isinstance(v, tuple) else v for k, v in one._asdict().items()}) == one
    cases = expand(load_text(matrix_text(seen, "m", place or "d"), "m.yaml")).cases
    direction = "backward" if backward else "forward"
    assert [dict(case.args) for case in cases] == [arguments(one, direction) for one in ones]
    assert all(case.workload == "conv2d" for case in cases)
    assert len({case.id for case in cases}) == len(ones)


def test_workloads_of_other_dimensions_in_one_matrix() -> None:
    flat = Convolution(1, 4, (64,), 8, (16,), (1,), (0,), (1,))
    deep = Convolution(1, 4, (4, 8, 8), 8, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1))
    text = matrix_text({flat: Sightings(1), deep: Sightings(1, 1)}, "m", "d")
    cases = expand(load_text(text, "m.yaml")).cases
    assert [case.workload for case in cases] == ["conv1d", "conv3d"]
    assert cases[1].args["kernel"] == [1, 3, 3]


def test_names_say_what_is_unusual() -> None:
    assert name_of(ONE) == "n128-c3-k64-32x32-f3-p1"
    odd = Convolution(
        1, 8, (22, 1000), 16, (22, 1), (1, 1), (0, 0), (1, 2), 8, True, False, (), "float16", "channels_last"
    )
    assert name_of(odd) == "c8-k16-22x1000-f22x1-d1x2-dw-fp16-nhwc-b"


def test_a_csv_with_other_column_names() -> None:
    text = "# c\nname,Batch,in_channels,height,width,filters,kernel,stride,pad,groups,"
    text += "dtype,direction,count,bias,layout\n"
    text += "conv1,2,3,8,9,4,3,2,1,1,fp16,train,5,true,NHWC\n\nconv2,,4,8,8,4,1,,,2,,,,,\n"
    found = read_table(text, "f.csv")
    first, second = found.convolutions.items()
    assert first[0] == Convolution(
        2,
        3,
        (8, 9),
        4,
        (3, 3),
        (2, 2),
        (1, 1),
        (1, 1),
        1,
        True,
        dtype="float16",
        memory_format="channels_last",
    )
    assert (first[1].forward, first[1].backward, first[1].places) == (5, 5, {"conv1": 5})
    assert second[0] == Convolution(1, 4, (8, 8), 4, (1, 1), (1, 1), (0, 0), (1, 1), 2, False)
    assert second[1].backward == 0
    assert found.commands == 6


def test_bad_rows_are_all_named_and_missing_columns_too() -> None:
    header = "n,c,h,w,k,kernel\n"
    with pytest.raises(UserError) as error:
        read_table(header + "1,3,x,8,4,3\n1,3,8,8,4\n1,3,8,8,4,0\n1,3,8,8,4,3\n", "f.csv")
    for place in ("f.csv:2: h is 'x'", "f.csv:3: 5 cells under 6", "f.csv:4: kernel_h is 0"):
        assert place in str(error.value)
    with pytest.raises(UserError, match=r"no column for c, kernel_h, kernel_w .*did you mean"):
        read_table("n,h,w,k,channel,kernle\n", "f.csv")
    with pytest.raises(UserError, match="no rows"):
        read_table("# nothing\n", "f.csv")


def test_a_log_is_no_table() -> None:
    assert looks_like_table("# x\nset,n,c,h,w,k,r_h,s_w\n")
    assert not looks_like_table(f"MIOpen(HIP): Command ./bin/MIOpenDriver conv {PLAIN}\n")
    assert not looks_like_table("")


@pytest.mark.skipif("RMCP_SHAPES" not in os.environ, reason="RMCP_SHAPES names no folder of shape catalogues")
def test_deepbench(tmp_path: Path) -> None:
    out = tmp_path / "deepbench.yaml"
    source = Path(os.environ["RMCP_SHAPES"]) / "deepbench-conv.csv"
    assert main(["import", str(source), "--out", str(out)]) == 0
    found = read_table(source.read_text(), "d")
    assert found.commands == 217
    matrix = load_text(out.read_text(), str(out))
    cases = expand(matrix).cases
    assert len(cases) == len(found.convolutions)
    # The first row of the file: w comes first in DeepBench's source, the CSV names its columns.
    assert cases[0].args == {
        "n": 4, "c": 1, "h": 161, "w": 700, "k": 32, "kernel": [5, 20], "stride": 2, "bias": False,
        "direction": "backward",
    }  # fmt: skip


@pytest.mark.skipif("RMCP_CRASH_CORPUS" not in os.environ, reason="RMCP_CRASH_CORPUS names no folder")
def test_real_logs() -> None:
    commands = 0
    for path in Path(os.environ["RMCP_CRASH_CORPUS"]).glob("*.txt"):
        text = path.read_text(errors="replace")
        found = read_log(text)
        commands += found.commands
        assert sum(found.skipped.values()) + len(found.convolutions) <= max(1, found.commands)
        if "MIOpenDriver conv " in text:
            assert found.convolutions, path.name
    assert commands


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "my log.txt"
    log.write_text(f"noise\nMIOpen: Command ./bin/MIOpenDriver conv {PLAIN}\n./bin/MIOpenDriver bnorm -n 1\n")
    assert main(["import", str(log)]) == 0
    printed = capsys.readouterr()
    assert expand(load_text(printed.out, "m.yaml")).cases[0].args["n"] == 128
    assert "passed over 1 x MIOpenDriver bnorm" in printed.err
    assert 'name: "my-log"' in printed.out
    out = tmp_path / "m.yaml"
    assert main(["import", str(log), "-o", str(out)]) == 0
    capsys.readouterr()
    assert main(["import", str(log), "-o", str(out)]) == 4
    assert "already there" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"nothing here")))
    assert main(["import", "-"]) == 4
    assert "no convolution" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "no")]) == 4


@given(st.text())
def test_matrix_names_are_names(text: str) -> None:
    name = matrix_name(text)
    assert name
    assert all(c.isascii() and (c.isalnum() or c in "._+-") for c in name)
