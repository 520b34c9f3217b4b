"""Small notebooks whose stored outputs are written by hand, and pytest run on them."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

import coursekit.nbtest.compare
import coursekit.nbtest.run  # noqa: F401


class Notebooks:
    """Makes cells with stored outputs, and writes them to files."""

    def __init__(self, folder):
        self.folder = folder

    def cell(self, source, *outputs, tags=(), count=0):
        """Make a code cell; `count` is its execution count, 0 for the next one."""
        cell = new_code_cell(source, outputs=list(outputs), execution_count=count)
        if tags:
            cell.metadata["tags"] = list(tags)
        return cell

    def printed(self, text, name="stdout"):
        return new_output("stream", name=name, text=text)

    def value(self, text="", **data):
        data = {key.replace("_", "/", 1): value for key, value in data.items()}
        if text:
            data["text/plain"] = text
        return new_output("execute_result", data=data, execution_count=1)

    def shown(self, data):
        return new_output("display_data", data=data)

    def error(self, ename, evalue):
        return new_output("error", ename=ename, evalue=evalue, traceback=[])

    def write(self, *cells, name="lesson.ipynb", **metadata):
        """Write a notebook and return its path."""
        cells = [self.cell(cell) if isinstance(cell, str) else cell for cell in cells]
        for number, cell in enumerate(cells, start=1):
            if cell.cell_type == "code" and cell.execution_count == 0:
                cell.execution_count = number
        path = self.folder / name
        nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
        return path


@pytest.fixture
def notebooks(tmp_path, request):
    in_pytester = "pytester" in request.fixturenames
    folder = request.getfixturevalue("pytester").path if in_pytester else tmp_path
    return Notebooks(folder)
