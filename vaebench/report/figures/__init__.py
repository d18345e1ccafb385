"""Figures of tables and pictures of cells, from result files and the arrays beside them.

matplotlib is imported only where something is drawn. What is drawn is the same byte for byte,
whatever the user's settings.
"""
from vaebench.report.figures.cells import Cell, collect_cells
from vaebench.report.figures.index import (
    PICTURES,
    of_cells,
    of_table,
    save,
    write_figures,
    write_pictures,
)
from vaebench.report.figures.style import FILE_FORMATS, RenderedFigure

__all__ = ['Cell', 'FILE_FORMATS', 'PICTURES', 'RenderedFigure', 'collect_cells', 'of_cells',
           'of_table', 'save', 'write_figures', 'write_pictures']
