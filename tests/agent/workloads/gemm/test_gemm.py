"""Products of matrices: the options, the counts, the results of the engines and their check."""

import pytest

from agent.workloads.axes import request
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.gemm.spec import GemmSpec, check_memory
from agent.workloads.limits import Limits
from agent.workloads.runner.timing import measure

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
pytest.importorskip("agent.workloads.engines.onnxruntime", reason="the onnx extra is not installed")
workload = pytest.importorskip("agent.workloads.gemm.workload", reason="the onnx extra is not installed")
matrices = pytest.importorskip("agent.workloads.gemm.matrices", reason="the onnx extra is not installed")

ENGINE = EngineSpec(device="cpu", threads=1)
SIZES = {"m": 5, "n": 7, "k": 11}


def loaded(**settings):
    spec = GemmSpec(**SIZES, **settings)
    return workload.load(spec, ENGINE), spec


@pytest.mark.parametrize(
    ("engine", "dtype"), [("numpy", "fp64"), ("numpy", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8")]
)
def test_the_product_of_each_engine_is_that_of_exact_arithmetic(engine, dtype):
    own, spec = loaded(engine=engine, dtype=dtype)
    product = own._multiplier.product(spec)
    product.run()
    left, right = (each.astype(np.float64) for each in product.operands())
    assert (left.shape, right.shape) == ((5, 11), (11, 7))
    assert np.allclose(product.take_result(), left @ right, rtol=1e-5)


def test_an_inference_is_one_product_of_counted_operations():
    own, _ = loaded()
    assert (own.ready.engine, own.ready.provider, own.ready.device, own.ready.precision) == (
        *("numpy", "cpu", "cpu", "fp32"),
    )
    assert own.ready.version.startswith(np.__version__)
    phase = own.prepare({"dtype": "fp32", "m": 3})["product"]
    assert (phase.inferences, phase.work.operations, phase.work.moved_bytes) == (1, 2 * 3 * 7 * 11, None)
    assert measure("product", phase, 0.0, 4).inferences == 4


def test_a_wrong_product_is_found_after_the_window():
    own, spec = loaded()
    product = own._multiplier.product(spec)
    verify = workload._check_of(product, spec, "dtype=fp32")
    product.run()
    product._result[2, 3] += 1
    with pytest.raises(WorkloadError, match="dtype=fp32: the product has a relative error of"):
        verify()
    with pytest.raises(WorkloadError, match="error of nan"):
        verify()  # nothing was multiplied since the last check


def test_an_integer_product_may_have_no_error_at_all():
    own, spec = loaded(engine="onnxruntime", dtype="int8")
    product = own._multiplier.product(spec)
    verify = workload._check_of(product, spec, "dtype=int8")
    product.run()
    verify()


def test_every_bit_of_an_element_is_random():
    left, right = matrices.matrices(GemmSpec(m=64, n=64, k=64))
    assert -1 <= left.min() < -0.9 < 0.9 < right.max() <= 1
    assert np.unique(left).size > 4000
    whole, _ = matrices.matrices(GemmSpec(m=64, n=64, k=64, dtype="int8", engine="onnxruntime"))
    assert (whole.min(), whole.max()) == (-127, 127)


def test_an_engine_names_the_others_that_offer_a_type():
    with pytest.raises(ValueError, match=r"--dtype bf16: numpy multiplies fp64, fp32; .*--engine torch$"):
        GemmSpec(dtype="bf16")
    with pytest.raises(ValueError, match="--dtype int8"):
        request(GemmSpec, {"dtype": ("fp32", "int8")})


def test_onnxruntime_is_not_measured_where_it_only_converts():
    spec, engine = GemmSpec(dtype="fp16", engine="onnxruntime"), EngineSpec(device="cpu")
    with pytest.raises(WorkloadError, match="onnxruntime multiplies fp32 there"):
        check_memory(spec, engine, [{"dtype": "fp16"}], Limits())
    own, _ = loaded(engine="onnxruntime")
    with pytest.raises(WorkloadError, match="onnxruntime multiplies fp32 on the CPU"):
        own.prepare({"dtype": "fp16"})


def test_matrices_beyond_the_memory_are_refused_before_they_are_made():
    assert GemmSpec(m=2, n=3, k=4, dtype="int8", engine="torch").minimum_bytes() == 2 * 4 + 4 * 3 + 4 * 2 * 3
    with pytest.raises(WorkloadError, match=r"a product at dtype=fp64 m=131072 needs at least 10\.\d+ GiB"):
        check_memory(GemmSpec(n=8192), ENGINE, [{"dtype": "fp64", "m": 131072}], Limits(memory_bytes=1 << 30))


def test_numpy_has_only_the_cpu():
    with pytest.raises(WorkloadError, match="--device cuda: numpy has only cpu"):
        workload.check(GemmSpec(), EngineSpec(device="cuda"), ())
