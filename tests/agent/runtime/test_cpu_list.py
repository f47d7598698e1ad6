import pytest

from agent.runtime.cpu_list import cpu_list, parse_cpu_list


@pytest.mark.parametrize(
    ("cpus", "text"), [((), ""), ((3,), "3"), ((0, 1, 2, 3, 8), "0-3,8"), ((5, 1, 0, 5, 7, 6), "0-1,5-7")]
)
def test_cpus_are_listed_as_the_kernel_lists_them(cpus, text):
    assert cpu_list(cpus) == text


@pytest.mark.parametrize(("text", "cpus"), [("", ()), ("3\n", (3,)), ("8,0-3", (0, 1, 2, 3, 8)), ("1, 5-6", (1, 5, 6))])
def test_a_list_of_the_kernel_is_read(text, cpus):
    assert parse_cpu_list(text) == cpus


@pytest.mark.parametrize("text", ["a", "1-", "-1", "1:2", "99999999"])
def test_another_text_is_no_list(text):
    with pytest.raises(ValueError, match="is not a number or a range"):
        parse_cpu_list(text)
