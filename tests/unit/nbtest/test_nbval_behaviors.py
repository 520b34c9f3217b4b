"""What nbval documents still holds: comments, tags, --nbval-lax, sanitize files, conftest.

The examples follow nbval's documentation, https://nbval.readthedocs.io.
"""

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester):
    def run(*options, nbval="--nbval"):
        return pytester.runpytest(nbval, "--nbval-current-env", *options)

    return run


@pytest.fixture
def marked(notebooks):
    """Write a notebook in which every way to mark a cell is used."""
    wrong = notebooks.value("0")
    error = notebooks.error("ZeroDivisionError", "division by zero")
    return notebooks.write(
        notebooks.cell("# NBVAL_IGNORE_OUTPUT\n1", wrong),  # 0
        notebooks.cell("    ## NBVAL_IGNORE_OUTPUT\n1", wrong),
        notebooks.cell("# PYTEST_VALIDATE_IGNORE_OUTPUT\n1", wrong),
        notebooks.cell("1", wrong, tags=["nbval-ignore-output"]),
        notebooks.cell("# NBVAL_CHECK_OUTPUT\n1", wrong),  # 4, always compared
        notebooks.cell("1", wrong, tags=["nbval-check-output"]),  # 5, always compared
        notebooks.cell("# NBVAL_RAISES_EXCEPTION\n1 / 0", error),  # 6
        notebooks.cell("1 / 0", error, tags=["raises-exception"]),
        notebooks.cell("1 / 0", error, tags=["nbval-raises-exception"]),
        notebooks.cell("# NBVAL_SKIP\n1 / 0"),  # 9
        notebooks.cell("1 / 0", tags=["nbval-skip"]),
        notebooks.cell("1", wrong),  # 11, compared but with --nbval-lax
        notebooks.cell("x = 1 # NBVAL_IGNORE_OUTPUT\nx", wrong),  # 12, is no mark
        notebooks.cell("1", notebooks.value("1")),
    )


def failed_cells(result):
    words = [line.split(" - ")[0] for line in result.outlines if line.startswith("FAILED")]
    return [int(line.rpartition("Cell ")[2]) for line in words]


@pytest.mark.usefixtures("marked")
def test_comments_and_tags_mark_cells(run):
    result = run()
    result.assert_outcomes(passed=8, failed=4, skipped=2)
    assert failed_cells(result) == [4, 5, 11, 12]


@pytest.mark.usefixtures("marked")
def test_lax_compares_only_cells_that_ask_for_it(run):
    result = run(nbval="--nbval-lax")
    result.assert_outcomes(passed=10, failed=2, skipped=2)
    assert failed_cells(result) == [4, 5]


def test_lax_runs_notebooks_without_outputs(notebooks, run):
    notebooks.write(notebooks.cell("1", count=None), notebooks.cell("2", count=None))
    run(nbval="--nbval-lax").assert_outcomes(passed=2)


def test_an_expected_error_is_compared_and_must_come(notebooks, run):
    error = notebooks.error("ZeroDivisionError", "division by zero")
    notebooks.write(
        notebooks.cell("int('a')", error, tags=["raises-exception"]),
        notebooks.cell("1", error, tags=["raises-exception"]),
    )
    result = run()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "Another error: stored the error ZeroDivisionError*",
            "Stored is the error *, fresh is 1.",
        ]
    )


def test_a_sanitize_file_replaces_text_on_both_sides(notebooks, pytester, run):
    notebooks.write(
        notebooks.cell("print('user: ann')", notebooks.printed("user: bob\n")),
        notebooks.cell(
            "from IPython.display import HTML\nHTML('<b>ann</b>')",
            notebooks.value("<IPython.core.display.HTML object>", text_html="<b>bob</b>"),
        ),
    )
    rules = pytester.path / "rules.cfg"
    rules.write_text("[names]\nregex: \\b(ann|bob)\\b\nreplace: NAME\n")
    run().assert_outcomes(failed=2)
    run(f"--nbval-sanitize-with={rules}").assert_outcomes(passed=2)


def test_a_sanitize_file_that_cannot_be_used_is_told(notebooks, pytester, run):
    notebooks.write("1;", "2;")
    pytester.path.joinpath("rules.cfg").write_text("regex: (\nreplace: a\n")
    for name, words in (("rules.cfg", "*unterminated*"), ("none.cfg", "*No such file*")):
        result = run(f"--nbval-sanitize-with={name}")
        result.assert_outcomes(failed=1, skipped=1)
        result.stdout.fnmatch_lines([f"*{name}, named by --nbval-sanitize-with*{words}"])


def test_coverage_of_what_a_notebook_imports_is_measured(notebooks, pytester, run):
    pytester.makepyfile(imported="def double(x):\n    return 2 * x")
    pytester.makeconftest(
        "def pytest_configure(config):\n"
        "    config.option.cov_source, config.option.cov_config = ['.'], False\n"
    )
    notebooks.write(
        notebooks.cell("import imported\nimported.double(4)", notebooks.value("8"))
    )
    run().assert_outcomes(passed=1)
    assert list(pytester.path.glob(".coverage*nbval*"))


def test_a_conftest_can_leave_out_kinds_of_output(notebooks, pytester, run):
    notebooks.write(
        notebooks.cell(
            "import sys; _ = sys.stderr.write('a')", notebooks.printed("b", "stderr")
        )
    )
    run().assert_outcomes(failed=1)
    pytester.makeconftest(
        "def pytest_collectstart(collector):\n"
        "    if collector.fspath and collector.fspath.ext == '.ipynb':\n"
        "        collector.skip_compare += ('text/html', 'stderr')\n"
    )
    run().assert_outcomes(passed=1)


def test_conflicting_marks_are_warned_of(notebooks, run):
    notebooks.write(
        notebooks.cell(
            "# NBVAL_IGNORE_OUTPUT\n1", notebooks.value("0"), tags=["nbval-check-output"]
        )
    )
    result = run("-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    words = "*Overlapping options from comments and metadata*"
    result.stdout.fnmatch_lines([words])
    result = run("-W", "error")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"lesson.ipynb: {words}"])


def test_a_kernel_can_be_named(notebooks, pytester):
    spec = {"name": "no-such", "display_name": "x", "language": "python"}
    notebooks.write(notebooks.cell("1", notebooks.value("1")), kernelspec=spec)
    pytester.runpytest("--nbval", "--nbval-kernel-name=python3").assert_outcomes(passed=1)
    pytester.runpytest("--nbval").assert_outcomes(failed=1)


def test_notebooks_work_in_their_own_folder(notebooks, pytester, run):
    pytester.mkdir("inside")
    notebooks.write("", name="inside/x.ipynb").with_name("data.txt").write_text("3")
    notebooks.write(
        notebooks.cell("int(open('data.txt').read())", notebooks.value("3")),
        name="inside/x.ipynb",
    )
    run().assert_outcomes(passed=1)
