"""`inferometer profile` when it is asked for what cannot be: said before anything is measured, with the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from command import as_nobody, call, run
from profile_runs import BARE_METAL, SHORT, TINY, save_model
from trees import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

SERVER = FIXTURES / "trees/intel_server_2s/sys"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--batch", "1,x"), "--batch: '1,x' is not a list of whole numbers from 1 to 1048576, such as 1,2,4,8"),
        (("--batch", "0"), "--batch: '0' is not"),
        (("--batch", ""), "--batch"),
        (("--batch", "1,,2"), "--batch: '1,,2' is not"),
        (("--batch", "1", "--batch", "x"), "--batch: '1,x' is not"),
        (("--prompt-tokens", "8", "--prompt-tokens", "x"), "--prompt-tokens: '8,x' is not"),
        (("--output-tokens", "8", "--output-tokens", "0"), "--output-tokens: 0 is out of range for a decoder"),
        (("--batch", "1e3"), "--batch: '1e3' is not"),
        (("--batch", "99999999999"), "--batch: '99999999999' is not"),
        (("--quick", "--rigorous"), "one of --quick, --standard and --rigorous"),
        (("--device", "t p u"), "--device: 't p u' is not the name of a device"),
        (("--repeats", 0), "--repeats: 0 is out of range: 1 to 1000"),
        (("--window-seconds", "nan"), "--window-seconds: nan is not a finite number"),
        (("--idle-seconds", "inf"), "--idle-seconds: inf is not"),
        (("--tolerance", "five"), "--tolerance: 'five' is not a share; write it as 5% or 0.05"),
        (("--tolerance", "100%"), "--tolerance: '100%' is not a share"),
        (("--tolerance", "0"), "--tolerance: '0' is not a share"),
        (("--budget", "10m"), "--tolerance"),
        (("--equivalence", "2%"), "--tolerance"),
        (("--tolerance", "5%", "--equivalence", "100%"), "--equivalence: '100%' is not a share"),
        (("--tolerance", "5%", "--budget", "10"), "--budget: '10' is not a duration; write it as 90s, 15m"),
        (("--tolerance", "5%", "--budget", "0s"), "--budget: 0s is out of range: 1 to 86400"),
        (("--tolerance", "5%", "--budget", "25h"), "--budget: 25h is out of range"),
        (("--order-seed", -1), "--order-seed: -1 is out of range: 0 or more"),
        (("--width", 33, "--heads", 2), "--width 33"),
        (("--layers", 0), "--layers: 0 is out of range: 1 to 2147483647"),
        (("--width", 10**400), "--width"),
        (("--vocabulary", 2**31), "--vocabulary: 2147483648 is out of range: 2 to 2147483647"),
        (("--layers", 10**9), "GiB of memory, "),
        (("--width", 2**30), "choose a smaller model (--preset, --layers, --width"),
        (("--vocabulary", 10**9), "a transformer of "),
        (("--prompt-tokens", 10**7), "at batch=1 needs "),
        (("--batch", "1,1048576", "--prompt-tokens", 4096), "at batch=1048576 needs "),
        (("--memory-limit", "1MiB"), "--memory-limit allows 1 MiB"),
        (("--memory-limit", "much"), "--memory-limit: 'much' is not a size"),
        (("--memory-limit", "1B"), "--memory-limit: 1B is out of range: 1MiB"),
        (("--timeout", 0), "--timeout: 0 is out of range: 1 to 604800"),
        (("--timeout", "inf"), "--timeout"),
        (("--timeout", "nan"), "--timeout"),
        (("--threads", 100000), "--threads: 100000 is out of range: 0 to "),
        (("--price-per-kwh", -1), "--price-per-kwh: -1.0 is out of range: it must be 0 or more"),
        (("--utilization", 1.5), "--utilization: 1.5 is out of range: it must be from 1e-9 to 1"),
        (("--tariff", "nowhere.toml"), "nowhere.toml: it cannot be read"),
        (("--tariff", "typo.toml"), "did you mean price_per_kwh?"),
    ],
)
def test_invalid_options_end_with_2_and_a_reason(tmp_path: Path, arguments: tuple[object, ...], words: str) -> None:
    (tmp_path / "typo.toml").write_text("prize_per_kwh = 1\n")
    result = call(tmp_path, "profile", "transformer", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "state").exists()


def test_a_shape_without_sizes_is_refused_with_the_form_to_write(tmp_path: Path) -> None:
    save_model(tmp_path / "model.onnx", [1, 3])
    result = call(tmp_path, "profile", "onnx", "--model", tmp_path / "model.onnx", "--shape", "x")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--shape x: write it as" in result.stderr
    assert "with the model loaded" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_model_file_is_named(tmp_path: Path) -> None:
    result = call(tmp_path, "profile", "onnx", "--model", "nowhere.onnx")
    assert result.returncode == 2
    assert "nowhere.onnx" in result.stderr


def test_an_unwritable_database_is_reported_before_the_run(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    database = closed / "new.db"
    line = (*TINY, *SHORT, *BARE_METAL, "--path.sysfs", SERVER, *BARE_METAL, "--database")
    with as_nobody(tmp_path) as user:
        results = [run(tmp_path, *line, database, **user)]
    results += [call(tmp_path, *line, path) for path in ("/dev/null/x.db", closed)]
    for result in results:
        assert (result.returncode, result.stdout) == (2, "")
        assert "error: " in result.stderr
        assert "--database" in result.stderr
        assert "with the model loaded" not in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("shape", "arguments", "words"),
    [
        (["batch", "seq"], (), "--dim seq=128, or give it with --shape x=1x<seq>"),
        (["batch", "seq"], ("--dim", "length=3"), "--dim length: no input of the model has a dimension of this name"),
        (["batch", "seq"], ("--dim", "seq=3", "--shape", "x=1x2"), "--shape gives this dimension"),
        ([1, 3], ("--batch", "1,2"), "--batch 2: model.onnx has no open batch dimension"),
        ([1, 3], ("--shape", "x=1x4"), "--shape x=1x4"),
        ([1, 3], ("--shape", "y=1x3"), "--shape y: the model has no such input"),
        ([1, 3], ("--input", "y=1"), "--input y: the model has no such input"),
        ([1, 3], ("--input", "x=[1,2]"), "--input x: values of the shape 2"),
        (["n", 1 << 40], (), "the input of a batch of 1"),
        ([1, 3], ("--device", "cuda"), "--device cuda"),
        ([1, 3], ("--device", "tpu"), "--device: 'tpu' is not one of auto, cpu, cuda"),
        (None, (), "broken.onnx"),
    ],
)
def test_everything_that_needs_no_measurement_is_refused_before_the_first_baseline(
    tmp_path: Path, shape: list[int | str] | None, arguments: tuple[object, ...], words: str
) -> None:
    model = tmp_path / ("broken.onnx" if shape is None else "model.onnx")
    model.write_bytes(b"no model")
    if shape is not None:
        save_model(model, shape)
    line = ("profile", "onnx", "--model", model, *arguments, "--force", "--path.sysfs", SERVER, *BARE_METAL)
    result = call(tmp_path, *line)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "checking the model" in result.stderr
    assert "idle, before" not in result.stderr


def test_a_device_that_is_not_installed_is_refused_before_the_first_baseline(tmp_path: Path) -> None:
    for more, words in (((), "--device cuda"), (("--precision", "int8"), "--precision int8 with --device cuda")):
        line = (*TINY, "--device", "cuda", *more, "--force", "--path.sysfs", SERVER, *BARE_METAL)
        result = call(tmp_path, *line)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"error: {words}" in result.stderr
        assert "idle, before" not in result.stderr
