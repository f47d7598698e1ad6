"""Values of inputs: the texts of the command line, and files that may be hostile."""

import contextlib
import hashlib
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.errors import WorkloadError
from agent.workloads.input_spec import InputFacts, InputSpec, parse_inputs, synthetic_note

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
input_files = pytest.importorskip("agent.workloads.onnx.input_files", reason="the onnx extra is not installed")
input_values = pytest.importorskip("agent.workloads.onnx.input_values", reason="the onnx extra is not installed")

INT64 = input_values.ELEMENTS["int64"]
MARK = "/tmp/inferometer-must-not-exist"


def read(path, element=INT64, array=None):
    return input_files.read_input("x", path, InputSpec(file=path, array=array), element)


def refused(path, words, **options):
    with pytest.raises(WorkloadError) as failure:
        read(path, **options)
    assert f"--input x={path.name}: " in failure.value.message
    assert words in failure.value.message
    assert failure.value.remedy


@pytest.mark.parametrize(
    ("option", "name", "text"),
    [
        ("sr=16000", "sr", "16000"),
        ("flag=true", "flag", "true"),
        (" x = -0.5 ", "x", "-0.5"),
        ("lens=[8,4]", "lens", "[8,4]"),
        ("lens=8,4", "lens", "[8,4]"),
        ("x=[]", "x", "[]"),
        ("input:0=[[1,2],[3,4]]", "input:0", "[[1,2],[3,4]]"),
    ],
)
def test_a_value_is_a_number_a_boolean_or_a_list(option, name, text):
    assert parse_inputs([option]) == {name: InputSpec(text=text)}


@pytest.mark.parametrize(
    "option", ["", "x", "x=", "=1", "x=word", "x=null", 'x="a"', "x=NaN", "x={}", "x=1,a", "x=[1,[null]]", "x=m.bin"]
)
def test_a_text_that_is_not_a_value_is_refused_with_examples(option):
    with pytest.raises(ValueError, match=r"--input .*write NAME=200, NAME=\[16, 8\], NAME=FILE.npy"):
        parse_inputs([option])


@given(st.text())
def test_any_text_is_a_value_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert len(parse_inputs([text])) == 1


def test_a_deeply_nested_list_is_refused():
    with pytest.raises(ValueError, match="--input"):
        parse_inputs(["x=" + "[" * 100_000])


def test_an_input_given_twice_is_refused():
    with pytest.raises(ValueError, match="--input x=2: the input 'x' has a value already"):
        parse_inputs(["x=1", "x=2"])


def test_a_note_on_many_synthetic_inputs_stays_short_and_harmless():
    many = [InputFacts(f"x\x1b{number}", "int64", (1, 2), "synthetic", None) for number in range(500)]
    note = synthetic_note(many)
    assert "x\\x1b0 (int64 1x2)" in note
    assert " and 488 more." in note
    assert "\x1b" not in note
    assert len(note) < 1000
    assert synthetic_note([InputFacts("x", "float32", (1,), "synthetic", None)]) is None
    assert "x (float32 scalar)" in synthetic_note([InputFacts("x", "float32", (), "synthetic", None)])


def test_a_given_input_has_a_value_or_a_file():
    with pytest.raises(ValueError, match="either a value or a file"):
        InputSpec()


def test_files_are_found_by_their_suffix_and_must_be_regular(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.arange(3))
    np.savez("b.npz", ids=np.arange(3), mask=np.ones(3))
    assert parse_inputs(["x=a.npy"]) == {"x": InputSpec(file=tmp_path / "a.npy")}
    assert parse_inputs(["ids=b.npz"]) == {"ids": InputSpec(file=tmp_path / "b.npz", array="ids")}
    assert parse_inputs(["b.npz"]) == {name: InputSpec(file=tmp_path / "b.npz", array=name) for name in ("ids", "mask")}
    os.mkfifo("pipe.npy")
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    zipfile.ZipFile("empty.npz", "w").close()
    for option, words in {
        "x=gone.npy": "gone.npy does not exist",
        "x=pipe.npy": "pipe.npy is not a regular file",
        "gone.npz": "gone.npz does not exist",
        "bad.npz": "not an .npz file",
        "empty.npz": "contains no array",
    }.items():
        with pytest.raises(ValueError, match=words):
            parse_inputs([option])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3)])
@pytest.mark.parametrize("saved", ["<i8", ">i8"])
def test_an_array_is_read_in_either_order_of_axes_and_of_bytes(tmp_path, shape, order, saved):
    values = np.asarray(np.arange(int(np.prod(shape))).reshape(shape), saved, order=order)
    path = tmp_path / "x.npy"
    np.save(path, values)
    found, digest = read(path)
    assert found.tolist() == values.tolist()
    assert found.dtype == np.int64
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", x=values)
        assert read(tmp_path / "x.npz", array="x")[0].tolist() == values.tolist()


def header(shape, dtype="'<i8'", version=b"\x01\x00"):
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text


class Payload:
    def __reduce__(self):
        return (os.mkdir, (MARK,))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header((2,), "'|O'") + pickle.dumps([Payload()]), "the array has the type object"),
        (pickle.dumps(Payload()), "no readable array"),
        (header((1 << 40,)), "declares 8796093022208 bytes"),
        (header((-5,)), "declares"),
        (header((4,)) + b"\0" * 8, "truncated"),
        (header((1,)) + b"\0" * 9, "longer than the 8 bytes"),
        (header((2,), "'<f4'") + b"\0" * 8, "the array has the type float32, the model takes int64"),
        (header((1,), version=b"\x09\x00"), "no readable array"),
        (header("__import__('os').system('true')"), "no readable array"),
        (b"", "no readable array"),
        (b"\x93NUMPY\x01\x00", "no readable array"),
    ],
)
def test_a_file_without_a_valid_array_of_the_type_is_refused(tmp_path, content, words):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    refused(path, words)
    archive = tmp_path / "x.npz"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("x.npy", content)
    refused(archive, words, array="x")
    assert not Path(MARK).exists()


def test_an_archive_without_the_array_is_refused_with_the_names_of_its_arrays(tmp_path):
    np.savez(tmp_path / "x.npz", ids=np.arange(3))
    with pytest.raises(WorkloadError, match="no array 'x'") as failure:
        read(tmp_path / "x.npz", array="x")
    assert failure.value.remedy == "its arrays are ids"


def test_a_damaged_archive_is_refused(tmp_path):
    content = io.BytesIO()
    np.savez_compressed(content, x=np.arange(1000))
    damaged = bytearray(content.getvalue())
    damaged[60:80] = b"\xff" * 20
    path = tmp_path / "x.npz"
    path.write_bytes(damaged)
    refused(path, "no readable array", array="x")


def test_a_file_of_more_than_two_gibibytes_is_refused_by_its_size(tmp_path):
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        file.truncate(input_files.MOST_BYTES + 1)
    refused(path, f"the file has {input_files.MOST_BYTES + 1} bytes")


def test_an_archive_that_unpacks_to_too_many_bytes_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(input_files, "MOST_BYTES", 100_000)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(1_000_000, np.int64))
    assert (tmp_path / "x.npz").stat().st_size < 100_000
    refused(tmp_path / "x.npz", "declares 8000000 bytes", array="x")


def test_a_vanished_file_is_an_error_without_a_traceback(tmp_path):
    refused(tmp_path / "gone.npy", "No such file")
