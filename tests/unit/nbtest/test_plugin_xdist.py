"""The plugin with several workers: the modes that are refused, and budgets that arrive."""

import pytest

pytest.importorskip("xdist")
pytest_plugins = ["pytester"]


@pytest.mark.parametrize("mode", ["load", "loadgroup", "worksteal", "each"])
def test_modes_that_scatter_cells_are_refused_with_the_reason(pytester, mode):
    words = (
        f"with --dist {mode}: .*cells of one notebook to several workers.*--dist loadfile"
    )
    for nbval in ("--nbval", "--nbval-lax"):
        with pytest.raises(pytest.UsageError, match=words):
            pytester.parseconfigure(nbval, "--dist", mode)


def test_two_workers_without_a_mode_are_refused(pytester, notebooks):
    notebooks.write("1;")
    refused = pytester.runpytest("--nbval", "-n", "2")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*with --dist load:*"])


def test_without_notebooks_or_workers_any_mode_is_allowed(pytester):
    pytester.parseconfigure("--dist", "load")
    pytester.parseconfigure("--nbval", "-n", "0")


@pytest.mark.parametrize(
    "mode", ["loadfile", pytest.param("loadscope", marks=pytest.mark.slow)]
)
def test_whole_notebooks_go_to_workers_and_their_costs_come_back(pytester, notebooks, mode):
    for name, budget in (("a", 1e-3), ("b", 1e3), ("c", None)):
        cells = [notebooks.cell("x = 1")]
        cells += [
            notebooks.cell("x += 1\nx", notebooks.value(f"{n}")) for n in (2, 3, 4, 5)
        ]
        metadata = {"budget_seconds": budget} if budget else {}
        notebooks.write(*cells, name=f"{name}.ipynb", coursekit=metadata)
    result = pytester.runpytest_subprocess(
        "--nbval", "--nbval-current-env", "-n", "2", "--dist", mode,
        "--nbtest-enforce-budgets",
    )  # fmt: skip
    result.assert_outcomes(passed=15, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    for name, budget in (("a", "0.001 s"), ("b", "1000 s"), ("c", "none")):
        result.stdout.fnmatch_lines_random([f"{name}.ipynb *5* MiB *{budget}"])
    result.stdout.fnmatch_lines(["slowest cells:", "FAILED a.ipynb::budget*"])
