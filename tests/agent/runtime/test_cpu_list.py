import pytest

from agent.runtime.cpu_list import cpu_list


@pytest.mark.parametrize(
    ("cpus", "text"), [((), ""), ((3,), "3"), ((0, 1, 2, 3, 8), "0-3,8"), ((5, 1, 0, 5, 7, 6), "0-1,5-7")]
)
def test_cpus_are_listed_as_the_kernel_lists_them(cpus, text):
    assert cpu_list(cpus) == text
