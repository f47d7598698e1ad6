"""The workload `stream`: copies and sums of arrays that no cache can hold."""
