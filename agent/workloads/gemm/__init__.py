"""The workload `gemm`: products of matrices."""
